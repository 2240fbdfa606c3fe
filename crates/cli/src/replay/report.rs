//! What a replay ends with: tables for eyes, JSON for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use concierge_proto::notification::ListDeliveriesRequest;
use concierge_proto::notification::delivery_service_client::DeliveryServiceClient;
use indicatif::ProgressBar;
use serde::Serialize;

use super::patience::{Calm, until_calm};
use super::rows::Read;
use super::run::Done;
use super::world::World;
use crate::client::{Suite, explain};

/// Notification hears of tickets after the calls are answered: a second without anything new, three times, and it has
/// heard of all; two minutes at most.
const CALM: Calm = Calm { pause: Duration::from_secs(1), looks: 4, most: 120 };

/// Waits until notification has caught up with the replay.
pub(crate) async fn caught_up(suite: &Suite, since: DateTime<Utc>) -> anyhow::Result<()> {
    let bar = ProgressBar::new_spinner().with_message("waiting for notification to catch up");
    bar.enable_steady_tick(Duration::from_millis(100));
    let request = ListDeliveriesRequest { page_size: 1, order_by: "create_time desc".to_owned(), ..made_since(since) };
    let calm = until_calm(CALM, || {
        let (request, mut client) = (request.clone(), DeliveryServiceClient::new(suite.notification.clone()));
        async move {
            let newest = client.list_deliveries(request).await.map_err(|s| explain(&s))?.into_inner().deliveries;
            Ok(newest.into_iter().next().map(|delivery| delivery.id))
        }
    })
    .await?;
    bar.finish_and_clear();
    if !calm {
        eprintln!("notification has not caught up: more notifications will follow");
    }
    Ok(())
}

fn made_since(since: DateTime<Utc>) -> ListDeliveriesRequest {
    let filter = format!("create_time >= {:?}", since.to_rfc3339_opts(SecondsFormat::Micros, true));
    ListDeliveriesRequest { filter, ..Default::default() }
}

/// Notifications since the replay began, by channel and reason.
pub(crate) async fn notifications(suite: &Suite, since: DateTime<Utc>) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut client = DeliveryServiceClient::new(suite.notification.clone());
    let mut request = ListDeliveriesRequest { page_size: 1000, ..made_since(since) };
    let mut kinds = BTreeMap::new();
    loop {
        let page = client.list_deliveries(request.clone()).await.map_err(|s| explain(&s))?.into_inner();
        for delivery in &page.deliveries {
            let word = |name: &str, prefix: &str| name.trim_start_matches(prefix).to_lowercase().replace('_', " ");
            let kind = format!(
                "{}, {}",
                word(delivery.channel().as_str_name(), "CHANNEL_"),
                word(delivery.reason().as_str_name(), "DELIVERY_REASON_")
            );
            *kinds.entry(kind).or_default() += 1;
        }
        if page.next_page_token.is_empty() {
            return Ok(kinds);
        }
        request.page_token = page.next_page_token;
    }
}

#[derive(Serialize)]
struct Report<'a> {
    rows: usize,
    bad_rows: usize,
    made: &'a BTreeMap<&'static str, usize>,
    tickets_logged: usize,
    tickets_updated: usize,
    tickets_closed: usize,
    rows_already_there: usize,
    rows_refused: usize,
    matches_by_rule: &'a BTreeMap<String, usize>,
    notifications_by_kind: &'a BTreeMap<String, usize>,
    seconds: f64,
    calls_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

pub(crate) fn print(
    read: &Read,
    world: &World,
    done: &Done,
    notifications: &BTreeMap<String, usize>,
    json: bool,
) -> anyhow::Result<()> {
    let percentile = |share: usize| {
        let index = (done.latencies.len() * share / 100).min(done.latencies.len().saturating_sub(1));
        done.latencies.get(index).map_or(0.0, |d: &Duration| d.as_secs_f64() * 1000.0)
    };
    let seconds = done.took.as_secs_f64();
    #[allow(clippy::cast_precision_loss)]
    let report = Report {
        rows: read.rows.len(),
        bad_rows: read.bad_rows(),
        made: &world.made,
        tickets_logged: done.logged,
        tickets_updated: done.updated,
        tickets_closed: done.closed,
        rows_already_there: done.already,
        rows_refused: done.failures.len(),
        matches_by_rule: &done.matches,
        notifications_by_kind: notifications,
        seconds,
        calls_per_second: done.latencies.len() as f64 / seconds.max(0.001),
        p50_ms: percentile(50),
        p99_ms: percentile(99),
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    let mut table = table(["replayed", "count"]);
    for (what, count) in world.made.iter().map(|(what, count)| (format!("{what} made"), *count)).chain([
        ("tickets logged".to_owned(), done.logged),
        ("updates".to_owned(), done.updated),
        ("tickets closed".to_owned(), done.closed),
        ("rows already there".to_owned(), done.already),
        ("rows refused by the services".to_owned(), done.failures.len()),
        ("bad rows".to_owned(), read.bad_rows()),
    ]) {
        table.add_row([what, count.to_string()]);
    }
    println!("{table}");
    for (title, counts) in [("matches by rule", &done.matches), ("notifications by kind", notifications)] {
        let mut table = self::table([title, "count"]);
        if counts.is_empty() {
            // Nobody is a contact of the replay's sites.
            let nobody = title.starts_with("notifications") && done.changed_something();
            table.add_row([
                if nobody { "none: no site has a contact, and no definition told anybody" } else { "none" },
                "0",
            ]);
        }
        for (what, count) in counts {
            table.add_row([what.clone(), count.to_string()]);
        }
        println!("{table}");
    }
    let mut table = self::table(["calls a second", "p50", "p99", "took"]);
    table.add_row([
        format!("{:.0}", report.calls_per_second),
        format!("{:.1} ms", report.p50_ms),
        format!("{:.1} ms", report.p99_ms),
        format!("{seconds:.1} s"),
    ]);
    println!("{table}");
    Ok(())
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header);
    table
}
