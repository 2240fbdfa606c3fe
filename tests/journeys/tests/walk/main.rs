//! Every RPC of every service, called as nobody should call it: each refusal has the right code, a reason, every bad
//! field, and nothing of the server's inside.
#![allow(clippy::unwrap_used, missing_docs)]

mod requests;
mod tokens;

use std::collections::{BTreeSet, HashMap};

use concierge_directory::Directory;
use concierge_journeys::call;
use concierge_notification::Notification;
use concierge_proto::{CallerKind, METHODS, Method};
use concierge_testkit::{Suite, Who};
use concierge_ticket_rule::TicketRule;
use futures::StreamExt as _;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

const AUDIENCES: [(&str, &str); 3] = [
    ("concierge.directory.v1", "directory"),
    ("concierge.ticket_rule.v1", "ticket-rule"),
    ("concierge.notification.v1", "notification"),
];
/// So many methods are walked at once.
const AT_ONCE: usize = 8;

/// Every service, and a connection to each.
struct Walk {
    suite: Suite,
    channels: HashMap<&'static str, Channel>,
}

impl Walk {
    async fn start() -> Self {
        let mut suite = Suite::new();
        suite.start::<Directory>().await;
        suite.start::<TicketRule>().await;
        suite.start::<Notification>().await;
        let channels = AUDIENCES.iter().map(|(_, home)| (*home, suite.channel(home))).collect();
        Self { suite, channels }
    }

    /// Calls a method of a service; answers whether that went through, and how not.
    async fn call(&self, home: &str, path: &'static str, token: Option<&str>, body: Vec<u8>) -> Result<(), Status> {
        call(self.channels[home].clone(), path, token, body).await.map(drop)
    }

    /// Does something with every method, at every service that has it.
    async fn each(&self, of: impl AsyncFn(&'static Method, &'static str)) {
        let all = METHODS.iter().flat_map(|method| homes(method).into_iter().map(move |home| (method, home)));
        futures::stream::iter(all)
            .map(|(method, home)| of(method, home))
            .buffer_unordered(AT_ONCE)
            .collect::<()>()
            .await;
    }
}

/// The services that have a method: every one has the feed.
fn homes(method: &Method) -> Vec<&'static str> {
    let own = AUDIENCES.iter().find(|(package, _)| method.service.starts_with(package));
    own.map_or_else(|| AUDIENCES.iter().map(|(_, home)| *home).collect(), |(_, home)| vec![*home])
}

/// Somebody of a kind that may call the method, with ids enough for a token of any kind.
fn caller(method: &Method) -> Who {
    let kind = method.kinds.first().copied().unwrap_or(CallerKind::Agent);
    let id = Some(Uuid::from_u128(2));
    Who { kind, customer_id: id, site_id: id, ..Who::agent(Uuid::from_u128(1)) }
}

/// What every refusal must be.
fn check(what: &str, status: &Status) {
    assert!(!matches!(status.code(), Code::Internal | Code::Unknown | Code::DataLoss), "{what}: {status:?}");
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("{what}: no ErrorInfo in {status:?}"));
    assert!(!info.reason.is_empty() && info.domain.starts_with("concierge"), "{what}: {info:?}");
    assert!(info.metadata.contains_key("request_id"), "{what}: {info:?}");
    let text = format!("{} {:?}", status.message(), details).to_lowercase();
    for leak in ["sqlx", "postgres", "relation \"", "syntax error", "panicked", "src/", "select ", "insert into"] {
        assert!(!text.contains(leak), "{what}: leaks {leak:?}: {text}");
    }
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|i| i.reason.clone()).unwrap_or_default()
}

fn violated(status: &Status) -> BTreeSet<String> {
    let details = status.get_error_details();
    details.bad_request().map(|b| b.field_violations.iter().map(|v| v.field.clone()).collect()).unwrap_or_default()
}
