//! MergeTickets.

use concierge_proto::event::TicketEventKind;
use concierge_proto::ticket_rule::{
    ApplyRuleRequest, CountOpenTicketsRequest, ListTicketActionsRequest, ListTicketsRequest, MergeTicketsRequest,
    MergeTicketsResponse, StatusCategory, Ticket, TicketAction, TicketActionVisibility,
};
use concierge_testkit::request_id;
use futures::future::join_all;
use tonic::{Code, Status};

use crate::desk::{self, CLOSED, Desk, OPEN, Requester};
use crate::support::{about, because, refused, rule, tag};

async fn try_merge(
    desk: &Desk,
    target: &str,
    sources: &[&str],
    request_id: String,
) -> Result<MergeTicketsResponse, Status> {
    let request = MergeTicketsRequest {
        target_id: target.to_owned(),
        ticket_ids: sources.iter().map(|id| (*id).to_owned()).collect(),
        etag: String::new(),
        request_id,
    };
    Ok(desk.tickets().merge_tickets(request).await?.into_inner())
}

async fn merge(desk: &Desk, target: &str, sources: &[&str]) -> Result<MergeTicketsResponse, Status> {
    try_merge(desk, target, sources, request_id()).await
}

async fn log(desk: &Desk, ticket: Ticket) -> Ticket {
    desk.log(ticket).await.unwrap().ticket.unwrap()
}

fn note(text: &str) -> TicketAction {
    TicketAction {
        text: text.to_owned(),
        visibility: TicketActionVisibility::Public.into(),
        external_id: "mail-1".to_owned(),
        ..Default::default()
    }
}

async fn actions(desk: &Desk, ticket_id: &str) -> Vec<TicketAction> {
    let request = ListTicketActionsRequest { ticket_id: ticket_id.to_owned(), ..Default::default() };
    desk.tickets().list_ticket_actions(request).await.unwrap().into_inner().ticket_actions
}

#[tokio::test]
async fn actions_tags_followers_and_requesters_follow_and_the_merged_ones_point_to_the_target() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let bea = desk::user_at(&one.site, "Bea Kim");
    desk.heard(&bea).await;
    let target = log(&desk, Ticket { tags: vec!["printer".into()], ..one.ticket("Printer") }).await;
    let mut asked =
        Ticket { user_id: bea.id.clone(), tags: vec!["printer".into(), "urgent".into()], ..one.ticket("Same") };
    asked.external_id = "INC1".into();
    let source = log(&desk, asked).await;
    // The same e-mail came to both.
    desk.act(&target.id, note("to the target")).await.unwrap();
    desk.act(&source.id, note("to the other")).await.unwrap();
    let count =
        |customer_id: &str| CountOpenTicketsRequest { customer_id: customer_id.to_owned(), ..Default::default() };
    let open = desk.tickets().count_open_tickets(count(&one.customer.id)).await.unwrap().into_inner().open_count;
    assert_eq!(open, 2);
    let rule = desk.rule(rule("Any", vec![], tag("ruled"))).await;

    let id = request_id();
    let done = try_merge(&desk, &target.id, &[&source.id], id.clone()).await.unwrap();
    let (merged, after) = (done.merged_tickets[0].clone(), done.ticket.clone().unwrap());
    assert_eq!((merged.merged_into_id.as_str(), merged.status_id.as_str()), (target.id.as_str(), CLOSED));
    assert!(merged.closed_time.is_some() && merged.status_category() == StatusCategory::Closed);
    assert_eq!(
        (after.tags.clone(), after.follower_user_ids.clone()),
        (vec!["printer".to_owned(), "urgent".into()], vec![bea.id])
    );
    assert_eq!((after.user_id, after.summary), (target.user_id, target.summary));
    assert_eq!(desk.get(&target.id).await, done.ticket.clone().unwrap());
    assert_eq!(desk.get(&source.id).await, merged);
    let found: Vec<(String, String)> =
        actions(&desk, &target.id).await.into_iter().map(|a| (a.text, a.original_ticket_id)).collect();
    assert_eq!(found, [("to the target".to_owned(), String::new()), ("to the other".to_owned(), source.id.clone())]);
    assert!(actions(&desk, &source.id).await.is_empty());
    let open = desk.tickets().count_open_tickets(count(&one.customer.id)).await.unwrap().into_inner().open_count;
    assert_eq!(open, 1);
    // Again is once.
    assert_eq!(try_merge(&desk, &target.id, &[&source.id], id).await.unwrap(), done);

    // Found by what it is called, and by where it went.
    for filter in [
        "external_id = \"INC1\"".to_owned(),
        format!("number = {}", source.number),
        format!("merged_into_id = \"{}\"", target.id),
    ] {
        let request = ListTicketsRequest { filter, ..Default::default() };
        let listed = desk.tickets().list_tickets(request).await.unwrap().into_inner().tickets;
        assert_eq!(listed.iter().map(|t| &t.id).collect::<Vec<_>>(), [&source.id]);
    }

    // No rule ran; everybody was told, of the merged one first.
    let events = desk.events(6).await;
    let kinds: Vec<Vec<TicketEventKind>> = events[4..].iter().map(|(_, event)| event.kinds().collect()).collect();
    use TicketEventKind::{Closed, Merged, Updated};
    assert_eq!(kinds, [vec![Closed, Merged], vec![Updated, Merged]]);
    assert!(events[4..].iter().all(|(_, event)| event.evaluation.is_none()));
    assert!(events[4].1.counted_before.as_ref().unwrap().open && !events[4].1.counted_after.as_ref().unwrap().open);

    // It takes nothing any more, not even what would reopen it.
    let merged_away = because(Code::FailedPrecondition, "TICKET_MERGED");
    let reopened = Ticket { id: source.id.clone(), status_id: OPEN.to_owned(), ..Default::default() };
    let refusal = desk.update(reopened, &["status_id"]).await.unwrap_err();
    assert_eq!(
        refusal.message(),
        format!("ticket {} was merged into ticket {}: change that one", source.number, target.number)
    );
    assert_eq!(refused::<()>(Err(refusal)), merged_away);
    let new = TicketAction { external_id: "mail-2".into(), ..note("late") };
    assert_eq!(refused(desk.act(&source.id, new).await), merged_away);
    assert_eq!(refused(desk.close(&source.id).await), merged_away);
    let request = ApplyRuleRequest {
        rule_id: rule,
        ticket_id: source.id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    assert_eq!(refused(desk.rules().apply_rule(request).await), merged_away);
    // What was done to it before is told first, as ever.
    let repeated = desk.act(&source.id, note("to the other")).await;
    assert_eq!(refused(repeated), because(Code::AlreadyExists, "EXTERNAL_ID_TAKEN"));
}

#[tokio::test]
async fn those_merged_before_point_to_where_it_all_went() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let (a, b, c) =
        (log(&desk, one.ticket("a")).await, log(&desk, one.ticket("b")).await, log(&desk, one.ticket("c")).await);
    desk.act(&a.id, note("a")).await.unwrap();
    merge(&desk, &b.id, &[&a.id]).await.unwrap();
    // A closed one can be merged, too, and keeps its time.
    let closed = desk.close(&b.id).await.unwrap();
    let done = merge(&desk, &c.id, &[&b.id]).await.unwrap();
    assert_eq!(done.merged_tickets[0].closed_time, closed.closed_time);
    assert_eq!(desk.get(&a.id).await.merged_into_id, c.id);
    assert_eq!(actions(&desk, &c.id).await[0].original_ticket_id, a.id);

    let merged_away = because(Code::FailedPrecondition, "TICKET_MERGED");
    assert_eq!(refused(merge(&desk, &a.id, &[&c.id]).await), merged_away);
    assert_eq!(refused(merge(&desk, &c.id, &[&b.id]).await), merged_away);
}

#[tokio::test]
async fn refuses_what_cannot_be_merged() {
    let mut desk = Desk::alone().await;
    let (one, other) = (desk.heard_of_one().await, Requester::new());
    desk.heard(&other.customer).await;
    desk.heard(&other.site).await;
    desk.heard(&other.user).await;
    let (a, b) = (log(&desk, one.ticket("a")).await, log(&desk, other.ticket("b")).await);
    let refusal = merge(&desk, &a.id, &[&b.id]).await;
    assert_eq!(refused(refusal), because(Code::FailedPrecondition, "TICKET_OF_OTHER_CUSTOMER"));
    let refusal = merge(&desk, &a.id, &[&a.id]).await;
    assert_eq!(refused(refusal), because(Code::InvalidArgument, "INVALID_FIELD"));
    let refusal = merge(&desk, &a.id, &[&desk::id()]).await;
    assert_eq!(refused(refusal), because(Code::NotFound, "RECORD_NOT_FOUND"));
    let request = MergeTicketsRequest {
        target_id: a.id.clone(),
        ticket_ids: vec![log(&desk, one.ticket("c")).await.id],
        etag: "7".into(),
        request_id: request_id(),
    };
    let refusal = desk.tickets().merge_tickets(request).await;
    assert_eq!(refused(refusal), because(Code::Aborted, "STALE_ETAG"));
    assert_eq!(desk.get(&a.id).await, a);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_cross_make_no_loop() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    for _ in 0..8 {
        let (a, b) = (log(&desk, one.ticket("a")).await, log(&desk, one.ticket("b")).await);
        let (from_a, from_b) = ([a.id.as_str()], [b.id.as_str()]);
        let (there, back) = tokio::join!(merge(&desk, &b.id, &from_a), merge(&desk, &a.id, &from_b));
        let (done, refusal) = match (there, back) {
            (Ok(done), Err(refusal)) | (Err(refusal), Ok(done)) => (done, refusal),
            both => panic!("{both:?}"),
        };
        assert_eq!(refused::<()>(Err(refusal)), because(Code::FailedPrecondition, "TICKET_MERGED"));
        let (stays, gone) = (done.ticket.unwrap(), done.merged_tickets[0].clone());
        assert_eq!((stays.merged_into_id.as_str(), &gone.merged_into_id), ("", &stays.id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_action_is_left_behind_at_a_merged_ticket() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    for _ in 0..4 {
        let (a, b) = (log(&desk, one.ticket("a")).await, log(&desk, one.ticket("b")).await);
        let texts: Vec<String> = (0..6).map(|number| format!("note {number}")).collect();
        let add = |text: &String| {
            let action = TicketAction { text: text.clone(), ..Default::default() };
            let (desk, id) = (&desk, a.id.clone());
            async move { desk.act(&id, action).await }
        };
        let from_a = [a.id.as_str()];
        let (done, added) = tokio::join!(merge(&desk, &b.id, &from_a), join_all(texts.iter().map(add)));
        done.unwrap();
        let mut expected = Vec::new();
        for (text, added) in texts.iter().zip(added) {
            match added {
                Ok(_) => expected.push(text.clone()),
                Err(refusal) => {
                    assert_eq!(refused::<()>(Err(refusal)), because(Code::FailedPrecondition, "TICKET_MERGED"));
                }
            }
        }
        let mut found: Vec<String> = actions(&desk, &b.id).await.into_iter().map(|action| action.text).collect();
        found.sort();
        assert_eq!(found, expected);
        assert!(actions(&desk, &a.id).await.is_empty());
    }
}

#[tokio::test]
async fn the_target_keeps_its_times() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let target = log(&desk, one.ticket("vpn")).await;
    let source = log(&desk, one.ticket("vpn")).await;
    desk.act(&source.id, TicketAction { external_id: String::new(), ..note("answered") }).await.unwrap();
    desk.rule(rule("VPN", vec![about("vpn")], tag("vpn"))).await;
    let after = merge(&desk, &target.id, &[&source.id]).await.unwrap().ticket.unwrap();
    assert_eq!((after.responded_time, after.logged_time), (None, target.logged_time));
    assert_ne!(after.etag, target.etag);
}
