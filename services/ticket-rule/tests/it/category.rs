//! `CategoryService`, and the categories of tickets.

use concierge_proto::common::Operator;
use concierge_proto::ticket_rule::category_service_client::CategoryServiceClient;
use concierge_proto::ticket_rule::{
    Category, CreateCategoryRequest, DeleteCategoryRequest, EvaluateRulesRequest, ListTicketsRequest, RuleOutcomes,
    Ticket, TicketDraft, UndeleteCategoryRequest, UpdateCategoryRequest,
};
use concierge_testkit::{Api, request_id};
use tonic::{Code, Status};

use crate::desk::{self, Desk, id};
use crate::support::{about, because, criterion, id_of, mask, refused, rule};

fn categories(desk: &Desk) -> CategoryServiceClient<Api> {
    CategoryServiceClient::new(desk.suite.admin("ticket-rule"))
}

async fn try_create(desk: &Desk, name: &str, level: i32, parent_id: &str) -> Result<Category, Status> {
    let category =
        Category { name: name.to_owned(), level: Some(level), parent_id: parent_id.to_owned(), ..Default::default() };
    let request = CreateCategoryRequest { category: Some(category), request_id: request_id() };
    Ok(categories(desk).create_category(request).await?.into_inner().category.unwrap())
}

async fn create(desk: &Desk, name: &str, level: i32, parent_id: &str) -> String {
    try_create(desk, name, level, parent_id).await.unwrap().id
}

async fn update(desk: &Desk, category: Category, path: &str) -> Result<Category, Status> {
    let request =
        UpdateCategoryRequest { category: Some(category), update_mask: mask(&[path]), request_id: request_id() };
    Ok(categories(desk).update_category(request).await?.into_inner().category.unwrap())
}

async fn delete(desk: &Desk, id: &str) -> Result<Category, Status> {
    let request = DeleteCategoryRequest { id: id.to_owned(), etag: String::new(), request_id: request_id() };
    Ok(categories(desk).delete_category(request).await?.into_inner().category.unwrap())
}

fn fields(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let broken = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    broken.into_iter().map(|violation| violation.field).collect()
}

/// Network above VPN above Certificate; Mail beside Network; Urgent of level 2 below none.
struct Tree {
    network: String,
    vpn: String,
    certificate: String,
    mail: String,
    urgent: String,
}

impl Tree {
    async fn grow(desk: &Desk) -> Self {
        let network = create(desk, "Network", 1, "").await;
        let vpn = create(desk, "VPN", 2, &network).await;
        let certificate = create(desk, "Certificate", 3, &vpn).await;
        let (mail, urgent) = (create(desk, "Mail", 1, "").await, create(desk, "Urgent", 2, "").await);
        Self { network, vpn, certificate, mail, urgent }
    }
}

fn path(ticket: &Ticket) -> [&str; 4] {
    [&ticket.category_1_id, &ticket.category_2_id, &ticket.category_3_id, &ticket.category_4_id]
}

#[tokio::test]
async fn each_level_is_a_list_of_its_own_and_a_child_stands_in_the_one_below() {
    let desk = Desk::alone().await;
    let tree = Tree::grow(&desk).await;
    let taken = because(Code::AlreadyExists, "NAME_TAKEN");
    assert_eq!(refused(try_create(&desk, "network", 1, "").await), taken);
    assert_eq!(refused(try_create(&desk, "vpn", 2, &tree.network).await), taken);
    // Another parent, and another level.
    create(&desk, "VPN", 2, &tree.mail).await;
    create(&desk, "Network", 2, "").await;

    let missing = because(Code::InvalidArgument, "REFERENCE_NOT_FOUND");
    assert_eq!(refused(try_create(&desk, "Token", 3, &tree.network).await), missing);
    assert_eq!(refused(try_create(&desk, "Token", 2, &id()).await), missing);
    let invalid = because(Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(refused(try_create(&desk, "Top", 1, &tree.network).await), invalid);
    assert_eq!(refused(try_create(&desk, "Deep", 5, "").await), invalid);
    let moved = Category { id: tree.vpn.clone(), level: Some(3), ..Default::default() };
    assert_eq!(refused(update(&desk, moved, "level").await), invalid);
    let moved = Category { id: tree.vpn.clone(), parent_id: tree.certificate.clone(), ..Default::default() };
    assert_eq!(refused(update(&desk, moved, "parent_id").await), missing);
}

#[tokio::test]
async fn a_ticket_has_one_of_each_level_below_its_parent() {
    let mut desk = Desk::alone().await;
    let tree = Tree::grow(&desk).await;
    let one = desk.heard_of_one().await;
    // The levels above follow.
    let logged = desk.log(Ticket { category_3_id: tree.certificate.clone(), ..one.ticket("Printer") }).await.unwrap();
    let ticket = logged.ticket.unwrap();
    assert_eq!(path(&ticket), [&tree.network, &tree.vpn, &tree.certificate, ""]);

    let astray = Ticket { category_1_id: tree.mail.clone(), ..ticket.clone() };
    let refusal = desk.update(astray.clone(), &["category_1_id"]).await.unwrap_err();
    assert_eq!((refusal.code(), desk::reason(&refusal).as_str()), (Code::InvalidArgument, "CATEGORY_OF_OTHER_PARENT"));
    assert_eq!(fields(&refusal), ["ticket.category_2_id"]);
    assert!(refusal.message().contains("VPN stands below Network"), "{}", refusal.message());

    let moved = Ticket { category_2_id: tree.urgent.clone(), category_3_id: String::new(), ..astray };
    let paths = ["category_1_id", "category_2_id", "category_3_id"];
    let moved = desk.update(moved, &paths).await.unwrap().ticket.unwrap();
    assert_eq!(path(&moved), [&tree.mail, &tree.urgent, "", ""]);

    // Every one that is wrong is told at once: of another level, not there.
    let wrong = Ticket { category_1_id: tree.vpn.clone(), category_4_id: id(), ..one.ticket("Printer") };
    let refusal = desk.log(wrong).await.unwrap_err();
    assert_eq!(desk::reason(&refusal), "REFERENCE_NOT_FOUND");
    assert_eq!(fields(&refusal), ["ticket.category_1_id", "ticket.category_4_id"]);

    let filter = format!("category_1_id = \"{}\"", tree.mail);
    let listed = desk.tickets().list_tickets(ListTicketsRequest { filter, ..Default::default() }).await.unwrap();
    assert_eq!(listed.into_inner().tickets.iter().map(|t| &t.id).collect::<Vec<_>>(), [&moved.id]);
    let events = desk.events(2).await;
    let (_, told) = &events[1];
    assert_eq!(told.changed_fields, ["ticket.category_1", "ticket.category_2", "ticket.category_3"]);
    assert_eq!(told.names.clone().unwrap().categories, ["Mail", "Urgent"]);
}

#[tokio::test]
async fn a_rule_tests_one_and_gives_one_with_those_above() {
    let mut desk = Desk::alone().await;
    let tree = Tree::grow(&desk).await;
    let one = desk.heard_of_one().await;
    let vpn = RuleOutcomes { category_2_id: tree.vpn.clone(), ..Default::default() };
    desk.rule(rule("VPN", vec![about("vpn")], vpn)).await;
    // A later rule sees what the first one gave, the parent included.
    let in_network = criterion("ticket.category_1", Operator::Is, [id_of(&tree.network)]);
    desk.rule(rule("Network", vec![in_network], crate::support::tag("network"))).await;
    let logged = desk.log(one.ticket("VPN is slow")).await.unwrap().ticket.unwrap();
    assert_eq!(path(&logged), [&tree.network, &tree.vpn, "", ""]);
    assert_eq!(logged.tags, ["network"]);

    // What stood below goes when it fits no more, and an agent's choice that fits stays.
    let mail = RuleOutcomes { category_1_id: tree.mail.clone(), ..Default::default() };
    desk.rule(rule("Mail", vec![about("mail")], mail)).await;
    let fitting = Ticket { category_3_id: tree.certificate.clone(), ..one.ticket("mail") };
    assert_eq!(path(&desk.log(fitting).await.unwrap().ticket.unwrap()), [&tree.mail, "", "", ""]);
    let fitting = Ticket { category_2_id: tree.urgent.clone(), ..one.ticket("mail") };
    assert_eq!(path(&desk.log(fitting).await.unwrap().ticket.unwrap()), [&tree.mail, &tree.urgent, "", ""]);

    // Where a category moved to is seen at once.
    let spam = create(&desk, "Spam", 2, &tree.network).await;
    let spam_moves = RuleOutcomes { category_2_id: spam.clone(), ..Default::default() };
    desk.rule(rule("Spam", vec![about("lottery")], spam_moves)).await;
    update(&desk, Category { id: spam.clone(), parent_id: tree.mail.clone(), ..Default::default() }, "parent_id")
        .await
        .unwrap();
    let logged = desk.log(one.ticket("lottery")).await.unwrap().ticket.unwrap();
    assert_eq!((path(&logged), logged.tags.len()), ([&tree.mail, &spam, "", ""], 0));

    let draft = TicketDraft { summary: "mail".to_owned(), category_2_id: tree.vpn.clone(), ..Default::default() };
    let tried = EvaluateRulesRequest { draft: Some(draft), ..Default::default() };
    let tried = desk.rules().evaluate_rules(tried).await.unwrap().into_inner();
    assert_eq!(path(&tried.ticket.unwrap()), [&tree.mail, "", "", ""]);

    let torn = RuleOutcomes { category_1_id: tree.mail, category_2_id: tree.vpn, ..Default::default() };
    let torn = desk.try_rule(rule("Torn", Vec::new(), torn)).await.unwrap_err();
    assert_eq!(desk::reason(&torn), "CATEGORY_OF_OTHER_PARENT");
    assert_eq!(fields(&torn), ["rule.outcomes.category_2_id"]);
    let other_level = RuleOutcomes { category_1_id: tree.urgent, ..Default::default() };
    let other_level = desk.try_rule(rule("Level", Vec::new(), other_level)).await;
    assert_eq!(refused(other_level), because(Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
}

#[tokio::test]
async fn stays_while_an_open_ticket_a_child_or_a_rule_names_it() {
    let mut desk = Desk::alone().await;
    let tree = Tree::grow(&desk).await;
    let one = desk.heard_of_one().await;
    let in_use = because(Code::FailedPrecondition, "RECORD_IN_USE");
    assert_eq!(refused(delete(&desk, &tree.network).await), in_use);

    let logged = desk.log(Ticket { category_1_id: tree.mail.clone(), ..one.ticket("Printer") }).await.unwrap();
    assert_eq!(refused(delete(&desk, &tree.mail).await), in_use);
    desk.close(&logged.ticket.unwrap().id).await.unwrap();
    delete(&desk, &tree.mail).await.unwrap();

    let urgent = criterion("ticket.category_2", Operator::Is, [id_of(&tree.urgent)]);
    desk.rule(rule("Urgent", vec![urgent], crate::support::tag("urgent"))).await;
    assert_eq!(refused(delete(&desk, &tree.urgent).await), in_use);

    delete(&desk, &tree.certificate).await.unwrap();
    delete(&desk, &tree.vpn).await.unwrap();
    // It cannot come back below what is gone.
    let request = UndeleteCategoryRequest { id: tree.certificate, request_id: request_id() };
    let back = categories(&desk).undelete_category(request).await;
    assert_eq!(refused(back), because(Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
}

#[tokio::test]
async fn a_ticket_keeps_what_no_longer_fits_until_its_categories_change() {
    let mut desk = Desk::alone().await;
    let tree = Tree::grow(&desk).await;
    let one = desk.heard_of_one().await;
    let logged = desk.log(Ticket { category_2_id: tree.vpn.clone(), ..one.ticket("Printer") }).await.unwrap();
    let ticket = logged.ticket.unwrap();
    let moved = Category { id: tree.vpn.clone(), parent_id: tree.mail.clone(), ..Default::default() };
    update(&desk, moved, "parent_id").await.unwrap();
    let same = Ticket { summary: "Scanner".to_owned(), ..ticket.clone() };
    let kept = desk.update(Ticket { etag: String::new(), ..same }, &["summary"]).await.unwrap().ticket.unwrap();
    assert_eq!(path(&kept), [&tree.network, &tree.vpn, "", ""]);
    let below = Ticket { category_3_id: tree.certificate.clone(), etag: String::new(), ..kept };
    let refusal = desk.update(below, &["category_3_id"]).await;
    assert_eq!(refused(refusal), because(Code::InvalidArgument, "CATEGORY_OF_OTHER_PARENT"));
}
