//! Every record of the contract, through its whole life: created with every field, read back, listed, changed field by
//! field, deleted, listed as deleted, brought back.
#![allow(clippy::unwrap_used, missing_docs)]

mod life;
mod values;
mod world;

use std::collections::BTreeSet;

use concierge_journeys::contract::is;
use concierge_proto::METHODS;
use concierge_proto::directory::site_contact_service_client::SiteContactServiceClient;
use concierge_proto::directory::{AssignSiteContactRequest, ListSiteContactsRequest, RemoveSiteContactRequest};
use concierge_testkit::request_id;
use futures::StreamExt as _;

use world::World;

/// A kind of record.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The package, such as `directory`.
    package: &'static str,
    /// The message.
    record: &'static str,
    /// What its list calls them.
    many: &'static str,
    /// Fields that cannot stand beside the others; another entry has them.
    without: &'static [&'static str],
    /// Fields that can only be changed together.
    together: &'static [&'static str],
    /// Whether it lives while no other does, because it says what others must have.
    alone: bool,
}

const fn entry(package: &'static str, record: &'static str, many: &'static str) -> Entry {
    Entry { package, record, many, without: &[], together: &[], alone: false }
}

const RECORDS: &[Entry] = &[
    entry("directory", "Customer", "customers"),
    entry("directory", "Site", "sites"),
    entry("directory", "User", "users"),
    entry("directory", "UserRole", "user_roles"),
    entry("directory", "Relationship", "relationships"),
    entry("directory", "SiteContactType", "site_contact_types"),
    entry("directory", "Agent", "agents"),
    entry("directory", "AgentRole", "agent_roles"),
    entry("directory", "Department", "departments"),
    // A field that records require, until that is changed.
    Entry { alone: true, ..entry("directory", "CustomField", "custom_fields") },
    Entry { together: &["lead_agent_id", "agent_ids"], ..entry("directory", "Team", "teams") },
    entry("ticket_rule", "TicketType", "ticket_types"),
    entry("ticket_rule", "Status", "statuses"),
    entry("ticket_rule", "Priority", "priorities"),
    entry("ticket_rule", "Calendar", "calendars"),
    entry("ticket_rule", "Category", "categories"),
    entry("ticket_rule", "TicketField", "ticket_fields"),
    entry("ticket_rule", "Sla", "slas"),
    entry("ticket_rule", "Rule", "rules"),
    Entry {
        together: &["event_type", "rule_id"],
        ..entry("notification", "NotificationDefinition", "notification_definitions")
    },
    Entry {
        together: &["host", "port", "security", "ca_certificate", "username", "password"],
        ..entry("notification", "EmailSender", "email_senders")
    },
    Entry { without: &["site_id", "user_id"], ..entry("notification", "PopupNote", "popup_notes") },
    Entry { without: &["customer_id", "user_id"], ..entry("notification", "PopupNote", "popup_notes") },
    Entry { without: &["customer_id", "site_id"], ..entry("notification", "PopupNote", "popup_notes") },
];

#[test]
fn no_record_of_the_contract_is_left_out() {
    let created: BTreeSet<String> = METHODS
        .iter()
        .filter(|method| method.name.starts_with("Create"))
        .map(|method| format!("{}/{}", method.service, method.name))
        .collect();
    let walked: BTreeSet<String> = RECORDS
        .iter()
        .map(|entry| format!("concierge.{}.v1.{}Service/Create{}", entry.package, entry.record, entry.record))
        // A token is no record: nobody reads or changes one.
        .chain(["concierge.directory.v1.AccessService/CreateToken".to_owned()])
        .collect();
    assert_eq!(created, walked);

    for entry in RECORDS {
        let record = entry.message();
        let others = || RECORDS.iter().filter(|other| other.record == entry.record);
        for field in record.fields().filter(|field| !is(field, "output_only")) {
            let left_out = others().all(|other| other.without.contains(&field.name()));
            assert!(!left_out, "{} is in no entry", field.full_name());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_lives_from_its_creation_to_its_return() {
    let world = World::start().await;
    for entry in RECORDS.iter().filter(|entry| entry.alone) {
        life::live(&world, entry).await;
    }
    let others = RECORDS.iter().filter(|entry| !entry.alone);
    futures::stream::iter(others).map(|entry| life::live(&world, entry)).buffer_unordered(4).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_site_contact_is_listed_as_deleted_only_when_asked_for() {
    let world = World::start().await;
    let mut contacts = SiteContactServiceClient::new(world.suite.admin("directory"));
    let assign = AssignSiteContactRequest {
        site_id: world.id("site", 0),
        user_id: world.id("user", 0),
        type_id: world.id("site_contact_type", 0),
        request_id: request_id(),
    };
    let assigned = contacts.assign_site_contact(assign).await.unwrap().into_inner().site_contact.unwrap();
    let remove = RemoveSiteContactRequest { id: assigned.id.clone(), request_id: request_id(), ..Default::default() };
    let removed = contacts.remove_site_contact(remove).await.unwrap().into_inner().site_contact.unwrap();
    assert!(removed.delete_time.is_some());
    for show_deleted in [false, true] {
        let request = ListSiteContactsRequest { show_deleted, ..Default::default() };
        let listed = contacts.list_site_contacts(request).await.unwrap().into_inner().site_contacts;
        assert_eq!(listed, if show_deleted { vec![removed.clone()] } else { Vec::new() });
    }
}
