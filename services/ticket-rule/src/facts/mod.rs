//! What is known about a ticket's user, site and customer: asked of directory, else what was last heard of it.

mod batch;
mod custom_fields;
mod projected;
pub mod references;

use std::time::Duration;

use concierge_model::requester::request_of;
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::{
    EffectiveActivity, GetCustomerRequest, GetRequesterFactsRequest, InactivityCause, RequesterFacts,
    UnknownRequesterId,
};
use concierge_proto::ticket_rule::Ticket;
use concierge_runtime::feed::consumer::Consumer;
use concierge_runtime::program::Host;
use concierge_runtime::upstream::Upstream;
use concierge_runtime::{Error, Service};

use batch::Batches;
pub use custom_fields::KeepCustomFields;
use projected::Heard;
use sqlx::PgConnection;

/// How long directory has to answer: what it says is better, what was last heard of it will do.
const PATIENCE: Duration = Duration::from_millis(100);

/// The records of directory that are kept here: all that facts are made from, and all that tickets name.
const KEPT: [&str; 9] =
    ["customer", "site", "user", "user_role", "relationship", "agent", "team", "department", "custom_field"];

/// Keeps those records from directory's feed, and makes custom fields a part of the configuration.
pub fn consumer(service: Service, directory: Upstream) -> Consumer<KeepCustomFields> {
    Consumer {
        service,
        upstream: directory,
        types: KEPT.iter().map(|kept| format!("{kept}.*")).collect(),
        record_types: KEPT.iter().map(|kept| (*kept).to_owned()).collect(),
        effects: KeepCustomFields,
    }
}

/// The facts of one ticket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// What is known, in the form in which directory tells it. The part of what nobody knows is absent.
    pub known: RequesterFacts,
    /// The ids that directory says are no record.
    pub not_found: Vec<UnknownRequesterId>,
    /// True when directory did not answer, and `known` is what was last heard of.
    pub stale: bool,
}

impl Facts {
    /// The facts of nobody.
    pub fn unasked() -> Self {
        Self::default()
    }

    /// True when the record that this field of a ticket names is none, or was deleted.
    pub fn is_missing(&self, field: &str) -> bool {
        let deleted = |activity: Option<&EffectiveActivity>, cause: InactivityCause| {
            activity.is_some_and(|a| a.causes.contains(&i32::from(cause)))
        };
        self.not_found.iter().any(|unknown| unknown.field == field)
            || match field {
                "user_id" => {
                    deleted(self.known.user.as_ref().and_then(|u| u.activity.as_ref()), InactivityCause::UserDeleted)
                }
                "site_id" => {
                    deleted(self.known.site.as_ref().and_then(|s| s.activity.as_ref()), InactivityCause::SiteDeleted)
                }
                "customer_id" => deleted(
                    self.known.customer.as_ref().and_then(|c| c.activity.as_ref()),
                    InactivityCause::CustomerDeleted,
                ),
                _ => false,
            }
    }
}

/// Whom facts are asked about: the ids of a ticket, each possibly empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requester {
    /// The user.
    pub user_id: String,
    /// The site.
    pub site_id: String,
    /// The customer.
    pub customer_id: String,
}

impl Requester {
    /// The requester of a ticket.
    pub fn of(ticket: &Ticket) -> Self {
        let GetRequesterFactsRequest { user_id, site_id, customer_id } = request_of(ticket);
        Self { user_id, site_id, customer_id }
    }

    /// A user by itself.
    pub fn user(user_id: &str) -> Self {
        Self { user_id: user_id.to_owned(), ..Self::default() }
    }

    /// True when there is nobody to ask about.
    pub fn is_nobody(&self) -> bool {
        self.user_id.is_empty() && self.site_id.is_empty() && self.customer_id.is_empty()
    }
}

impl From<Requester> for GetRequesterFactsRequest {
    fn from(requester: Requester) -> Self {
        let Requester { user_id, site_id, customer_id } = requester;
        Self { user_id, site_id, customer_id }
    }
}

/// Where facts come from. Cheap to clone; clones share their batches.
#[derive(Clone, Debug)]
pub struct Source {
    service: Service,
    directory: Option<Upstream>,
    batches: Option<Batches>,
}

impl Source {
    /// The facts of this host's directory and of the records kept from its feed.
    pub fn new(host: &Host) -> Self {
        let directory = host.directory.clone();
        // There from the beginning, so that a first one is an increase.
        for outcome in ["fresh", "stale"] {
            metrics::counter!("concierge_facts_total", "outcome" => outcome).increment(0);
        }
        Self { service: host.service.clone(), batches: directory.clone().map(Batches::new), directory }
    }

    /// The facts of a requester: one call of directory, shared with whoever asks at the same time; if it does not
    /// answer within 100 ms, one round trip to our own database.
    pub async fn ask(&self, requester: Requester) -> Result<Facts, Error> {
        self.ask_or(&mut Heard::Pool(self.service.pool()), requester).await
    }

    /// The same in a transaction, on its connection: who holds one must not wait for another.
    pub async fn ask_in(&self, connection: &mut PgConnection, requester: Requester) -> Result<Facts, Error> {
        self.ask_or(&mut Heard::Connection(connection), requester).await
    }

    async fn ask_or(&self, heard: &mut Heard<'_>, requester: Requester) -> Result<Facts, Error> {
        if requester.is_nobody() {
            return Ok(Facts::unasked());
        }
        match self.ask_directory(requester.clone()).await {
            Some(facts) => Ok(facts),
            None => Ok(Facts { known: heard.facts(&requester).await?, not_found: Vec::new(), stale: true }),
        }
    }

    /// The facts of a ticket's requester, with what it leaves open filled in: the site is the user's, if it belongs to the
    /// customer, else the customer's main site; the customer is the site's. What nobody knows stays open.
    ///
    /// As [`Source::ask`], and once more where the main site has to stand in.
    pub async fn complete(&self, requester: Requester) -> Result<(Requester, Facts), Error> {
        self.complete_or(&mut Heard::Pool(self.service.pool()), requester).await
    }

    /// The same in a transaction, on its connection.
    pub async fn complete_in(
        &self,
        connection: &mut PgConnection,
        requester: Requester,
    ) -> Result<(Requester, Facts), Error> {
        self.complete_or(&mut Heard::Connection(connection), requester).await
    }

    async fn complete_or(&self, heard: &mut Heard<'_>, requester: Requester) -> Result<(Requester, Facts), Error> {
        let mut facts = self.ask_or(heard, requester.clone()).await?;
        let mut whole = requester;
        if whole.site_id.is_empty()
            && let Some(site) = &facts.known.site
        {
            whole.site_id.clone_from(&site.site_id);
        }
        if whole.customer_id.is_empty() {
            let of_site = facts.known.site.as_ref().map(|site| &site.customer_id);
            let customer = facts.known.customer.as_ref().map(|customer| &customer.customer_id).or(of_site);
            whole.customer_id = customer.cloned().unwrap_or_default();
        }
        if whole.site_id.is_empty() && !whole.customer_id.is_empty() && !facts.is_missing("customer_id") {
            whole.site_id = self.main_site(heard, &whole.customer_id).await?;
            if !whole.site_id.is_empty() {
                facts = self.ask_or(heard, whole.clone()).await?;
            }
        }
        Ok((whole, facts))
    }

    /// The main site of a customer; as last heard when directory does not answer, empty when nobody knows it.
    async fn main_site(&self, heard: &mut Heard<'_>, customer_id: &str) -> Result<String, Error> {
        if let Some(directory) = &self.directory {
            let request = directory.request_within(GetCustomerRequest { id: customer_id.to_owned() }, PATIENCE);
            let mut client = CustomerServiceClient::new(directory.channel());
            if let Ok(Ok(answer)) =
                tokio::time::timeout(directory.patience(PATIENCE), client.get_customer(request)).await
            {
                return Ok(answer.into_inner().customer.unwrap_or_default().main_site_id);
            }
        }
        heard.main_site(customer_id).await
    }

    /// The facts of a requester as directory tells them now; `None` when it does not answer.
    pub async fn ask_directory(&self, requester: Requester) -> Option<Facts> {
        let result = self.batches.as_ref()?.get(requester.into()).await;
        let outcome = if result.is_some() { "fresh" } else { "stale" };
        metrics::counter!("concierge_facts_total", "outcome" => outcome).increment(1);
        let result = result?;
        Some(Facts { known: result.facts.unwrap_or_default(), not_found: result.not_found, stale: false })
    }

    /// The connection to directory, for what is not facts.
    pub(crate) fn directory(&self) -> Option<&Upstream> {
        self.directory.as_ref()
    }

    /// The database with the records kept from directory's feed.
    pub(crate) fn service(&self) -> &Service {
        &self.service
    }
}
