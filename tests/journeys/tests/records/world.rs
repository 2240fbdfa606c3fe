//! The services, and records that others refer to: two of each kind.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use concierge_directory::Directory;
use concierge_journeys::call;
use concierge_journeys::contract::message;
use concierge_notification::Notification;
use concierge_proto::METHODS;
use concierge_testkit::{Suite, Who, request_id};
use concierge_ticket_rule::TicketRule;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::{Entry, entry};

const HOMES: [(&str, &str); 3] =
    [("directory", "directory"), ("ticket_rule", "ticket-rule"), ("notification", "notification")];

/// The package, the record, what it is known as, and what it has beside a name.
type Known = (&'static str, &'static str, &'static str, Vec<(&'static str, Value)>);

pub(crate) struct World {
    pub(crate) suite: Suite,
    channels: HashMap<&'static str, (Channel, String)>,
    /// By record type.
    ids: HashMap<String, Vec<String>>,
}

impl Entry {
    /// The record's message.
    pub(crate) fn message(&self) -> MessageDescriptor {
        message(&format!("concierge.{}.v1.{}", self.package, self.record))
    }

    /// What the contract calls it, such as `user_role`.
    pub(crate) fn name(&self) -> String {
        snake(self.record)
    }
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// A message with these fields.
pub(crate) fn made<const N: usize>(descriptor: &MessageDescriptor, fields: [(&str, Value); N]) -> DynamicMessage {
    let mut made = DynamicMessage::new(descriptor.clone());
    for (name, value) in fields {
        made.set_field_by_name(name, value);
    }
    made
}

pub(crate) fn text(text: impl Into<String>) -> Value {
    Value::String(text.into())
}

pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

impl World {
    pub(crate) async fn start() -> Self {
        let mut suite = Suite::new();
        suite.start::<Directory>().await;
        suite.start::<TicketRule>().await;
        suite.start::<Notification>().await;
        let admin = Who::agent(Uuid::from_u128(0xad));
        let channels =
            HOMES.iter().map(|(package, home)| (*package, (suite.channel(home), suite.token(home, &admin)))).collect();
        let mut world = Self { suite, channels, ids: HashMap::new() };
        for seed in 0..2 {
            world.fill(seed).await;
        }
        world
    }

    async fn fill(&mut self, seed: usize) {
        let name = |what: &str| text(format!("Known {what} {seed}"));
        let customer = message("concierge.directory.v1.Customer");
        let site = message("concierge.directory.v1.Site");
        let user = message("concierge.directory.v1.User");
        let request = made(
            &message("concierge.directory.v1.CreateCustomerRequest"),
            [
                ("customer", Value::Message(made(&customer, [("name", name("customer"))]))),
                ("main_site", Value::Message(made(&site, [("name", name("site"))]))),
                ("main_contact", Value::Message(made(&user, [("name", name("user"))]))),
                ("request_id", text(request_id())),
            ],
        );
        let answer = self.send("directory", "CreateCustomer", &request).await.unwrap();
        for (field, record_type) in [("customer", "customer"), ("main_site", "site"), ("main_contact", "user")] {
            let record = answer.get_field_by_name(field).unwrap().as_message().unwrap().clone();
            self.know(record_type, &record);
        }
        let none = Vec::new;
        let email = |what: &str| text(format!("{what}{seed}@known.example"));
        let hours = message("concierge.ticket_rule.v1.WorkingHours");
        let hours =
            made(&hours, [("day", Value::EnumNumber(1)), ("start_time", text("09:00")), ("end_time", text("17:00"))]);
        let custom_field = |entity: i32| {
            let key = text(format!("known_{seed}"));
            vec![("entity", Value::EnumNumber(entity)), ("key", key), ("type", Value::EnumNumber(1))]
        };
        let others: [Known; 23] = [
            ("directory", "Relationship", "relationship", vec![("entity", Value::EnumNumber(1))]),
            ("directory", "Relationship", "relationship of users", vec![("entity", Value::EnumNumber(2))]),
            ("directory", "UserRole", "user_role", none()),
            ("directory", "SiteContactType", "site_contact_type", none()),
            ("directory", "AgentRole", "agent_role", none()),
            ("directory", "Agent", "agent", vec![("email", email("agent"))]),
            ("directory", "Department", "department", none()),
            ("directory", "Team", "team", none()),
            ("directory", "CustomField", "custom field of customers", custom_field(1)),
            ("directory", "CustomField", "custom field of sites", custom_field(2)),
            ("directory", "CustomField", "custom field of users", custom_field(3)),
            // The status of new tickets is one of the categories NEW and OPEN.
            ("ticket_rule", "Status", "status", vec![("category", Value::EnumNumber(1))]),
            ("ticket_rule", "Priority", "priority", none()),
            (
                "ticket_rule",
                "Calendar",
                "calendar",
                vec![("time_zone", text("Europe/Berlin")), ("working_hours", Value::List(vec![Value::Message(hours)]))],
            ),
            ("ticket_rule", "Category", "category", none()),
            ("ticket_rule", "Category", "category of level 2", vec![("level", Value::I32(2))]),
            ("ticket_rule", "Category", "category of level 3", vec![("level", Value::I32(3))]),
            ("ticket_rule", "Category", "category of level 4", vec![("level", Value::I32(4))]),
            ("ticket_rule", "TicketField", "ticket_field", custom_field(0)[1..].to_vec()),
            ("ticket_rule", "Sla", "sla", none()),
            ("ticket_rule", "TicketType", "ticket_type", none()),
            ("ticket_rule", "Rule", "rule", none()),
            (
                "notification",
                "EmailSender",
                "email_sender",
                vec![("host", text("mail.known.example")), ("from_address", email("desk"))],
            ),
        ];
        for (package, record, known_as, fields) in others {
            let entry = entry(package, record, "");
            let mut new = DynamicMessage::new(entry.message());
            for (field, value) in fields {
                new.set_field_by_name(field, value);
            }
            new.set_field_by_name("name", name(known_as));
            let created = self.create(&entry, &new).await;
            self.know(known_as, &created);
        }
    }

    fn know(&mut self, record_type: &str, record: &DynamicMessage) {
        let id = record.get_field_by_name("id").unwrap().as_str().unwrap().to_owned();
        self.ids.entry(record_type.to_owned()).or_default().push(id);
    }

    /// A known record of a type.
    pub(crate) fn id(&self, record_type: &str, seed: usize) -> String {
        let ids = self.ids.get(record_type).unwrap_or_else(|| panic!("no {record_type} is known"));
        ids[seed % ids.len()].clone()
    }

    /// Calls the method of that name.
    pub(crate) async fn send(
        &self,
        package: &str,
        method: &str,
        request: &DynamicMessage,
    ) -> Result<DynamicMessage, Status> {
        let service = format!("concierge.{package}.v1.");
        let found = METHODS
            .iter()
            .find(|m| m.service.starts_with(&service) && m.name == method)
            .unwrap_or_else(|| panic!("there is no method {method}"));
        let (channel, token) = &self.channels[package];
        let answer = call(channel.clone(), found.path, Some(token), request.encode_to_vec()).await?;
        let output = message(&format!("concierge.{package}.v1.{method}Response"));
        Ok(DynamicMessage::decode(output, answer).unwrap())
    }

    /// Calls a method of a record, with these fields; answers with the record.
    pub(crate) async fn ask<const N: usize>(
        &self,
        entry: &Entry,
        verb: &str,
        fields: [(&str, Value); N],
    ) -> Result<DynamicMessage, Status> {
        let method = format!("{verb}{}", entry.record);
        let mut request = made(&message(&format!("concierge.{}.v1.{method}Request", entry.package)), fields);
        if verb != "Get" {
            request.set_field_by_name("request_id", text(request_id()));
        }
        let answer = self.send(entry.package, &method, &request).await?;
        Ok(answer.get_field_by_name(&entry.name()).unwrap().as_message().unwrap().clone())
    }

    /// Creates a record. What it refers to in another service may not have been heard of yet: then again.
    pub(crate) async fn create(&self, entry: &Entry, new: &DynamicMessage) -> DynamicMessage {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let record = (entry.name(), Value::Message(new.clone()));
            let told = if entry.record == "Customer" {
                let site = made(&message("concierge.directory.v1.Site"), [("name", text("Main"))]);
                self.ask(entry, "Create", [(&record.0, record.1), ("main_site", Value::Message(site))]).await
            } else {
                self.ask(entry, "Create", [(&record.0, record.1)]).await
            };
            match told {
                Ok(created) => return created,
                Err(status) if reason(&status) == "REFERENCE_NOT_FOUND" && Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(status) => panic!("{}: {status:?}\n{new}", entry.record),
            }
        }
    }
}
