//! `AgentService`.

use concierge_proto::directory::{
    AccessLevel, Agent, CreateAgentRequest, Customer, DeleteAgentRequest, DeleteSiteRequest, DeleteUserRequest,
    GetAgentRequest, LinkUserRequest, ListAgentUsersRequest, ListAgentsRequest, UndeleteAgentRequest,
    UnlinkUserRequest, UpdateCustomerRequest, User,
};
use concierge_testkit::request_id;
use tonic::{Code, Status};

use crate::desk::{Desk, agent, email, fields, mask, metadata, nobody, reason};

async fn link(desk: &Desk, agent: &Agent, user: &User, etag: &str) -> Result<User, Status> {
    let request = LinkUserRequest {
        agent_id: agent.id.clone(),
        user_id: user.id.clone(),
        etag: etag.to_owned(),
        request_id: request_id(),
    };
    Ok(desk.agents().link_user(request).await?.into_inner().user.unwrap())
}

async fn unlink(desk: &Desk, agent: &Agent, user: &User, etag: &str) -> Result<User, Status> {
    let request = UnlinkUserRequest {
        agent_id: agent.id.clone(),
        user_id: user.id.clone(),
        etag: etag.to_owned(),
        request_id: request_id(),
    };
    Ok(desk.agents().unlink_user(request).await?.into_inner().user.unwrap())
}

async fn delete(desk: &Desk, agent: &Agent) -> Result<Agent, Status> {
    let request = DeleteAgentRequest { id: agent.id.clone(), etag: String::new(), request_id: request_id() };
    Ok(desk.agents().delete_agent(request).await?.into_inner().agent.unwrap())
}

async fn users(desk: &Desk, agent: &Agent) -> Vec<String> {
    let request = ListAgentUsersRequest { id: agent.id.clone(), ..Default::default() };
    let listed = desk.agents().list_agent_users(request).await.unwrap().into_inner();
    listed.users.into_iter().map(|user| user.id).collect()
}

#[tokio::test]
async fn creating_an_agent_at_a_site_creates_its_linked_user() {
    let desk = Desk::open().await;
    let (customer, site) = desk.customer("Our own").await;
    let mut request = CreateAgentRequest { site_id: site.id.clone(), ..agent("Ann Lee", &[]) };
    let given = request.agent.as_mut().unwrap();
    (given.phone, given.job_title) = ("+49 30 1234567".to_owned(), "Network engineer".to_owned());
    let made = desk.agents().create_agent(request).await.unwrap().into_inner();
    let (ann, user) = (made.agent.unwrap(), made.user.unwrap());
    assert_eq!((user.linked_agent_id.clone(), user.site_id.clone()), (ann.id.clone(), site.id));
    assert_eq!((user.customer_id.clone(), user.name.as_str()), (customer.id, "Ann Lee"));
    assert_eq!((user.emails.clone(), user.phones.clone()), (vec![email("Ann Lee")], vec![ann.phone.clone()]));
    assert_eq!((user.job_title.as_str(), user.web_access_level()), ("Network engineer", AccessLevel::Own));
    assert_eq!(users(&desk, &ann).await, [user.id]);

    let alone = desk.agents().create_agent(agent("Bob Ray", &[])).await.unwrap().into_inner();
    assert_eq!((alone.user, users(&desk, &alone.agent.unwrap()).await), (None, vec![]));
}

#[tokio::test]
async fn nothing_is_created_when_the_user_cannot_be() {
    let mut desk = Desk::open().await;
    let (customer, main) = desk.customer("Our own").await;
    desk.user_with(&main, "Ann", |u| u.emails = vec![email("Ann Lee")]).await;
    let at = |site_id: &str| CreateAgentRequest { site_id: site_id.to_owned(), ..agent("Ann Lee", &[]) };
    let taken = desk.agents().create_agent(at(&main.id)).await.unwrap_err();
    assert_eq!((taken.code(), reason(&taken).as_str()), (Code::AlreadyExists, "EMAIL_TAKEN"));
    assert_eq!(fields(&taken), ["agent.email"]);

    let plant = desk.site(&customer, "Plant").await;
    let gone = DeleteSiteRequest { id: plant.id.clone(), etag: String::new(), request_id: request_id() };
    desk.sites().delete_site(gone).await.unwrap();
    for site in [plant.id, nobody()] {
        let status = desk.agents().create_agent(at(&site)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
        assert_eq!(fields(&status), ["site_id"]);
    }
    desk.limit(&["agents.read", "agents.write"]);
    let status = desk.agents().create_agent(at(&main.id)).await.unwrap_err();
    assert_eq!((status.code(), metadata(&status, "permission").as_str()), (Code::PermissionDenied, "users.write"));
    let listed = desk.agents().list_agents(ListAgentsRequest::default()).await.unwrap().into_inner();
    assert!(listed.agents.is_empty());
    desk.agents().create_agent(at("")).await.unwrap();
}

#[tokio::test]
async fn rejects_taken_email_in_any_case_and_frees_it_with_deletion() {
    let desk = Desk::open().await;
    let ann = desk.agent("Ann Lee", &[]).await;
    let mut other = agent("Bob Ray", &[]);
    other.agent.as_mut().unwrap().email = email("Ann Lee").to_uppercase();
    let status = desk.agents().create_agent(other.clone()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "EMAIL_TAKEN"));
    let bob = desk.agent("Bob Ray", &[]).await;
    let renamed = Agent { email: email("Ann Lee"), ..bob };
    assert_eq!(reason(&desk.change_agent(renamed, &["email"]).await.unwrap_err()), "EMAIL_TAKEN");
    delete(&desk, &ann).await.unwrap();
    other.request_id = request_id();
    desk.agents().create_agent(other).await.unwrap();
    let undelete = UndeleteAgentRequest { id: ann.id, request_id: request_id() };
    assert_eq!(reason(&desk.agents().undelete_agent(undelete).await.unwrap_err()), "EMAIL_TAKEN");
}

#[tokio::test]
async fn nobody_gives_a_role_that_grants_more_than_they_hold() {
    let mut desk = Desk::open().await;
    let wide = desk.role("Everything", &["*"]).await;
    let narrow = desk.role("Readers", &["customers.read"]).await;
    let rules = desk.role("Rules", &["customers.read", "rules.write"]).await;
    let wide_already = desk.agent("Zoe Wide", &[&wide]).await;
    desk.limit(&["agents.write", "agents.read", "customers.read"]);
    for (role, missing) in [(&wide, "*"), (&rules, "rules.write")] {
        let status = desk.agents().create_agent(agent("Ann Lee", &[role])).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "GRANT_NOT_HELD"));
        assert_eq!(metadata(&status, "permission"), missing);
    }
    let ann = desk.agent("Ann Lee", &[&narrow]).await;
    let more = Agent { role_ids: vec![narrow.id.clone(), rules.id], ..ann };
    assert_eq!(reason(&desk.change_agent(more, &["role_ids"]).await.unwrap_err()), "GRANT_NOT_HELD");
    // A role it has already is not given again.
    let wide_again = wide.clone();
    let also = Agent { role_ids: vec![wide.id, narrow.id], ..wide_already };
    assert_eq!(desk.change_agent(also, &["role_ids"]).await.unwrap().role_ids.len(), 2);
    // Nor does deletion and undeletion.
    desk.who = concierge_testkit::Who::agent(uuid::Uuid::from_u128(0xad));
    let zoe = desk.agent("Zoe Other", &[&wide_again]).await;
    delete(&desk, &zoe).await.unwrap();
    desk.limit(&["agents.write", "agents.read", "customers.read"]);
    let undelete = UndeleteAgentRequest { id: zoe.id, request_id: request_id() };
    assert_eq!(reason(&desk.agents().undelete_agent(undelete).await.unwrap_err()), "GRANT_NOT_HELD");
    let mut unknown = agent("Bob Ray", &[]);
    unknown.agent.as_mut().unwrap().role_ids = vec![nobody()];
    let status = desk.agents().create_agent(unknown).await.unwrap_err();
    assert_eq!((reason(&status).as_str(), fields(&status)), ("REFERENCE_NOT_FOUND", vec!["agent.role_ids[0]".into()]));
}

#[tokio::test]
async fn an_agent_that_looks_after_a_customer_cannot_be_deleted() {
    let desk = Desk::open().await;
    let ann = desk.agent("Ann Lee", &[]).await;
    let (customer, site) = desk.customer("Example Ltd").await;
    let user = desk.user(&site, "Ann Portal").await;
    link(&desk, &ann, &user, "").await.unwrap();
    let manage = |id: &str| UpdateCustomerRequest {
        customer: Some(Customer {
            id: customer.id.clone(),
            account_manager_agent_id: id.to_owned(),
            ..Default::default()
        }),
        update_mask: Some(mask(&["account_manager_agent_id"])),
        request_id: request_id(),
    };
    desk.customers().update_customer(manage(&ann.id)).await.unwrap();
    let status = delete(&desk, &ann).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "RECORD_IN_USE"));
    desk.customers().update_customer(manage("")).await.unwrap();
    assert!(delete(&desk, &ann).await.unwrap().delete_time.is_some());
    // Its users stay, linked to it.
    assert_eq!(users(&desk, &ann).await, [user.id]);
    let get = GetAgentRequest { id: ann.id.clone() };
    assert!(desk.agents().get_agent(get).await.unwrap().into_inner().agent.unwrap().delete_time.is_some());
    let undelete = || UndeleteAgentRequest { id: ann.id.clone(), request_id: request_id() };
    desk.agents().undelete_agent(undelete()).await.unwrap();
    assert_eq!(reason(&desk.agents().undelete_agent(undelete()).await.unwrap_err()), "RECORD_NOT_DELETED");
}

#[tokio::test]
async fn one_agent_has_many_users_with_a_login_each() {
    let desk = Desk::open().await;
    let ann = desk.agent("Ann Lee", &[]).await;
    let (_, here) = desk.customer("Example Ltd").await;
    let (_, there) = desk.customer("Other Ltd").await;
    let first = desk.user(&here, "Ann Here").await;
    let second = desk.user_with(&there, "Ann There", |u| u.login_name = "ann.there".into()).await;
    let linked = link(&desk, &ann, &first, &first.etag).await.unwrap();
    assert_eq!(linked.linked_agent_id, ann.id);
    assert_eq!(link(&desk, &ann, &first, "").await.unwrap(), linked);

    let status = link(&desk, &ann, &second, "").await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "LOGIN_NAME_REQUIRED"));
    assert_eq!(metadata(&status, "id"), first.id);
    desk.change_user(User { login_name: "ann.here".into(), ..linked }, &["login_name"]).await;
    link(&desk, &ann, &second, "").await.unwrap();
    assert_eq!(users(&desk, &ann).await, [first.id.clone(), second.id.clone()]);

    let gone = DeleteUserRequest { id: first.id.clone(), etag: String::new(), request_id: request_id() };
    desk.users().delete_user(gone).await.unwrap();
    assert_eq!(users(&desk, &ann).await, vec![second.id.clone()]);
    let unlinked = unlink(&desk, &ann, &second, "").await.unwrap();
    assert_eq!(unlinked.linked_agent_id, "");
    assert_eq!(unlink(&desk, &ann, &second, "").await.unwrap(), unlinked);
}

#[tokio::test]
async fn links_neither_what_is_not_there_nor_what_is_another_agents() {
    let desk = Desk::open().await;
    let (ann, bob) = (desk.agent("Ann Lee", &[]).await, desk.agent("Bob Ray", &[]).await);
    let (_, site) = desk.customer("Example Ltd").await;
    let user = desk.user(&site, "Ann Portal").await;
    let unknown_agent = Agent { id: nobody(), ..Default::default() };
    let unknown_user = User { id: nobody(), ..Default::default() };
    for status in [
        link(&desk, &unknown_agent, &user, "").await.unwrap_err(),
        link(&desk, &unknown_agent, &unknown_user, "").await.unwrap_err(),
        unlink(&desk, &unknown_agent, &user, "").await.unwrap_err(),
    ] {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RECORD_NOT_FOUND"));
    }
    let status = desk.agents().list_agent_users(ListAgentUsersRequest { id: nobody(), ..Default::default() }).await;
    assert_eq!(reason(&status.unwrap_err()), "RECORD_NOT_FOUND");
    for status in [
        link(&desk, &ann, &unknown_user, "").await.unwrap_err(),
        unlink(&desk, &ann, &unknown_user, "").await.unwrap_err(),
    ] {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
        assert_eq!(fields(&status), ["user_id"]);
    }
    let linked = link(&desk, &ann, &user, "").await.unwrap();
    let status = link(&desk, &bob, &user, "").await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "USER_LINKED_TO_OTHER_AGENT"));
    assert_eq!((metadata(&status, "id"), metadata(&status, "agent_id")), (user.id.clone(), ann.id.clone()));
    assert_eq!(unlink(&desk, &bob, &user, "").await.unwrap(), linked);
    assert_eq!(reason(&unlink(&desk, &ann, &user, &user.etag).await.unwrap_err()), "STALE_ETAG");
    unlink(&desk, &ann, &user, &linked.etag).await.unwrap();
    delete(&desk, &ann).await.unwrap();
    assert_eq!(reason(&link(&desk, &ann, &user, "").await.unwrap_err()), "RECORD_DELETED");
}

#[tokio::test]
async fn of_two_users_linked_at_once_without_login_names_one_is_refused() {
    let desk = Desk::open().await;
    let ann = desk.agent("Ann Lee", &[]).await;
    let (_, site) = desk.customer("Example Ltd").await;
    let mut made = Vec::new();
    for number in 0..8 {
        made.push(desk.user(&site, &format!("Ann {number}")).await);
    }
    let tried = futures::future::join_all(made.iter().map(|user| link(&desk, &ann, user, ""))).await;
    assert_eq!(tried.iter().filter(|linked| linked.is_ok()).count(), 1);
    assert_eq!(users(&desk, &ann).await.len(), 1);
}
