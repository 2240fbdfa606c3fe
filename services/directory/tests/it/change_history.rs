//! `ChangeHistoryService`.

use chrono::TimeDelta;
use concierge_proto::directory::{
    ActorKind, Change, ChangeOperation, DeleteSiteContactTypeRequest, GetRecordAtRequest, ListChangesRequest,
    RevocationTarget, RevokeTokensRequest, SiteContactType, UndeleteSiteContactTypeRequest,
    UpdateSiteContactTypeRequest, User,
};
use concierge_proto::record::timestamp;
use concierge_runtime::clock::Clock as _;
use concierge_testkit::{Who, request_id};
use prost::Message as _;
use prost_types::Timestamp;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::desk::{Desk, fields, mask, nobody, reason};

async fn changes(desk: &Desk, request: ListChangesRequest) -> Vec<Change> {
    desk.history().list_changes(request).await.unwrap().into_inner().changes
}

async fn of(desk: &Desk, record_type: &str, id: &str) -> Vec<Change> {
    let request =
        ListChangesRequest { record_type: record_type.to_owned(), record_id: id.to_owned(), ..Default::default() };
    changes(desk, request).await
}

fn now(desk: &Desk) -> Timestamp {
    timestamp(desk.suite.clock.now())
}

async fn rename(desk: &Desk, contact_type: &SiteContactType, name: &str) -> SiteContactType {
    let request = UpdateSiteContactTypeRequest {
        site_contact_type: Some(SiteContactType {
            id: contact_type.id.clone(),
            name: name.to_owned(),
            position: 4,
            ..Default::default()
        }),
        update_mask: Some(mask(&["name", "position"])),
        request_id: request_id(),
    };
    let answer = desk.site_contact_types().update_site_contact_type(request).await.unwrap();
    answer.into_inner().site_contact_type.unwrap()
}

fn told(change: &Change) -> Vec<(&str, Option<&str>, Option<&str>)> {
    change.fields.iter().map(|f| (f.field.as_str(), f.old_value.as_deref(), f.new_value.as_deref())).collect()
}

#[tokio::test]
async fn tells_who_did_what_when_newest_first() {
    let mut desk = Desk::open().await;
    let ann = desk.agent("Ann Lee", &[]).await;
    desk.who = Who::agent(ann.id.parse().unwrap());
    let billing = desk.contact_type("Billing").await;
    rename(&desk, &billing, "Invoices").await;
    let delete = DeleteSiteContactTypeRequest { id: billing.id.clone(), etag: String::new(), request_id: request_id() };
    let deleted = desk.site_contact_types().delete_site_contact_type(delete.clone()).await.unwrap().into_inner();
    let undelete = UndeleteSiteContactTypeRequest { id: billing.id.clone(), request_id: request_id() };
    desk.site_contact_types().undelete_site_contact_type(undelete).await.unwrap();

    let history = of(&desk, "site_contact_type", &billing.id).await;
    use ChangeOperation::{Create, Delete, Undelete, Update};
    assert_eq!(history.iter().map(Change::operation).collect::<Vec<_>>(), [Undelete, Delete, Update, Create]);
    assert_eq!(history.iter().map(|c| c.version).collect::<Vec<_>>(), [4, 3, 2, 1]);
    assert_eq!(told(&history[2]), [("name", Some("Billing"), Some("Invoices")), ("position", Some("0"), Some("4"))]);
    let created: Vec<&str> = history[3].fields.iter().map(|f| f.field.as_str()).collect();
    assert_eq!(created, ["id", "name", "active", "create_time"]);
    assert_eq!((history[1].fields[0].field.as_str(), &history[1].fields[0].old_value), ("delete_time", &None));
    assert_eq!(history[0].fields[0].new_value, None);

    let change = &history[1];
    let actor = change.actor.as_ref().unwrap();
    assert_eq!((actor.kind(), actor.id.clone(), actor.name.as_str()), (ActorKind::Agent, ann.id.clone(), "Ann Lee"));
    assert_eq!(change.request_id, delete.request_id);
    assert_eq!(change.method, "concierge.directory.v1.SiteContactTypeService/DeleteSiteContactType");
    assert_eq!(change.change_time, deleted.site_contact_type.unwrap().delete_time);
    assert!(change.id.parse::<Uuid>().is_ok() && change.on_behalf_of.is_none());
}

#[tokio::test]
async fn finds_changes_by_type_actor_request_and_time() {
    let mut desk = Desk::open().await;
    let ann = desk.agent("Ann Lee", &[]).await;
    let before = now(&desk);
    let (_, site) = desk.customer("Example Ltd").await;
    desk.who = Who::agent(ann.id.parse().unwrap());
    let user = desk.user(&site, "Bob Ray").await;
    let after = now(&desk);
    desk.contact_type("Billing").await;

    let types = |changes: &[Change]| changes.iter().map(|c| c.record_type.clone()).collect::<Vec<_>>();
    let everything = changes(&desk, ListChangesRequest::default()).await;
    assert_eq!(everything.len(), 5);
    assert!(everything.is_sorted_by_key(|c| std::cmp::Reverse(c.change_time.map(|t| (t.seconds, t.nanos)))));
    let by_ann = ListChangesRequest { actor_id: ann.id, ..Default::default() };
    assert_eq!(types(&changes(&desk, by_ann).await), ["site_contact_type", "user"]);
    let between = ListChangesRequest { start_time: Some(before), end_time: Some(after), ..Default::default() };
    let mut found = types(&changes(&desk, between).await);
    found.sort();
    assert_eq!(found, ["customer", "site", "user"]);
    // A customer and its main site are made by one call.
    let call = everything.iter().find(|c| c.record_type == "customer").unwrap().request_id.clone();
    let together = ListChangesRequest { change_request_id: call, ..Default::default() };
    assert_eq!(changes(&desk, together).await.len(), 2);
    let users = ListChangesRequest { record_type: "user".to_owned(), ..Default::default() };
    assert_eq!(changes(&desk, users).await[0].record_id, user.id);
}

#[tokio::test]
async fn tells_for_whom_a_service_called() {
    let mut desk = Desk::open().await;
    let ann = desk.agent("Ann Lee", &[]).await;
    desk.who = Who::service("ticket-rule");
    let mut request = Request::new(crate::desk::contact_type("Billing"));
    request.metadata_mut().insert("concierge-on-behalf-of", format!("agent:{}", ann.id).parse().unwrap());
    desk.site_contact_types().create_site_contact_type(request).await.unwrap();
    let by_ann = ListChangesRequest { actor_id: ann.id.clone(), ..Default::default() };
    let found = changes(&desk, by_ann).await;
    let (actor, origin) = (found[0].actor.clone().unwrap(), found[0].on_behalf_of.clone().unwrap());
    assert_eq!((actor.kind(), actor.id.as_str()), (ActorKind::Service, "ticket-rule"));
    assert_eq!((origin.kind(), origin.id, origin.name.as_str()), (ActorKind::Agent, ann.id, "Ann Lee"));
}

#[tokio::test]
async fn says_nothing_of_what_the_reader_may_not_read() {
    let mut desk = Desk::open().await;
    let (_, site) = desk.customer("Example Ltd").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let changed = User { important: true, notes: "Calls often".into(), job_title: "Buyer".into(), ..ann.clone() };
    desk.change_user(changed, &["important", "notes", "job_title"]).await;
    let all = of(&desk, "user", &ann.id).await;
    assert_eq!(
        told(&all[0]),
        [
            ("job_title", None, Some("Buyer")),
            ("important", Some("false"), Some("true")),
            ("notes", None, Some("Calls often")),
        ]
    );
    let at = GetRecordAtRequest { record_type: "user".to_owned(), record_id: ann.id.clone(), time: Some(now(&desk)) };
    let whole = desk.history().get_record_at(at.clone()).await.unwrap().into_inner();
    assert_eq!(User::decode(whole.record.unwrap().value.as_slice()).unwrap().notes, "Calls often");

    desk.limit(&["history.read"]);
    let some = of(&desk, "user", &ann.id).await;
    assert_eq!(told(&some[0]), [("job_title", None, Some("Buyer"))]);
    assert!(some.iter().flat_map(|change| &change.fields).all(|field| !field.hidden));
    let part = desk.history().get_record_at(at).await.unwrap().into_inner();
    let user = User::decode(part.record.unwrap().value.as_slice()).unwrap();
    assert_eq!((user.notes.as_str(), user.important, user.job_title.as_str()), ("", false, "Buyer"));
}

#[tokio::test]
async fn a_record_is_answered_as_it_was() {
    let desk = Desk::open().await;
    let too_early = now(&desk);
    desk.suite.clock.advance(TimeDelta::hours(1));
    let billing = desk.contact_type("Billing").await;
    let then = now(&desk);
    desk.suite.clock.advance(TimeDelta::hours(1));
    let renamed = rename(&desk, &billing, "Invoices").await;
    let delete = DeleteSiteContactTypeRequest { id: billing.id.clone(), etag: String::new(), request_id: request_id() };
    desk.suite.clock.advance(TimeDelta::hours(1));
    let deleted = desk.site_contact_types().delete_site_contact_type(delete).await.unwrap().into_inner();
    let at = async |time: Option<Timestamp>| {
        let request =
            GetRecordAtRequest { record_type: "site_contact_type".to_owned(), record_id: billing.id.clone(), time };
        let answer = desk.history().get_record_at(request).await?.into_inner();
        let any = answer.record.unwrap();
        assert_eq!(any.type_url, "type.googleapis.com/concierge.directory.v1.SiteContactType");
        Ok::<_, Status>((SiteContactType::decode(any.value.as_slice()).unwrap(), answer.version, answer.change_time))
    };
    assert_eq!(at(Some(then)).await.unwrap(), (billing.clone(), 1, billing.create_time));
    assert_eq!(at(renamed.update_time).await.unwrap(), (renamed.clone(), 2, renamed.update_time));
    let last = at(Some(now(&desk))).await.unwrap();
    assert_eq!((Some(last.0), last.1), (deleted.site_contact_type, 3));
    let status = at(Some(too_early)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RECORD_NOT_FOUND"));
    let future = timestamp(desk.suite.clock.now() + TimeDelta::minutes(1));
    let status = at(Some(future)).await.unwrap_err();
    assert_eq!((reason(&status).as_str(), fields(&status)), ("INVALID_FIELD", vec!["time".to_owned()]));
}

#[tokio::test]
async fn refuses_what_cannot_be_meant() {
    let desk = Desk::open().await;
    let time = now(&desk);
    let earlier = Timestamp { seconds: time.seconds - 1, ..time };
    let bad = |request: ListChangesRequest| async { desk.history().list_changes(request).await.unwrap_err() };
    for (request, field) in [
        (ListChangesRequest { record_type: "ticket".to_owned(), ..Default::default() }, "record_type"),
        (ListChangesRequest { record_id: nobody(), ..Default::default() }, "record_type"),
        (ListChangesRequest { start_time: Some(time), end_time: Some(earlier), ..Default::default() }, "end_time"),
    ] {
        let status = bad(request).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
        assert_eq!(fields(&status), [field]);
    }
    let at = |record_type: &str| GetRecordAtRequest {
        record_type: record_type.to_owned(),
        record_id: nobody(),
        time: Some(time),
    };
    let unknown_type = desk.history().get_record_at(at("ticket")).await.unwrap_err();
    assert_eq!(fields(&unknown_type), ["record_type"]);
    let unknown = desk.history().get_record_at(at("customer")).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "RECORD_NOT_FOUND"));
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat_while_changes_go_on() {
    let desk = Desk::open().await;
    for number in 0..7 {
        desk.contact_type(&format!("Type {number}")).await;
    }
    let mut request = ListChangesRequest { page_size: 3, ..Default::default() };
    let mut found = Vec::new();
    loop {
        let page = desk.history().list_changes(request.clone()).await.unwrap().into_inner();
        found.extend(page.changes.into_iter().map(|c| c.fields[1].new_value.clone().unwrap()));
        desk.contact_type(&format!("New {}", found.len())).await;
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(found, (0..7).rev().map(|n| format!("Type {n}")).collect::<Vec<_>>());
    request.actor_id = nobody();
    let status = desk.history().list_changes(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
}

#[tokio::test]
async fn importance_cannot_be_told_from_the_changes_that_there_are() {
    let mut desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let ann = desk.user_with(&site, "Ann Lee", |user| user.important = true).await;
    let bob = desk.user(&site, "Bob Ray").await;
    let mut etag = String::new();
    for title in ["Buyer", "Head buyer"] {
        for important in [false, true, false] {
            let changed = User { important, etag: etag.clone(), ..ann.clone() };
            etag = desk.change_user(changed, &["important"]).await.etag;
        }
        let titled = User { job_title: title.into(), etag: etag.clone(), ..ann.clone() };
        etag = desk.change_user(titled, &["job_title"]).await.etag;
        let back = User { important: true, etag: etag.clone(), ..ann.clone() };
        etag = desk.change_user(back, &["important"]).await.etag;
    }
    assert_eq!(of(&desk, "user", &ann.id).await.len(), 1 + 2 * 5);

    desk.limit(&["history.read"]);
    let names = |change: &Change| change.fields.iter().map(|f| f.field.clone()).collect::<Vec<_>>();
    let (anns, bobs) = (of(&desk, "user", &ann.id).await, of(&desk, "user", &bob.id).await);
    assert_eq!(anns.iter().map(names).collect::<Vec<_>>()[..2], [["job_title"], ["job_title"]]);
    assert_eq!((anns.len(), names(&anns[2])), (3, names(&bobs[0])));

    // However short the pages, none ends the list before its end, and none is empty.
    let mut request = ListChangesRequest {
        record_type: "user".to_owned(),
        record_id: ann.id.clone(),
        page_size: 1,
        ..Default::default()
    };
    let mut paged = Vec::new();
    loop {
        let page = desk.history().list_changes(request.clone()).await.unwrap().into_inner();
        assert_eq!(page.changes.len(), 1);
        paged.extend(page.changes);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(paged, anns);
}

#[tokio::test]
async fn tokens_taken_back_are_history_with_the_reason() {
    let desk = Desk::open().await;
    let request = RevokeTokensRequest {
        target: RevocationTarget::Subject.into(),
        target_id: nobody(),
        comment: "lost laptop".to_owned(),
        request_id: request_id(),
    };
    let revoked = desk.access().revoke_tokens(request.clone()).await.unwrap().into_inner();
    let history = of(&desk, "revocation", &revoked.revocation_id).await;
    assert_eq!((history.len(), history[0].request_id.clone()), (1, request.request_id));
    let fields = told(&history[0]);
    assert!(fields.contains(&("subject", None, Some(nobody().as_str()))));
    assert!(fields.contains(&("why", None, Some("lost laptop"))));
}
