//! `EmailSenderService`.

use concierge_proto::notification::{
    AttemptOutcome, CreateEmailSenderRequest, DeleteEmailSenderRequest, EmailSecurity, EmailSender,
    GetEmailSenderRequest, ListEmailSendersRequest, NotificationDefinition, NotificationRecipients,
    SendTestEmailRequest, SendTestEmailResponse, UndeleteEmailSenderRequest, UpdateEmailSenderRequest,
};
use concierge_testkit::request_id;
use concierge_testkit::smtp::{Fault, Security, SmtpServer, Step};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::world::{World, definition, id};

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().unwrap().reason.clone()
}

fn fields(status: &Status) -> Vec<String> {
    status.get_error_details().bad_request().unwrap().field_violations.iter().map(|v| v.field.clone()).collect()
}

async fn create(world: &World, sender: EmailSender) -> Result<EmailSender, Status> {
    let request = CreateEmailSenderRequest { email_sender: Some(sender), request_id: request_id() };
    Ok(world.senders().create_email_sender(request).await?.into_inner().email_sender.unwrap())
}

async fn update(world: &World, sender: EmailSender, paths: &[&str]) -> Result<EmailSender, Status> {
    let request = UpdateEmailSenderRequest {
        email_sender: Some(sender),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|p| (*p).to_owned()).collect() }),
        request_id: request_id(),
    };
    Ok(world.senders().update_email_sender(request).await?.into_inner().email_sender.unwrap())
}

async fn send_test(world: &World, id: &str) -> Result<SendTestEmailResponse, Status> {
    let request =
        SendTestEmailRequest { id: id.to_owned(), to_address: "ann@example.org".to_owned(), request_id: request_id() };
    Ok(world.senders().send_test_email(request).await?.into_inner())
}

#[tokio::test]
async fn creates_reads_changes_deletes_and_brings_back() {
    let world = World::without_sender().await;
    let plain = EmailSender {
        name: "Support".to_owned(),
        host: "mail.example.com".to_owned(),
        from_address: "desk@example.com".to_owned(),
        ..Default::default()
    };
    let created = create(&world, plain.clone()).await.unwrap();
    assert_eq!((created.port, created.position, created.enabled), (Some(587), Some(1000), Some(true)));
    assert_eq!(created.security(), EmailSecurity::Starttls);
    let taken = create(&world, EmailSender { name: "SUPPORT".to_owned(), ..plain }).await.unwrap_err();
    assert_eq!((taken.code(), reason(&taken)), (Code::AlreadyExists, "NAME_TAKEN".to_owned()));

    let get = GetEmailSenderRequest { id: created.id.clone() };
    let got = world.senders().get_email_sender(get).await.unwrap().into_inner().email_sender.unwrap();
    assert_eq!(got, created);
    let changed = update(&world, EmailSender { position: Some(1), ..created.clone() }, &["position"]).await.unwrap();
    assert_eq!((changed.position, changed.etag.as_str()), (Some(1), "2"));
    let stale = update(&world, EmailSender { position: Some(2), ..created.clone() }, &["position"]).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale)), (Code::Aborted, "STALE_ETAG".to_owned()));

    let delete = DeleteEmailSenderRequest { id: created.id.clone(), etag: String::new(), request_id: request_id() };
    world.senders().delete_email_sender(delete).await.unwrap();
    let gone = update(&world, EmailSender { etag: String::new(), ..changed }, &["position"]).await.unwrap_err();
    assert_eq!((gone.code(), reason(&gone)), (Code::FailedPrecondition, "RECORD_DELETED".to_owned()));
    let listed = world.senders().list_email_senders(ListEmailSendersRequest::default()).await.unwrap().into_inner();
    assert!(listed.email_senders.is_empty());
    let undelete = UndeleteEmailSenderRequest { id: created.id.clone(), request_id: request_id() };
    world.senders().undelete_email_sender(undelete.clone()).await.unwrap();
    let undelete = UndeleteEmailSenderRequest { request_id: request_id(), ..undelete };
    let live = world.senders().undelete_email_sender(undelete).await.unwrap_err();
    assert_eq!((live.code(), reason(&live)), (Code::FailedPrecondition, "RECORD_NOT_DELETED".to_owned()));
    let unknown = world.senders().get_email_sender(GetEmailSenderRequest { id: id() }).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown)), (Code::NotFound, "RECORD_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_password_is_told_to_nobody_and_stored_encrypted() {
    let mut world = World::without_sender().await;
    let sender = EmailSender {
        host: "mail.example.com".to_owned(),
        security: EmailSecurity::Tls.into(),
        username: "desk".to_owned(),
        password: "correct horse battery".to_owned(),
        ..world.sender()
    };
    let created = create(&world, sender).await.unwrap();
    assert_eq!(created.password, "");
    let renamed = EmailSender { name: "Other".to_owned(), password: "another".to_owned(), ..created.clone() };
    assert_eq!(update(&world, renamed, &["name"]).await.unwrap().password, "");
    let stored = |pool: sqlx::PgPool| async move {
        sqlx::query_scalar::<_, String>("select password from email_senders").fetch_one(&pool).await.unwrap()
    };
    let pool = world.service().pool().clone();
    let sealed = stored(pool.clone()).await;
    assert!(!sealed.is_empty() && !sealed.contains("horse"), "{sealed}");
    update(
        &world,
        EmailSender { password: "new horse".to_owned(), etag: String::new(), ..created.clone() },
        &["password"],
    )
    .await
    .unwrap();
    assert_ne!(stored(pool.clone()).await, sealed);
    let listed = world.senders().list_email_senders(ListEmailSendersRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.email_senders[0].password, "");
    for filter in ["password = \"x\"", "password : \"horse\""] {
        let request = ListEmailSendersRequest { filter: filter.to_owned(), ..Default::default() };
        let refused = world.senders().list_email_senders(request).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "FILTER_INVALID".to_owned()));
    }
    // Nowhere in the database, whatever the table.
    let tables: Vec<String> = sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public'")
        .fetch_all(&pool)
        .await
        .unwrap();
    for table in tables {
        let sql = format!("select coalesce(string_agg(t::text, ' '), '') from {table} t");
        let text: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap();
        for secret in ["horse", "686f727365"] {
            assert!(!text.contains(secret), "{table} holds the password");
        }
    }
}

#[tokio::test]
async fn credentials_without_tls_are_refused() {
    let world = World::without_sender().await;
    let sender = EmailSender { username: "desk".to_owned(), password: "secret".to_owned(), ..world.sender() };
    let refused = create(&world, sender.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    assert_eq!(fields(&refused), ["email_sender.username", "email_sender.password"]);
    let secured = EmailSender { security: EmailSecurity::Tls.into(), ..sender };
    let created = create(&world, secured).await.unwrap();
    let open = EmailSender { security: EmailSecurity::None.into(), ..created };
    assert_eq!(reason(&update(&world, open, &["security"]).await.unwrap_err()), "INVALID_FIELD");
}

#[tokio::test]
async fn a_stored_password_goes_nowhere_else_without_being_given_again() {
    let world = World::without_sender().await;
    let thief = SmtpServer::start_with(Security::Tls).await;
    let created = create(
        &world,
        EmailSender {
            host: "mail.example.com".to_owned(),
            security: EmailSecurity::Starttls.into(),
            username: "desk".to_owned(),
            password: "correct horse battery".to_owned(),
            ..world.sender()
        },
    )
    .await
    .unwrap();
    let theirs = EmailSender {
        host: "localhost".to_owned(),
        port: Some(thief.address.port().into()),
        security: EmailSecurity::Tls.into(),
        username: "other".to_owned(),
        ca_certificate: thief.root.clone(),
        etag: String::new(),
        ..created.clone()
    };
    for paths in [
        &["host", "port", "ca_certificate"][..],
        &["host"],
        &["port"],
        &["security"],
        &["username"],
        &["ca_certificate"],
    ] {
        let refused = update(&world, theirs.clone(), paths).await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused), fields(&refused)),
            (Code::InvalidArgument, "INVALID_FIELD".to_owned(), vec!["email_sender.password".to_owned()]),
            "{paths:?}"
        );
    }
    let bad = EmailSender { ca_certificate: "none".to_owned(), ..theirs.clone() };
    let refused = update(&world, bad, &["ca_certificate"]).await.unwrap_err();
    assert_eq!(fields(&refused), ["email_sender.password", "email_sender.ca_certificate"]);
    // What changes nothing of the way asks for nothing.
    let same = EmailSender { name: "Other".to_owned(), etag: String::new(), ..created };
    update(&world, same, &["name", "host", "port", "security", "username", "ca_certificate"]).await.unwrap();
    // With the password, or with none, it is the caller's own business.
    let own = EmailSender { password: "correct horse battery".to_owned(), ..theirs.clone() };
    update(&world, own, &["host", "password"]).await.unwrap();
    update(&world, theirs.clone(), &["port", "password"]).await.unwrap();
    update(&world, theirs, &["security", "username", "ca_certificate"]).await.unwrap();
}

#[tokio::test]
async fn a_private_authority_is_trusted_by_the_sender_that_names_it_and_by_no_other() {
    let world = World::without_sender().await;
    let server = SmtpServer::start_with(Security::Tls).await;
    let private = EmailSender {
        host: "localhost".to_owned(),
        port: Some(server.address.port().into()),
        security: EmailSecurity::Tls.into(),
        ca_certificate: server.root.clone(),
        ..world.sender()
    };
    for wrong in ["no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let sender = EmailSender { ca_certificate: wrong.to_owned(), ..private.clone() };
        let refused = create(&world, sender).await.unwrap_err();
        assert_eq!(
            (refused.code(), fields(&refused)),
            (Code::InvalidArgument, vec!["email_sender.ca_certificate".to_owned()])
        );
    }
    let created = create(&world, private.clone()).await.unwrap();
    assert_eq!(created.ca_certificate, server.root);
    send_test(&world, &created.id).await.unwrap();
    let other = EmailSender { name: "Other".to_owned(), ca_certificate: String::new(), ..private };
    let other = create(&world, other).await.unwrap();
    assert_eq!(reason(&send_test(&world, &other.id).await.unwrap_err()), "EMAIL_SERVER_UNREACHABLE");
    let emptied = EmailSender { ca_certificate: String::new(), etag: String::new(), ..created.clone() };
    update(&world, emptied, &["ca_certificate"]).await.unwrap();
    // Nothing goes over a connection that was trusted before.
    assert_eq!(reason(&send_test(&world, &created.id).await.unwrap_err()), "EMAIL_SERVER_UNREACHABLE");
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn a_sender_that_a_definition_names_cannot_be_deleted() {
    let mut world = World::without_sender().await;
    let sender = world.create_sender().await;
    let recipients = NotificationRecipients { email_addresses: vec!["a@example.com".to_owned()], ..Default::default() };
    let naming = NotificationDefinition { email_sender_id: sender.id.clone(), ..definition("Named", recipients) };
    world.define(naming).await;
    let delete = DeleteEmailSenderRequest { id: sender.id, etag: String::new(), request_id: request_id() };
    let used = world.senders().delete_email_sender(delete).await.unwrap_err();
    assert_eq!((used.code(), reason(&used)), (Code::FailedPrecondition, "RECORD_IN_USE".to_owned()));
}

#[tokio::test]
async fn a_test_email_is_sent_at_once_and_once_a_request() {
    let mut world = World::without_sender().await;
    let sender = world.create_sender().await;
    let request = SendTestEmailRequest {
        id: sender.id.clone(),
        to_address: "ann@example.org".to_owned(),
        request_id: request_id(),
    };
    let sent = world.senders().send_test_email(request.clone()).await.unwrap().into_inner();
    let again = world.senders().send_test_email(request).await.unwrap().into_inner();
    assert_eq!(again, sent);
    let mails = world.smtp.mails();
    assert_eq!((mails.len(), mails[0].message_id(), mails[0].to.len()), (1, sent.message_id, 1));
    let attempt = sent.attempt.unwrap();
    assert_eq!((attempt.outcome(), attempt.reply_code), (AttemptOutcome::Accepted, 250));
}

#[tokio::test]
async fn concurrent_repeats_of_a_test_email_send_one_and_a_failure_is_not_kept() {
    let mut world = World::without_sender().await;
    let sender = world.create_sender().await;
    let request = SendTestEmailRequest {
        id: sender.id.clone(),
        to_address: "ann@example.org".to_owned(),
        request_id: request_id(),
    };
    world.smtp.fail(Fault::Reply(Step::RcptTo, 550));
    assert_eq!(reason(&world.senders().send_test_email(request.clone()).await.unwrap_err()), "EMAIL_REFUSED");
    let calls = (0..5).map(|_| {
        let (mut senders, request) = (world.senders(), request.clone());
        async move { senders.send_test_email(request).await.unwrap().into_inner() }
    });
    let answers: Vec<SendTestEmailResponse> = futures::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(world.smtp.mails().len(), 1);
    let other = SendTestEmailRequest { to_address: "bob@example.org".to_owned(), ..request };
    let reused = world.senders().send_test_email(other).await.unwrap_err();
    assert_eq!((reused.code(), reason(&reused)), (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
}

#[tokio::test]
async fn a_test_email_whose_process_died_is_sent_again_by_a_repeat_as_the_same_email() {
    let mut world = World::without_sender().await;
    let sender = world.create_sender().await;
    world.smtp.fail(Fault::Silence(Step::Message));
    let request =
        SendTestEmailRequest { id: sender.id, to_address: "ann@example.org".to_owned(), request_id: request_id() };
    let (mut senders, first) = (world.senders(), request.clone());
    let call = tokio::spawn(async move { senders.send_test_email(first).await });
    world.smtp.wait_for(1).await;
    // As when the process dies: nobody records what became of it.
    sqlx::query("update test_emails set lease = gen_random_uuid()").execute(world.service().pool()).await.unwrap();
    call.abort();
    let (mut senders, repeat) = (world.senders(), request.clone());
    let repeat = tokio::spawn(async move { senders.send_test_email(repeat).await });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!repeat.is_finished(), "while somebody may be sending it, a repeat waits");
    world.suite.clock.advance(chrono::TimeDelta::seconds(16));
    let answer = repeat.await.unwrap().unwrap().into_inner();
    let ids: Vec<String> = world.smtp.mails().iter().map(concierge_testkit::smtp::Mail::message_id).collect();
    assert_eq!(ids, [answer.message_id.clone(), answer.message_id]);
}

#[tokio::test]
async fn test_emails_to_a_server_that_says_nothing_keep_nobody_waiting() {
    let mut world = World::without_sender().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let sender = create(&world, EmailSender { port: Some(port.into()), ..world.sender() }).await.unwrap();
    // As many as there are connections to the database.
    let connections = world.service().pool().options().get_max_connections();
    let calls: Vec<_> = (0..connections)
        .map(|_| {
            let (mut senders, id) = (world.senders(), sender.id.clone());
            let request =
                SendTestEmailRequest { id, to_address: "ann@example.org".to_owned(), request_id: request_id() };
            tokio::spawn(async move { senders.send_test_email(request).await })
        })
        .collect();
    let mut open = Vec::new();
    for _ in 0..connections {
        let accepted = tokio::time::timeout(std::time::Duration::from_secs(8), silent.accept());
        open.push(accepted.await.expect("every call reaches the server").unwrap());
    }
    let get = world.senders().get_email_sender(GetEmailSenderRequest { id: sender.id.clone() }).await;
    assert_eq!(get.unwrap().into_inner().email_sender.unwrap().id, sender.id);
    let name = EmailSender { name: "Other".to_owned(), ..sender };
    update(&world, name, &["name"]).await.unwrap();
    assert!(calls.iter().all(|call| !call.is_finished()), "the others answered while these were waiting");
}

#[tokio::test]
async fn a_test_email_tells_what_the_server_said() {
    let mut world = World::without_sender().await;
    let sender = world.create_sender().await;
    for (fault, code) in [(Fault::Reply(Step::RcptTo, 550), "550"), (Fault::Reply(Step::Message, 452), "452")] {
        world.smtp.fail(fault);
        let refused = send_test(&world, &sender.id).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused)), (Code::FailedPrecondition, "EMAIL_REFUSED".to_owned()));
        assert_eq!(refused.get_error_details().error_info().unwrap().metadata["reply_code"], code);
    }
    // The credentials are as good a reason; what the server repeats of them is not told.
    let server = SmtpServer::start_with(Security::Tls).await;
    assert!(world.desk().trust(&server.root));
    server.require("desk", "right");
    let strict = EmailSender {
        name: "Strict".to_owned(),
        host: "localhost".to_owned(),
        port: Some(server.address.port().into()),
        security: EmailSecurity::Tls.into(),
        username: "desk".to_owned(),
        password: "hunter2".to_owned(),
        ..world.sender()
    };
    let strict = create(&world, strict).await.unwrap();
    let refused = send_test(&world, &strict.id).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::FailedPrecondition, "EMAIL_REFUSED".to_owned()));
    assert_eq!(refused.message(), "the e-mail server refused the e-mail: the server refused the user name or password");

    let nowhere = SmtpServer::start().await.address.port();
    let lost = EmailSender { name: "Lost".to_owned(), port: Some(nowhere.into()), ..world.sender() };
    let lost = create(&world, lost).await.unwrap();
    let away = send_test(&world, &lost.id).await.unwrap_err();
    assert_eq!((away.code(), reason(&away)), (Code::Unavailable, "EMAIL_SERVER_UNREACHABLE".to_owned()));
    assert!(away.get_error_details().retry_info().is_some());
    let off = update(&world, EmailSender { enabled: Some(false), ..lost }, &["enabled"]).await.unwrap();
    let disabled = send_test(&world, &off.id).await.unwrap_err();
    assert_eq!((disabled.code(), reason(&disabled)), (Code::FailedPrecondition, "EMAIL_SENDER_DISABLED".to_owned()));
    let unknown = send_test(&world, &id()).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown)), (Code::NotFound, "RECORD_NOT_FOUND".to_owned()));
}
