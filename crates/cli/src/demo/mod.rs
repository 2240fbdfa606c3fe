//! `concierge up --demo`: a small invented world, and the story of one important user's ticket.

mod contacts;
mod desk;
mod importance;
mod people;
mod popups;
mod rules;
mod ticket;

use std::path::PathBuf;
use std::time::Duration;

use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::{Customer, ListCustomersRequest, Relationship, Site, Team, User};
use concierge_proto::ticket_rule::Ticket;
use tonic::{Code, Status};

use crate::client::{Suite, explain};

/// Where the demo's customers say that they come from.
const SOURCE: &str = "concierge demo";

/// Everybody and everything that the story comes back to.
struct World {
    customer: Customer,
    site: Site,
    /// The main contact, who is assigned to the site.
    contact: User,
    /// Important by a role.
    director: User,
    /// Not important.
    plain: User,
    /// The agent who works on the ticket.
    agent_id: String,
    high_value: Relationship,
    at_risk: Relationship,
    white_glove: Team,
    retention: Team,
}

/// Creates a record: `create!(client.create_team(CreateTeamRequest { team: Team { … } }))`.
macro_rules! create {
    ($client:ident.$method:ident($request:ident { $field:ident: $record:expr })) => {{
        #[allow(clippy::needless_update)]
        let request =
            $request { $field: Some($record), request_id: $crate::client::request_id(), ..Default::default() };
        let answer = $client.$method(request).await.map_err($crate::demo::told)?.into_inner();
        anyhow::Context::context(answer.$field, concat!("no ", stringify!($field), " in the answer"))?
    }};
}
use create;

/// Says what happens next, as a heading.
fn step(number: u8, text: &str) {
    println!("\n{number}. {text}");
}

fn said(line: &str) {
    println!("   {line}");
}

/// A person in a list: a star for whom it is due to.
fn starred(important: bool, text: &str) -> String {
    format!("{} {text}", if important { "★" } else { " " })
}

fn told(status: Status) -> anyhow::Error {
    explain(&status)
}

/// A value of an enum, in words.
fn words(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase().replace('_', " ")
}

fn mask(path: &str) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: vec![path.to_owned()] })
}

/// Calls again while the service has not heard of a record that the request names: it reads directory's feed.
async fn once_heard<T, F: Future<Output = Result<tonic::Response<T>, Status>>>(
    mut call: impl FnMut() -> F,
) -> anyhow::Result<T> {
    for _ in 0..100 {
        match call().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) if matches!(status.code(), Code::InvalidArgument | Code::NotFound) => {
                tracing::debug!(%status, "trying again");
            }
            Err(status) => return Err(told(status)),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    call().await.map(tonic::Response::into_inner).map_err(told)
}

/// Loads the world and tells the story.
pub(crate) async fn tell(port: u16, token: PathBuf) -> anyhow::Result<()> {
    let suite = Suite::local(port, token)?;
    let known = ListCustomersRequest { filter: format!("external_source = \"{SOURCE}\""), ..Default::default() };
    let known = CustomerServiceClient::new(suite.directory.clone()).list_customers(known).await.map_err(told)?;
    if !known.into_inner().customers.is_empty() {
        println!("\nThe demo's world is already here: its story was told at an earlier start.");
        return Ok(());
    }

    step(1, "A customer in one call, with its main site and its main contact. Who is important, and by what.");
    let world = people::arrive(&suite).await?;
    step(2, "Relationships say what kind of customer one is.");
    importance::relate(&suite, &world).await?;
    step(3, "Rules, in their order. A later one overwrites what an earlier one set.");
    rules::write(&suite, &world).await?;
    step(4, "The director logs a ticket. The facts are fetched, the rules run, the ticket comes back changed.");
    let ticket: Ticket = ticket::log(&suite, &world).await?;
    said("Why, or why not, from the stored input:");
    ticket::explain_rules(&suite, &world, &ticket).await?;
    step(5, "Who was told, and why.");
    contacts::told_of(&suite, &world, &ticket).await?;
    step(6, "What an agent sees who opens that ticket, once the setting is on.");
    popups::show(&suite, &world, &ticket).await?;
    step(7, "Important users come first, and are in the address book. Who counts as active.");
    desk::look_up(&suite, &world).await?;
    importance::deactivate(&suite, &world).await?;
    println!("\nThat is the story. Everything it made is still there to look at.");
    Ok(())
}
