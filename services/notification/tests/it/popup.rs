//! `PopupService`: decisions 10 and 11, the popups of rules, and what is shown while others are away.

use chrono::{Days, TimeDelta};
use chrono_tz::Tz;
use concierge_directory::Directory;
use concierge_proto::common::criterion_value::Kind;
use concierge_proto::common::{CriteriaGroup, Criterion, CriterionValue, GroupKind, Operator};
use concierge_proto::directory::{Customer, Site, UpdateCustomerRequest, UpdateUserRequest, User};
use concierge_proto::notification::{
    DeletePopupNoteRequest, DismissPopupRequest, GetPopupSettingsRequest, ListPopupsRequest, PopupKind, PopupNote,
    PopupSettings, UndeletePopupNoteRequest,
};
use concierge_proto::ticket_rule::{
    CreateRuleRequest, Rule, RuleAppliesTo, RuleOutcomes, Ticket, TicketDraft, UpdateTicketRequest,
};
use concierge_testkit::{Who, request_id};
use concierge_ticket_rule::TicketRule;
use tonic::Code;
use uuid::Uuid;

use crate::popup_desk::{Desk, Requester, because, id, important_role, kinds, mask, of, refused, texts};

fn window(note: PopupNote, from: chrono::NaiveDate, until: chrono::NaiveDate) -> PopupNote {
    PopupNote { from_date: from.to_string(), until_date: until.to_string(), ..note }
}

/// A rule with a popup text for tickets whose summary has a word in it.
fn rule(name: &str, word: &str, popup: &str) -> Rule {
    let value = CriterionValue { kind: Some(Kind::Text(word.to_owned())) };
    let criterion = Criterion {
        field: "ticket.summary".into(),
        operator: Operator::Contains.into(),
        values: vec![value],
        case_sensitive: false,
    };
    Rule {
        name: name.to_owned(),
        criteria: Some(CriteriaGroup { kind: GroupKind::All.into(), criteria: vec![criterion], groups: vec![] }),
        outcomes: Some(RuleOutcomes { popup_html: popup.to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

async fn add(desk: &Desk, rule: Rule) -> Rule {
    let request = CreateRuleRequest { rule: Some(rule), request_id: request_id() };
    desk.rules().create_rule(request).await.unwrap().into_inner().rule.unwrap()
}

async fn rename(desk: &Desk, ticket: &Ticket, summary: &str) {
    let request = UpdateTicketRequest {
        ticket: Some(Ticket { summary: summary.to_owned(), etag: String::new(), ..ticket.clone() }),
        update_mask: Some(mask(&["summary"])),
        request_id: request_id(),
        ..Default::default()
    };
    desk.tickets().update_ticket(request).await.unwrap();
}

#[tokio::test]
async fn decision_10_a_note_that_begins_tomorrow_in_auckland_is_shown_there_already() {
    let mut desk = Desk::open().await;
    let mut ann = Requester::new();
    ann.site.time_zone = "Pacific/Auckland".into();
    ann.customer.time_zone = "America/Los_Angeles".into();
    desk.hear_all(&ann).await;
    let berlin = Requester::new();
    desk.hear_all(&berlin).await;
    desk.at_hour(18);
    let (auckland, utc) = (desk.today(Tz::Pacific__Auckland), desk.today(Tz::UTC));
    assert_eq!(auckland, utc + Days::new(1));
    for requester in [&ann, &berlin] {
        desk.note(window(requester.of_user("from tomorrow"), auckland, auckland)).await;
        desk.note(window(requester.of_user("until today"), utc, utc)).await;
    }
    assert_eq!(texts(&desk.of_draft(ann.draft()).await), ["from tomorrow"]);
    assert_eq!(texts(&desk.of_draft(berlin.draft()).await), ["until today"]);
    let ticket = desk.log(ann.ticket("x")).await;
    assert_eq!(texts(&desk.of_ticket(&ticket).await), ["from tomorrow"]);
    desk.suite.clock.advance(TimeDelta::days(1));
    assert!(desk.of_draft(ann.draft()).await.is_empty());
    assert_eq!(texts(&desk.of_draft(berlin.draft()).await), ["from tomorrow"]);
}

#[tokio::test]
async fn decision_10_the_days_are_the_sites_else_the_customers_else_utc() {
    let mut desk = Desk::open().await;
    desk.at_hour(18);
    let utc = desk.today(Tz::UTC);
    for (site_zone, customer_zone, shown) in [
        ("", "Pacific/Auckland", "tomorrow"),
        ("Pacific/Auckland", "", "tomorrow"),
        ("Europe/London", "Pacific/Auckland", "today"),
        ("", "", "today"),
    ] {
        let mut ann = Requester::new();
        ann.site.time_zone = site_zone.into();
        ann.customer.time_zone = customer_zone.into();
        desk.hear_all(&ann).await;
        let tomorrow = utc + Days::new(1);
        desk.note(window(ann.of_customer("today"), utc, utc)).await;
        desk.note(window(ann.of_customer("tomorrow"), tomorrow, tomorrow)).await;
        assert_eq!(texts(&desk.of_draft(ann.draft()).await), [shown], "{site_zone} {customer_zone}");
    }
}

#[tokio::test]
async fn decision_10_dismissal_is_per_agent_and_note_and_editing_the_text_undoes_it() {
    let mut desk = Desk::open().await;
    let ann = Requester::new();
    desk.hear_all(&ann).await;
    let note = desk.note(PopupNote { dismissible: true, ..ann.of_user("Call back") }).await;
    desk.note(PopupNote { dismissible: true, ..ann.of_user("other") }).await;
    let first = desk.dismiss(&note).await.unwrap();
    desk.suite.clock.advance(TimeDelta::minutes(5));
    assert_eq!(desk.dismiss(&note).await.unwrap(), first, "dismissing it again changes nothing");
    assert_eq!(texts(&desk.of_draft(ann.draft()).await), ["other"]);
    let me = desk.who.clone();
    desk.who = Who::agent(Uuid::from_u128(0xbe));
    assert_eq!(texts(&desk.of_draft(ann.draft()).await), ["Call back", "other"]);
    desk.who = me;

    // What is not the text undoes nothing, deletion included.
    let note = desk.change_note(PopupNote { until_date: "2999-01-01".into(), ..note }, &["until_date"]).await.unwrap();
    let delete = DeletePopupNoteRequest { id: note.id.clone(), etag: String::new(), request_id: request_id() };
    desk.notes().delete_popup_note(delete).await.unwrap();
    assert_eq!(refused(desk.dismiss(&note).await), because(Code::NotFound, "RECORD_NOT_FOUND", &[]));
    let undelete = UndeletePopupNoteRequest { id: note.id.clone(), request_id: request_id() };
    desk.notes().undelete_popup_note(undelete).await.unwrap();
    assert_eq!(texts(&desk.of_draft(ann.draft()).await), ["other"]);

    let edited = PopupNote { text_html: "Call back today".into(), etag: String::new(), ..note.clone() };
    desk.change_note(edited, &["text_html"]).await.unwrap();
    assert_eq!(texts(&desk.of_draft(ann.draft()).await), ["Call back today", "other"]);
    // Back to the first text: that is a change, too.
    let back = PopupNote { etag: String::new(), ..note.clone() };
    desk.change_note(back, &["text_html"]).await.unwrap();
    assert_eq!(texts(&desk.of_draft(ann.draft()).await), ["Call back", "other"]);
    assert!(desk.dismiss(&note).await.unwrap() > first);
    assert_eq!(texts(&desk.of_draft(ann.draft()).await), ["other"]);
}

#[tokio::test]
async fn decision_10_only_a_dismissible_note_can_be_dismissed() {
    let mut desk = Desk::alone().await;
    let note = desk.note(Requester::new().of_user("x")).await;
    assert_eq!(refused(desk.dismiss(&note).await), because(Code::FailedPrecondition, "POPUP_NOT_DISMISSIBLE", &[]));
    let unknown = PopupNote { id: id(), ..note.clone() };
    assert_eq!(refused(desk.dismiss(&unknown).await), because(Code::NotFound, "RECORD_NOT_FOUND", &[]));
    // Reading popups is all it needs; it is for agents only.
    desk.change_note(PopupNote { dismissible: true, ..note.clone() }, &["dismissible"]).await.unwrap();
    desk.who = Who::service("ticket-rule");
    assert_eq!(refused(desk.dismiss(&note).await), because(Code::PermissionDenied, "CALLER_KIND_REFUSED", &[]));
    desk.who = Who::agent(Uuid::from_u128(1)).with_scope(&["popups.read"]);
    desk.dismiss(&note).await.unwrap();
}

#[tokio::test]
async fn a_text_that_was_changed_meanwhile_is_not_dismissed_unseen() {
    let desk = Desk::alone().await;
    let ann = Requester::new();
    let note = desk.note(PopupNote { dismissible: true, ..ann.of_user("Call back") }).await;
    let seen = desk.of_draft(ann.draft()).await[0].text_revision;
    assert_eq!(seen, 1);
    let edited = PopupNote { text_html: "Never call".into(), ..note.clone() };
    desk.change_note(edited, &["text_html"]).await.unwrap();
    assert_eq!(refused(desk.dismiss_seen(&note, Some(seen)).await), because(Code::Aborted, "STALE_ETAG", &[]));
    let shown = desk.of_draft(ann.draft()).await;
    assert_eq!((texts(&shown), shown[0].text_revision), (vec!["Never call"], 2));
    desk.dismiss_seen(&note, Some(2)).await.unwrap();
    assert!(desk.of_draft(ann.draft()).await.is_empty());
}

#[tokio::test]
async fn a_dismissed_note_is_shown_again_while_it_is_not_dismissible() {
    let desk = Desk::alone().await;
    let ann = Requester::new();
    let note = desk.note(PopupNote { dismissible: true, ..ann.of_user("Call back") }).await;
    desk.dismiss(&note).await.unwrap();
    assert!(desk.of_draft(ann.draft()).await.is_empty());
    let dismissible = |dismissible| PopupNote { dismissible, etag: String::new(), ..note.clone() };
    desk.change_note(dismissible(false), &["dismissible"]).await.unwrap();
    assert_eq!(texts(&desk.of_draft(ann.draft()).await), ["Call back"]);
    desk.change_note(dismissible(true), &["dismissible"]).await.unwrap();
    assert!(desk.of_draft(ann.draft()).await.is_empty());
}

#[tokio::test]
async fn dismissing_the_same_note_at_once_is_one_dismissal() {
    let desk = Desk::alone().await;
    let note = desk.note(PopupNote { dismissible: true, ..Requester::new().of_user("x") }).await;
    let request =
        DismissPopupRequest { popup_note_id: note.id.clone(), request_id: request_id(), ..Default::default() };
    let (mut one, mut two) = (desk.popups(), desk.popups());
    let (a, b, c) =
        tokio::join!(one.dismiss_popup(request.clone()), two.dismiss_popup(request.clone()), desk.dismiss(&note));
    assert_eq!(a.unwrap().into_inner(), b.unwrap().into_inner());
    c.unwrap();
}

#[tokio::test]
async fn shows_notes_of_the_customer_the_site_and_the_user_in_this_order() {
    let mut desk = Desk::open().await;
    let (ann, other) = (Requester::new(), Requester::new());
    desk.hear_all(&ann).await;
    desk.hear_all(&other).await;
    for text in ["one", "two"] {
        desk.note(ann.of_user(&format!("user {text}"))).await;
        desk.note(ann.of_site(&format!("site {text}"))).await;
        desk.note(ann.of_customer(&format!("customer {text}"))).await;
    }
    desk.note(other.of_user("other")).await;
    desk.note(PopupNote { active: Some(false), ..ann.of_user("inactive") }).await;
    let ticket = desk.log(ann.ticket("x")).await;
    let shown = desk.of_ticket(&ticket).await;
    assert_eq!(texts(&shown), ["customer one", "customer two", "site one", "site two", "user one", "user two"]);
    assert_eq!(shown[0].customer_id, ann.customer.id);
    assert_eq!(shown[2].site_id, ann.site.id);
    assert_eq!((shown[4].user_id.as_str(), shown[4].site_id.as_str()), (ann.user.id.as_str(), ""));
    assert!(shown.iter().all(|popup| !popup.popup_note_id.is_empty() && !popup.dismissible));
    // A draft takes the site and the customer that it does not name from its user.
    assert_eq!(texts(&desk.of_draft(ann.draft()).await), texts(&shown));
    let elsewhere = TicketDraft { site_id: other.site.id.clone(), ..ann.draft() };
    assert_eq!(texts(&desk.of_draft(elsewhere).await), ["user one", "user two"]);
    let of_customer = TicketDraft { customer_id: ann.customer.id.clone(), ..Default::default() };
    assert_eq!(
        texts(&desk.of_draft(of_customer).await),
        ["customer one", "customer two", "site one", "site two"],
        "the customer's main site is the site it would get"
    );
}

#[tokio::test]
async fn decision_11_the_vip_popups_are_off_until_their_settings_are_on() {
    let mut desk = Desk::open().await;
    let mut ann = Requester::new();
    ann.user = User { important: true, name: "Ann <b>Lee</b>".into(), ..ann.user };
    ann.customer = Customer { important: true, ..ann.customer };
    desk.hear_all(&ann).await;
    let ticket = desk.log(ann.ticket("x")).await;
    assert!(desk.of_ticket(&ticket).await.is_empty());
    desk.vip_popups(true, false).await;
    let shown = desk.of_ticket(&ticket).await;
    assert_eq!(texts(&shown), ["<strong>Ann &lt;b&gt;Lee&lt;/b&gt;</strong> is an important user."]);
    assert_eq!((shown[0].kind(), shown[0].user_id.as_str()), (PopupKind::VipUser, ann.user.id.as_str()));
    desk.vip_popups(false, true).await;
    let shown = desk.of_ticket(&ticket).await;
    assert_eq!(texts(&shown), ["<strong>Example Ltd</strong> is an important customer."]);
    assert_eq!((shown[0].kind(), shown[0].customer_id.as_str()), (PopupKind::VipCustomer, ann.customer.id.as_str()));
    desk.vip_popups(true, true).await;
    desk.note(ann.of_user("note")).await;
    let all = [PopupKind::VipUser, PopupKind::VipCustomer, PopupKind::Note];
    assert_eq!(kinds(&desk.of_ticket(&ticket).await), all);
    assert_eq!(kinds(&desk.of_draft(ann.draft()).await), all);
    // Who may not read importance is not told of it.
    desk.who = Who::agent(Uuid::from_u128(1)).with_scope(&["popups.read"]);
    assert_eq!(kinds(&desk.of_ticket(&ticket).await), [PopupKind::Note]);
}

#[tokio::test]
async fn decision_11_covers_importance_by_a_role_but_not_by_the_customer() {
    let mut desk = Desk::open().await;
    desk.vip_popups(true, false).await;
    let role = important_role();
    desk.hear(&role).await;
    let mut ann = Requester::new();
    ann.user.role_ids = vec![role.id.clone()];
    let mut bob = Requester::new();
    bob.customer.important = true;
    desk.hear_all(&ann).await;
    desk.hear_all(&bob).await;
    assert_eq!(kinds(&desk.of_draft(ann.draft()).await), [PopupKind::VipUser]);
    assert!(desk.of_draft(bob.draft()).await.is_empty());
}

#[tokio::test]
async fn shows_the_popups_of_the_rules_that_matched_a_ticket_each_once_with_its_latest_text() {
    let mut desk = Desk::open().await;
    let ann = Requester::new();
    desk.hear_all(&ann).await;
    let printer = add(&desk, rule("Printers", "printer", "Ask for the <b onclick=x()>floor</b>")).await;
    add(&desk, rule("Silent", "printer", "")).await;
    let mail = Rule { applies_to: RuleAppliesTo::Existing.into(), ..rule("Mail", "mail", "Ask for the address") };
    add(&desk, mail).await;
    let ticket = desk.log(ann.ticket("The printer is on fire")).await;
    let shown = desk.of_ticket(&ticket).await;
    assert_eq!(texts(&shown), ["Ask for the <b>floor</b>"]);
    assert_eq!((shown[0].kind(), shown[0].rule_id.as_str()), (PopupKind::Rule, printer.id.as_str()));
    assert_eq!(shown[0].rule_name, "Printers");

    rename(&desk, &ticket, "The mail is slow").await;
    assert_eq!(texts(&desk.of_ticket(&ticket).await), ["Ask for the <b>floor</b>", "Ask for the address"]);
    let changed = Rule {
        outcomes: Some(RuleOutcomes { popup_html: "Ask for the room".into(), ..Default::default() }),
        ..printer
    };
    let update = concierge_proto::ticket_rule::UpdateRuleRequest {
        rule: Some(changed),
        update_mask: Some(mask(&["outcomes"])),
        request_id: request_id(),
    };
    desk.rules().update_rule(update).await.unwrap();
    let texts_now = desk.of_ticket(&ticket).await;
    assert_eq!(texts(&texts_now)[0], "Ask for the <b>floor</b>", "it has not matched again");
    rename(&desk, &ticket, "The printer burnt the mail").await;
    // In the order in which they ran when they matched last: the same precedence, so in that of their creation.
    assert_eq!(texts(&desk.of_ticket(&ticket).await), ["Ask for the room", "Ask for the address"]);
}

#[tokio::test]
async fn shows_the_popups_of_the_rules_that_would_match_a_draft() {
    let mut desk = Desk::open().await;
    let ann = Requester::new();
    desk.hear_all(&ann).await;
    add(&desk, rule("Printers", "printer", "Ask for the floor")).await;
    let source = Criterion {
        field: "ticket.source".into(),
        operator: Operator::Is.into(),
        values: vec![CriterionValue { kind: Some(Kind::Choice("AGENT".into())) }],
        case_sensitive: false,
    };
    let by_agents = Rule {
        criteria: Some(CriteriaGroup { kind: GroupKind::All.into(), criteria: vec![source], groups: vec![] }),
        ..rule("By agents", "", "Be kind")
    };
    add(&desk, by_agents).await;
    let draft = TicketDraft { summary: "printer".into(), ..ann.draft() };
    assert_eq!(texts(&desk.of_draft(draft.clone()).await), ["Ask for the floor", "Be kind"]);
    assert_eq!(texts(&desk.of_draft(ann.draft()).await), ["Be kind"]);
    let nowhere = TicketDraft { status_id: id(), ..draft };
    assert_eq!(
        refused(desk.list(of(nowhere)).await),
        because(Code::InvalidArgument, "REFERENCE_NOT_FOUND", &["draft.status_id"])
    );
}

#[tokio::test]
async fn asks_for_exactly_one_of_a_ticket_and_a_draft() {
    let desk = Desk::open().await;
    let invalid = |fields| because(Code::InvalidArgument, "INVALID_FIELD", fields);
    assert_eq!(refused(desk.list(ListPopupsRequest::default()).await), invalid(&["ticket_id"]));
    let both = ListPopupsRequest { ticket_id: id(), draft: Some(TicketDraft::default()) };
    assert_eq!(refused(desk.list(both).await), invalid(&["ticket_id", "draft"]));
    let unknown = ListPopupsRequest { ticket_id: id(), draft: None };
    assert_eq!(refused(desk.list(unknown).await), because(Code::NotFound, "RECORD_NOT_FOUND", &[]));
    assert!(desk.of_draft(TicketDraft::default()).await.is_empty());
}

#[tokio::test]
async fn shows_what_it_knows_while_ticket_rule_is_away() {
    let mut desk = Desk::open().await;
    desk.vip_popups(true, true).await;
    let mut ann = Requester::new();
    ann.user.important = true;
    desk.hear_all(&ann).await;
    add(&desk, rule("Printers", "printer", "Ask for the floor")).await;
    desk.note(ann.of_site("note")).await;
    let ticket = desk.log(ann.ticket("printer")).await;
    desk.hear(&ticket).await;
    desk.suite.kill("ticket-rule");
    let mut away = Default::default();
    for _ in 0..100 {
        // A connection that was open answers until it has heard of the end.
        away = desk.list(ListPopupsRequest { ticket_id: ticket.id.clone(), draft: None }).await.unwrap();
        if away.rules_missing {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!((kinds(&away.popups), away.rules_missing), (vec![PopupKind::VipUser, PopupKind::Note], true));
    let away = desk.list(of(TicketDraft { summary: "printer".into(), ..ann.draft() })).await.unwrap();
    assert_eq!((kinds(&away.popups), away.rules_missing), (vec![PopupKind::VipUser, PopupKind::Note], true));
    let never_heard_of = ListPopupsRequest { ticket_id: id(), draft: None };
    assert_eq!(refused(desk.list(never_heard_of).await), because(Code::Unavailable, "UPSTREAM_UNAVAILABLE", &[]));
    desk.suite.restart::<TicketRule>().await;
    let back = [PopupKind::VipUser, PopupKind::Note, PopupKind::Rule];
    for _ in 0..50 {
        let shown = desk.list(ListPopupsRequest { ticket_id: ticket.id.clone(), draft: None }).await.unwrap();
        if !shown.rules_missing {
            assert_eq!(kinds(&shown.popups), back);
            return;
        }
    }
    panic!("ticket-rule is back, and its popups are missing");
}

#[tokio::test]
async fn who_was_made_important_a_moment_ago_is_shown_as_important() {
    let desk = Desk::whole().await;
    desk.vip_popups(true, true).await;
    let ann = desk.requester(|_| {}).await;
    desk.note(ann.of_site("note")).await;
    let ticket = desk.log(ann.ticket("x")).await;
    assert_eq!(kinds(&desk.of_ticket(&ticket).await), [PopupKind::Note]);
    let update = UpdateUserRequest {
        user: Some(User { important: true, ..ann.user.clone() }),
        update_mask: Some(mask(&["important"])),
        request_id: request_id(),
    };
    desk.users().update_user(update).await.unwrap();
    assert_eq!(kinds(&desk.of_ticket(&ticket).await), [PopupKind::VipUser, PopupKind::Note]);
    let update = UpdateCustomerRequest {
        customer: Some(Customer { important: true, ..ann.customer.clone() }),
        update_mask: Some(mask(&["important"])),
        request_id: request_id(),
    };
    desk.customers().update_customer(update).await.unwrap();
    let all = [PopupKind::VipUser, PopupKind::VipCustomer, PopupKind::Note];
    assert_eq!(kinds(&desk.of_draft(ann.draft()).await), all);
}

#[tokio::test]
async fn a_rule_that_matched_on_stale_facts_only_is_shown_no_more_once_that_was_corrected() {
    let mut desk = Desk::whole().await;
    let ann = desk.requester(|user| user.important = true).await;
    let bob = desk.requester(|_| {}).await;
    for (name, important) in [("important", true), ("not important", false)] {
        let criterion = Criterion {
            field: "user.important".into(),
            operator: Operator::Is.into(),
            values: vec![CriterionValue { kind: Some(Kind::Flag(important)) }],
            case_sensitive: false,
        };
        let criteria = CriteriaGroup { kind: GroupKind::All.into(), criteria: vec![criterion], groups: vec![] };
        add(&desk, Rule { criteria: Some(criteria), ..rule(name, "", name) }).await;
    }
    let ticket = desk.log(ann.ticket("x")).await;
    assert_eq!(texts(&desk.of_ticket(&ticket).await), ["important"]);
    desk.suite.kill("directory");
    // What was last heard of both is wrong by now.
    desk.hear(&User { important: false, etag: "100".into(), ..ann.user.clone() }).await;
    desk.hear(&User { important: true, etag: "100".into(), ..bob.user.clone() }).await;
    let (of_ann, of_bob) = (desk.log(ann.ticket("x")).await, desk.log(bob.ticket("x")).await);
    assert_eq!(texts(&desk.of_ticket(&of_ann).await), ["not important"]);
    assert_eq!(texts(&desk.of_ticket(&of_bob).await), ["important"]);
    desk.suite.restart::<Directory>().await;
    for (ticket, expected) in [(of_ann, "important"), (of_bob, "not important")] {
        let start = std::time::Instant::now();
        loop {
            let shown = desk.of_ticket(&ticket).await;
            if texts(&shown) == [expected] {
                break;
            }
            assert!(start.elapsed() < std::time::Duration::from_secs(20), "{shown:?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn popups_are_for_agents_only() {
    let mut desk = Desk::alone().await;
    let ann = Requester::new();
    for who in [Who::user(&ann.user.id, &ann.customer.id, &ann.site.id), Who::service("ticket-rule")] {
        desk.who = who;
        assert_eq!(
            refused(desk.list(of(ann.draft())).await),
            because(Code::PermissionDenied, "CALLER_KIND_REFUSED", &[])
        );
    }
    desk.who = Who::agent(Uuid::from_u128(1)).with_scope(&["popups.write"]);
    assert_eq!(refused(desk.list(of(ann.draft())).await), because(Code::PermissionDenied, "PERMISSION_MISSING", &[]));
}

#[tokio::test]
async fn settings_change_by_mask_and_etag() {
    let mut desk = Desk::alone().await;
    let read = async |desk: &Desk| {
        let request = GetPopupSettingsRequest {};
        desk.popups().get_popup_settings(request).await.unwrap().into_inner().popup_settings.unwrap()
    };
    let before = read(&desk).await;
    assert_eq!((before.vip_popup_enabled, before.vip_customer_popup_enabled, before.update_time), (false, false, None));
    let both = PopupSettings { vip_popup_enabled: true, vip_customer_popup_enabled: true, ..before.clone() };
    let changed = desk.settings(both.clone(), &["vip_popup_enabled"]).await.unwrap();
    assert_eq!((changed.vip_popup_enabled, changed.vip_customer_popup_enabled), (true, false));
    assert!(changed.update_time.is_some() && changed.etag != before.etag);
    assert_eq!(read(&desk).await, changed);
    assert_eq!(
        refused(desk.settings(both.clone(), &["vip_customer_popup_enabled"]).await),
        because(Code::Aborted, "STALE_ETAG", &[])
    );
    let same = PopupSettings { etag: String::new(), ..changed.clone() };
    assert_eq!(desk.settings(same.clone(), &["vip_popup_enabled"]).await.unwrap(), changed);
    assert_eq!(
        refused(desk.settings(same.clone(), &["colour"]).await),
        because(Code::InvalidArgument, "INVALID_FIELD", &["update_mask"])
    );
    let told: Vec<(String, Vec<String>)> =
        sqlx::query_as("select actor, fields from changes where record_type = 'popup_settings'")
            .fetch_all(&desk.suite.service("notification").database.pool)
            .await
            .unwrap();
    assert_eq!(told, [(desk.who.subject.clone(), vec!["vip_popup_enabled".to_owned()])]);
    desk.who = Who::agent(Uuid::from_u128(1)).with_scope(&["popups.read", "popups.write"]);
    assert_eq!(
        refused(desk.settings(same, &["vip_popup_enabled"]).await),
        because(Code::PermissionDenied, "PERMISSION_MISSING", &[])
    );
}

#[tokio::test]
async fn a_ticket_without_a_site_has_the_days_of_its_customer() {
    let mut desk = Desk::open().await;
    let (mut ann, mut host) = (Requester::new(), Requester::new());
    ann.site = Site { time_zone: "Pacific/Auckland".into(), ..ann.site };
    host.customer = Customer { time_zone: "America/Los_Angeles".into(), main_site_id: String::new(), ..host.customer };
    desk.hear_all(&ann).await;
    desk.hear_all(&host).await;
    desk.at_hour(18);
    let utc = desk.today(Tz::UTC);
    desk.note(window(ann.of_user("today"), utc, utc)).await;
    // The user's own site is not one of that customer.
    let draft = TicketDraft { customer_id: host.customer.id.clone(), ..ann.draft() };
    assert_eq!(texts(&desk.of_draft(draft).await), ["today"]);
}
