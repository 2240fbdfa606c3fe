//! `TeamService`.

use concierge_proto::directory::{
    AddTeamMemberRequest, Agent, CreateTeamRequest, DeleteAgentRequest, DeleteTeamRequest, ListTeamsRequest,
    RemoveTeamMemberRequest, Team, UndeleteTeamRequest, UpdateTeamRequest,
};
use concierge_testkit::request_id;
use tonic::{Code, Status};

use crate::desk::{Desk, fields, mask, metadata, nobody, reason};

fn named(name: &str, members: &[&Agent], lead: Option<&Agent>) -> CreateTeamRequest {
    let team = Team {
        name: name.to_owned(),
        agent_ids: members.iter().map(|a| a.id.clone()).collect(),
        lead_agent_id: lead.map(|a| a.id.clone()).unwrap_or_default(),
        ..Default::default()
    };
    CreateTeamRequest { team: Some(team), request_id: request_id() }
}

async fn create(desk: &Desk, request: CreateTeamRequest) -> Result<Team, Status> {
    Ok(desk.teams().create_team(request).await?.into_inner().team.unwrap())
}

async fn add(desk: &Desk, team: &Team, agent_id: &str, etag: &str) -> Result<Team, Status> {
    let request = AddTeamMemberRequest {
        team_id: team.id.clone(),
        agent_id: agent_id.to_owned(),
        etag: etag.to_owned(),
        request_id: request_id(),
    };
    Ok(desk.teams().add_team_member(request).await?.into_inner().team.unwrap())
}

async fn remove(desk: &Desk, team: &Team, agent_id: &str, etag: &str) -> Result<Team, Status> {
    let request = RemoveTeamMemberRequest {
        team_id: team.id.clone(),
        agent_id: agent_id.to_owned(),
        etag: etag.to_owned(),
        request_id: request_id(),
    };
    Ok(desk.teams().remove_team_member(request).await?.into_inner().team.unwrap())
}

async fn delete_agent(desk: &Desk, agent: &Agent) -> Result<(), Status> {
    let request = DeleteAgentRequest { id: agent.id.clone(), etag: String::new(), request_id: request_id() };
    desk.agents().delete_agent(request).await.map(drop)
}

async fn delete(desk: &Desk, team: &Team) -> Result<(), Status> {
    let request = DeleteTeamRequest { id: team.id.clone(), etag: String::new(), request_id: request_id() };
    desk.teams().delete_team(request).await.map(drop)
}

#[tokio::test]
async fn members_come_and_go_once() {
    let desk = Desk::open().await;
    let (ann, bob) = (desk.agent("Ann Lee", &[]).await, desk.agent("Bob Ray", &[]).await);
    let team = create(&desk, named("First line", &[&ann], Some(&ann))).await.unwrap();
    let with_bob = add(&desk, &team, &bob.id, &team.etag).await.unwrap();
    assert_eq!(with_bob.agent_ids, [ann.id.clone(), bob.id.clone()]);
    assert_eq!(add(&desk, &team, &bob.id, "").await.unwrap(), with_bob);

    let request = ListTeamsRequest { filter: format!("agent_ids : \"{}\"", bob.id), ..Default::default() };
    assert_eq!(desk.teams().list_teams(request).await.unwrap().into_inner().teams, vec![with_bob.clone()]);

    let without_ann = remove(&desk, &team, &ann.id, &with_bob.etag).await.unwrap();
    assert_eq!((without_ann.agent_ids.clone(), without_ann.lead_agent_id.as_str()), (vec![bob.id.clone()], ""));
    assert_eq!(remove(&desk, &team, &ann.id, "").await.unwrap(), without_ann);
    assert_eq!(remove(&desk, &team, &nobody(), "").await.unwrap(), without_ann);
}

#[tokio::test]
async fn refuses_a_lead_that_is_no_member() {
    let desk = Desk::open().await;
    let (ann, bob) = (desk.agent("Ann Lee", &[]).await, desk.agent("Bob Ray", &[]).await);
    let status = create(&desk, named("First line", &[&ann], Some(&bob))).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "AGENT_NOT_IN_TEAM"));
    assert_eq!((fields(&status), metadata(&status, "id")), (vec!["team.lead_agent_id".to_owned()], bob.id.clone()));
    let team = create(&desk, named("First line", &[&ann], Some(&ann))).await.unwrap();
    let request = UpdateTeamRequest {
        team: Some(Team { id: team.id.clone(), lead_agent_id: bob.id.clone(), ..Default::default() }),
        update_mask: Some(mask(&["lead_agent_id"])),
        request_id: request_id(),
    };
    let status = desk.teams().update_team(request).await.unwrap_err();
    assert_eq!((reason(&status), metadata(&status, "team_id")), ("AGENT_NOT_IN_TEAM".to_owned(), team.id));
}

#[tokio::test]
async fn refuses_agents_that_are_not_there() {
    let desk = Desk::open().await;
    let ann = desk.agent("Ann Lee", &[]).await;
    delete_agent(&desk, &ann).await.unwrap();
    let status = create(&desk, named("First line", &[&ann], None)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
    assert_eq!(fields(&status), ["team.agent_ids[0]"]);
    let team = create(&desk, named("First line", &[], None)).await.unwrap();
    for id in [&ann.id, &nobody()] {
        let status = add(&desk, &team, id, "").await.unwrap_err();
        assert_eq!((reason(&status).as_str(), fields(&status)), ("REFERENCE_NOT_FOUND", vec!["agent_id".to_owned()]));
    }
}

#[tokio::test]
async fn refuses_stale_etag_unknown_and_deleted_team() {
    let desk = Desk::open().await;
    let ann = desk.agent("Ann Lee", &[]).await;
    let team = create(&desk, named("First line", &[], None)).await.unwrap();
    add(&desk, &team, &ann.id, "").await.unwrap();
    let stale = remove(&desk, &team, &ann.id, &team.etag).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "STALE_ETAG"));
    let unknown = Team { id: nobody(), ..Default::default() };
    assert_eq!(reason(&add(&desk, &unknown, &ann.id, "").await.unwrap_err()), "RECORD_NOT_FOUND");
    assert_eq!(reason(&remove(&desk, &unknown, &ann.id, "").await.unwrap_err()), "RECORD_NOT_FOUND");
    delete(&desk, &team).await.unwrap();
    assert_eq!(reason(&delete(&desk, &team).await.unwrap_err()), "RECORD_DELETED");
    assert_eq!(reason(&add(&desk, &team, &ann.id, "").await.unwrap_err()), "RECORD_DELETED");
    assert_eq!(reason(&remove(&desk, &team, &ann.id, "").await.unwrap_err()), "RECORD_DELETED");
}

#[tokio::test]
async fn a_member_deleted_while_its_team_was_stays_and_can_be_removed() {
    let desk = Desk::open().await;
    let (ann, bob) = (desk.agent("Ann Lee", &[]).await, desk.agent("Bob Ray", &[]).await);
    let team = create(&desk, named("First line", &[&ann, &bob], Some(&ann))).await.unwrap();
    assert_eq!(reason(&delete_agent(&desk, &ann).await.unwrap_err()), "RECORD_IN_USE");
    delete(&desk, &team).await.unwrap();
    delete_agent(&desk, &ann).await.unwrap();
    delete_agent(&desk, &bob).await.unwrap();
    let undelete = UndeleteTeamRequest { id: team.id.clone(), request_id: request_id() };
    let back = desk.teams().undelete_team(undelete).await.unwrap().into_inner().team.unwrap();
    assert_eq!(back.agent_ids, [ann.id.clone(), bob.id.clone()]);
    let left = remove(&desk, &team, &ann.id, "").await.unwrap();
    assert_eq!((left.agent_ids, left.lead_agent_id.as_str()), (vec![bob.id.clone()], ""));
}

#[tokio::test]
async fn a_team_has_a_thousand_members_at_most() {
    let mut desk = Desk::open().await;
    let members: Vec<uuid::Uuid> = sqlx::query_scalar(
        "insert into agents (id, name, email, role_ids, active, phone, job_title, create_time, update_time, version)
         select gen_random_uuid(), 'Agent', 'agent' || n || '@example.com', '{}', true, '', '', now(), now(), 1
         from generate_series(1, 1000) n returning id",
    )
    .fetch_all(&desk.suite.service("directory").database.pool)
    .await
    .unwrap();
    let members: Vec<String> = members.iter().map(ToString::to_string).collect();
    let team = Team { name: "Everybody".to_owned(), agent_ids: members.clone(), ..Default::default() };
    let request = CreateTeamRequest { team: Some(team), request_id: request_id() };
    let team = create(&desk, request).await.unwrap();
    let one_more = desk.agent("One more", &[]).await;
    let status = add(&desk, &team, &one_more.id, "").await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    assert_eq!(add(&desk, &team, &members[0], "").await.unwrap().agent_ids.len(), 1_000);
}

#[tokio::test]
async fn agents_added_at_once_are_all_members() {
    let desk = Desk::open().await;
    let team = create(&desk, named("First line", &[], None)).await.unwrap();
    let mut agents = Vec::new();
    for number in 0..16 {
        agents.push(desk.agent(&format!("Agent {number}"), &[]).await);
    }
    let added = agents.iter().map(|agent| add(&desk, &team, &agent.id, ""));
    assert!(futures::future::join_all(added).await.iter().all(Result::is_ok));
    let request = ListTeamsRequest::default();
    let listed = desk.teams().list_teams(request).await.unwrap().into_inner().teams;
    assert_eq!(listed[0].agent_ids.len(), 16);
}

#[tokio::test]
async fn rejects_taken_name_also_of_a_team_that_comes_back() {
    let desk = Desk::open().await;
    let team = create(&desk, named("First line", &[], None)).await.unwrap();
    assert_eq!(reason(&create(&desk, named("first LINE", &[], None)).await.unwrap_err()), "NAME_TAKEN");
    delete(&desk, &team).await.unwrap();
    create(&desk, named("first LINE", &[], None)).await.unwrap();
    let undelete = UndeleteTeamRequest { id: team.id, request_id: request_id() };
    assert_eq!(reason(&desk.teams().undelete_team(undelete).await.unwrap_err()), "NAME_TAKEN");
}
