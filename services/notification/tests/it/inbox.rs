//! Inboxes: lists, marks, and streams, everybody's own.

use std::time::Duration;

use concierge_notification::Notification;
use concierge_proto::directory::{Agent, User};
use concierge_proto::event::Revocation;
use concierge_proto::notification::delivery_service_client::DeliveryServiceClient;
use concierge_proto::notification::{
    Channel, InboxItem, ListInboxItemsRequest, MarkInboxItemsReadRequest, NotificationDefinition,
    NotificationRecipients, WatchInboxRequest, WatchInboxResponse,
};
use concierge_runtime::clock::Clock as _;
use concierge_testkit::{Api, Who, request_id};
use tonic::{Code, Streaming};
use tonic_types::StatusExt as _;

use crate::world::{World, definition, id, uuid};

/// A world in which the requester and one agent find every new ticket in their inboxes.
async fn world() -> (World, User, Agent) {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    let agent = world.agent("Bo Hall", "bo@example.com").await;
    world
        .define(NotificationDefinition {
            channels: vec![Channel::Inbox.into()],
            ..definition(
                "New tickets",
                NotificationRecipients { requester: true, agent_ids: vec![agent.id.clone()], ..Default::default() },
            )
        })
        .await;
    (world, ann, agent)
}

fn as_user(world: &World, user: &User) -> DeliveryServiceClient<Api> {
    let who = Who::user(&user.id, &user.customer_id, &user.site_id);
    DeliveryServiceClient::new(world.suite.api("notification", &who))
}

fn as_agent(world: &World, agent: &Agent) -> DeliveryServiceClient<Api> {
    DeliveryServiceClient::new(world.suite.api("notification", &Who::agent(uuid(&agent.id))))
}

async fn list(client: &mut DeliveryServiceClient<Api>, unread_only: bool) -> (Vec<InboxItem>, i64) {
    let request = ListInboxItemsRequest { unread_only, ..Default::default() };
    let answer = client.list_inbox_items(request).await.unwrap().into_inner();
    (answer.inbox_items, answer.unread_count)
}

async fn mark(client: &mut DeliveryServiceClient<Api>, ids: Vec<String>) -> Result<(i32, i64), tonic::Status> {
    let request = MarkInboxItemsReadRequest { ids, request_id: request_id() };
    client.mark_inbox_items_read(request).await.map(|a| {
        let a = a.into_inner();
        (a.marked_count, a.unread_count)
    })
}

async fn next(stream: &mut Streaming<WatchInboxResponse>) -> InboxItem {
    let next = tokio::time::timeout(Duration::from_secs(10), stream.message());
    next.await.expect("an item in time").unwrap().unwrap().inbox_item.unwrap()
}

async fn watch(client: &mut DeliveryServiceClient<Api>, after_position: i64) -> Streaming<WatchInboxResponse> {
    client.watch_inbox(WatchInboxRequest { after_position }).await.unwrap().into_inner()
}

#[tokio::test]
async fn everybody_sees_their_own_items_newest_first_and_nobody_elses() {
    let (mut world, ann, agent) = world().await;
    let mut last = String::new();
    for _ in 0..3 {
        last = world.logged(Some(&ann)).await.1;
    }
    world.settled(&last).await;
    let (mut of_ann, mut of_agent) = (as_user(&world, &ann), as_agent(&world, &agent));
    let (items, unread) = list(&mut of_ann, false).await;
    assert_eq!(items.iter().map(|i| i.position).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(unread, 3);
    for item in &items {
        assert_eq!((item.user_id.as_str(), item.agent_id.as_str()), (ann.id.as_str(), ""));
        assert_eq!(item.subject, format!("{}: The VPN is down", item.ticket_number));
        assert_eq!(item.body_html, "<p>Hello Ann Lee: Since nine.<br>For all of us.</p>");
        assert!(item.read_time.is_none() && !item.delivery_id.is_empty() && item.event_type == 1);
    }
    let (of_the_agent, _) = list(&mut of_agent, false).await;
    assert!(of_the_agent.iter().all(|item| item.agent_id == agent.id && item.user_id.is_empty()));
    assert_eq!(of_the_agent.len(), 3);

    let stranger = User { id: id(), ..ann.clone() };
    assert_eq!(list(&mut as_user(&world, &stranger), false).await, (vec![], 0));
    // A filter narrows what is one's own, and reaches nothing else.
    let filter = format!("agent_id = \"{}\" OR position > 0", agent.id);
    let request = ListInboxItemsRequest { filter, ..Default::default() };
    let answer = of_ann.list_inbox_items(request).await.unwrap().into_inner();
    assert!(answer.inbox_items.iter().all(|item| item.user_id == ann.id));
    // Nor has somebody an inbox whose token names no person.
    let nobody = Who { subject: "operator".to_owned(), ..Who::agent(uuid(&agent.id)) };
    let mut nobody = DeliveryServiceClient::new(world.suite.api("notification", &nobody));
    assert_eq!(list(&mut nobody, false).await, (vec![], 0));
    let mut service = DeliveryServiceClient::new(world.suite.api("notification", &Who::service("directory")));
    let refused = service.list_inbox_items(ListInboxItemsRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn items_are_marked_as_read_all_of_them_or_none() {
    let (mut world, ann, agent) = world().await;
    for _ in 0..3 {
        let event = world.logged(Some(&ann)).await.1;
        world.settled(&event).await;
    }
    let (mut of_ann, mut of_agent) = (as_user(&world, &ann), as_agent(&world, &agent));
    let ids: Vec<String> = list(&mut of_ann, false).await.0.into_iter().map(|item| item.id).collect();
    assert_eq!(mark(&mut of_ann, ids[..2].to_vec()).await.unwrap(), (2, 1));
    assert_eq!(mark(&mut of_ann, ids[..1].to_vec()).await.unwrap(), (0, 1));
    let (unread, count) = list(&mut of_ann, true).await;
    assert_eq!((unread.len(), count), (1, 1));
    assert_eq!(unread[0].id, ids[2]);

    // Somebody else's item is not there, and nothing is marked.
    let others = list(&mut of_agent, false).await.0[0].id.clone();
    for missing in [others, id()] {
        let status = mark(&mut of_ann, vec![ids[2].clone(), missing]).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "RECORD_NOT_FOUND");
    }
    assert_eq!(list(&mut of_ann, true).await.1, 1);
    assert_eq!(list(&mut of_agent, true).await.1, 3);
    let read = list(&mut of_ann, false).await.0.into_iter().find(|item| item.id == ids[0]).unwrap();
    assert!(read.read_time.is_some() && read.etag == "2");
}

#[tokio::test]
async fn a_stream_begins_after_a_position_and_goes_on_with_what_comes() {
    let (mut world, ann, _) = world().await;
    for _ in 0..3 {
        let event = world.logged(Some(&ann)).await.1;
        world.settled(&event).await;
    }
    let mut client = as_user(&world, &ann);
    let mut all = watch(&mut client, 0).await;
    let mut rest = watch(&mut client, 2).await;
    for expected in 1..=3 {
        assert_eq!(next(&mut all).await.position, expected);
    }
    assert_eq!(next(&mut rest).await.position, 3);
    let started = std::time::Instant::now();
    let (ticket, _) = world.logged(Some(&ann)).await;
    for stream in [&mut all, &mut rest] {
        let item = next(stream).await;
        assert_eq!((item.position, item.ticket_id.as_str()), (4, ticket.id.as_str()));
    }
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_stream_of_any_replica_hears_of_new_items_within_a_second_once_each_and_in_order() {
    let (mut world, ann, _) = world().await;
    let other = world.suite.replica::<Notification>().await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", other.address)).unwrap().connect_lazy();
    let token = world.suite.token("notification", &Who::user(&ann.id, &ann.customer_id, &ann.site_id));
    let mut client = DeliveryServiceClient::new(channel);
    let mut request = tonic::Request::new(WatchInboxRequest { after_position: 0 });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut far = client.watch_inbox(request).await.unwrap().into_inner();
    let mut near = watch(&mut as_user(&world, &ann), 0).await;
    for expected in 1..=20 {
        let started = std::time::Instant::now();
        world.logged(Some(&ann)).await;
        assert_eq!((next(&mut near).await.position, next(&mut far).await.position), (expected, expected));
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_taken_away() {
    let (mut world, ann, _) = world().await;
    let mut stream = watch(&mut as_user(&world, &ann), 0).await;
    let event = world.logged(Some(&ann)).await.1;
    world.settled(&event).await;
    next(&mut stream).await;
    let now = world.suite.clock.now();
    let service = world.suite.service("directory").host.service.clone();
    let mut tx = service.begin().await.unwrap();
    let issued_before = Some(concierge_proto::record::timestamp(now));
    tx.revoke(Revocation { subject: ann.id.clone(), issued_before, ..Default::default() }).await.unwrap();
    service.commit(tx).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.message()).await.unwrap().unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated);
    assert_eq!(ended.get_error_details().error_info().unwrap().reason, "TOKEN_REVOKED");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_ended() {
    let (mut world, ann, _) = world().await;
    let pool = world.service().pool().clone();
    // Larger than what the connection holds for a reader that does not read.
    sqlx::query(
        "insert into inbox_items (id, position, user_id, delivery_id, event_id, event_type, ticket_id, ticket_number,
             subject, body_html, create_time, update_time, version)
         select gen_random_uuid(), n, $1, gen_random_uuid(), gen_random_uuid(), 1, gen_random_uuid(), n, 's',
             repeat('x', 100000), now(), now(), 1
         from generate_series(1, 200) n",
    )
    .bind(uuid(&ann.id))
    .execute(&pool)
    .await
    .unwrap();
    let mut stream = watch(&mut as_user(&world, &ann), 0).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let mut seen = 0;
    let ended = loop {
        match stream.message().await {
            Ok(item) => seen = item.unwrap().inbox_item.unwrap().position,
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::ResourceExhausted);
    assert_eq!(ended.get_error_details().error_info().unwrap().reason, "READER_TOO_SLOW");
    // Where it ended it goes on.
    let mut again = watch(&mut as_user(&world, &ann), seen).await;
    assert_eq!(next(&mut again).await.position, seen + 1);
}

/// Puts so many items of so many bytes into a user's inbox.
async fn fill(world: &mut World, user: &User, items: i32, bytes: i32) {
    let pool = world.service().pool().clone();
    sqlx::query(
        "insert into inbox_items (id, position, user_id, delivery_id, event_id, event_type, ticket_id, ticket_number,
             subject, body_html, create_time, update_time, version)
         select gen_random_uuid(), n, $1, gen_random_uuid(), gen_random_uuid(), 1, gen_random_uuid(), n, 's',
             repeat('x', $3), now(), now(), 1
         from generate_series(1, $2) n",
    )
    .bind(uuid(&user.id))
    .bind(items)
    .bind(bytes)
    .execute(&pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_page_ends_before_it_is_too_large_for_a_message_and_the_next_goes_on() {
    let (mut world, ann, _) = world().await;
    fill(&mut world, &ann, 40, 100_000).await;
    let mut client = as_user(&world, &ann);
    let mut pages = Vec::new();
    let mut seen: Vec<i64> = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListInboxItemsRequest { page_size: 1_000, page_token, ..Default::default() };
        let answer = client.list_inbox_items(request).await.unwrap().into_inner();
        assert_eq!(answer.unread_count, 40);
        pages.push(answer.inbox_items.len());
        seen.extend(answer.inbox_items.iter().map(|item| item.position));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, (1..=40).rev().collect::<Vec<i64>>());
    // 3 MiB hold 31 of them.
    assert_eq!(pages, [31, 9]);

    // What is small comes in one page, however it is read; a page is as long as was asked for.
    let bob = world.user("Bob Ray", "bob@example.org").await;
    fill(&mut world, &bob, 600, 10).await;
    let mut client = as_user(&world, &bob);
    for (page_size, expected) in [(0, 50), (7, 7), (333, 333), (1_000, 600)] {
        let request = ListInboxItemsRequest { page_size, ..Default::default() };
        let answer = client.list_inbox_items(request).await.unwrap().into_inner();
        assert_eq!((answer.inbox_items.len(), answer.next_page_token.is_empty()), (expected, expected == 600));
    }
}

#[tokio::test]
async fn a_stream_reads_what_is_large_in_parts_and_leaves_nothing_out() {
    let (mut world, ann, _) = world().await;
    fill(&mut world, &ann, 130, 10_000).await;
    let mut stream = watch(&mut as_user(&world, &ann), 0).await;
    for expected in 1..=130 {
        assert_eq!(next(&mut stream).await.position, expected);
    }
}

#[tokio::test]
async fn one_caller_has_twenty_streams_at_most_and_another_still_has_its_own() {
    let (world, ann, agent) = world().await;
    let mut client = as_user(&world, &ann);
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(watch(&mut client, 0).await);
    }
    let refused = client.watch_inbox(WatchInboxRequest { after_position: 0 }).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.get_error_details().error_info().unwrap().reason, "OVERLOADED");
    assert!(refused.get_error_details().retry_info().is_some());
    watch(&mut as_agent(&world, &agent), 0).await;
    // One that ended makes room.
    streams.pop();
    for _ in 0..500 {
        if client.watch_inbox(WatchInboxRequest { after_position: 0 }).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the stream that ended still counts");
}
