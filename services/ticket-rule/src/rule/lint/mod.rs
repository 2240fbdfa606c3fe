//! LintRules: what is wrong with the rules, and what shows it.

mod gone;
mod model;
mod told;
mod unmatched;
mod world;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use concierge_criteria::lint::{Lint, Wanted, lint};
use concierge_proto::Value;
use concierge_proto::ticket_rule::{LintRulesRequest, LintRulesResponse, RuleFinding, RuleFindingKind, RuleSetChange};
use concierge_runtime::query::{Fingerprint, PageTokenError, QueryErrors, page_size};
use concierge_runtime::{Answer, Call, Error, reply};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::TicketRule;
use crate::evaluation::RuleSet;
use crate::facts::references::Known;
use crate::rule::change::ChangedSet;
use told::Teller;
use unmatched::Matched;
use world::Tickets;

const METHOD: &str = "LintRules";
/// The days that UNMATCHED looks back when the caller does not say.
const DAYS: i32 = 30;
/// So many findings are kept for the next page; more are found again.
const MOST_KEPT: usize = 20_000;

/// One lint at a time, and what the last one found.
#[derive(Debug)]
struct Desk {
    room: Arc<Semaphore>,
    last: Mutex<Option<Arc<Linted>>>,
}

impl Default for Desk {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(1)), last: Mutex::default() }
    }
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    /// Of the request, but for its page.
    fingerprint: Fingerprint,
    revision: i64,
    now: DateTime<Utc>,
    kinds: Vec<i32>,
    days: i32,
}

/// Everything that was found.
#[derive(Debug)]
struct Linted {
    asked: Asked,
    findings: Vec<RuleFinding>,
    rules: usize,
    pairs_left: u64,
    evaluations: i64,
}

/// Round trips for the first page: one for the newest revision (two after a change); one for the records of directory
/// that rules name, and the calls for those that are not known as active; one for the evaluations of the last days. For
/// the next page, as long as this replica remembers: none.
pub(super) async fn run(service: &TicketRule, request: LintRulesRequest) -> Answer<LintRulesResponse> {
    let tokens = service.service.page_tokens().await?;
    let fingerprint = fingerprint(&request);
    let at = match request.page_token.as_str() {
        "" => None,
        token => Some(position(&tokens.open(token, fingerprint).map_err(QueryErrors::from).map_err(Error::from)?)?),
    };
    let set = match at {
        None => service.rule_sets.newest().await?,
        Some((revision, _, _)) => {
            let mut connection = service.service.pool().acquire().await.map_err(Error::from)?;
            service.rule_sets.at(&mut connection, revision).await?
        }
    };
    let (now, start) = at.map_or((service.service.clock().now(), 0), |(_, now, start)| (now, start));
    let days = if request.unmatched_days == 0 { DAYS } else { request.unmatched_days };
    let asked = Asked { fingerprint, revision: set.revision(), now, kinds: request.kinds.clone(), days };
    let linted = remembered_or_made(service, &set, request.change.as_ref(), asked).await?;

    let limit = usize::from(page_size(request.page_size));
    let findings: Vec<RuleFinding> = linted.findings.iter().skip(start).take(limit).cloned().collect();
    let end = start + findings.len();
    let next_page_token = if end < linted.findings.len() {
        let end = i64::try_from(end).map_err(Error::internal)?;
        let position = [Value::Int(linted.asked.revision), Value::Int(now.timestamp_micros()), Value::Int(end)];
        tokens.seal(fingerprint, &position)
    } else {
        String::new()
    };
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    Ok(reply(LintRulesResponse {
        findings,
        next_page_token,
        rule_set_revision: linted.asked.revision,
        rule_count: count(linted.rules),
        finding_count: count(linted.findings.len()),
        skipped_pair_count: i64::try_from(linted.pairs_left).unwrap_or(i64::MAX),
        evaluation_count: linted.evaluations,
    }))
}

/// A page token is of one choice of kinds and days, and of one change.
fn fingerprint(request: &LintRulesRequest) -> Fingerprint {
    let kinds: Vec<u8> = request.kinds.iter().flat_map(|kind| kind.to_be_bytes()).collect();
    let change = request.change.as_ref().map(prost::Message::encode_to_vec);
    let (is_changed, change) = ([u8::from(change.is_some())], change.unwrap_or_default());
    Fingerprint::of([METHOD.as_bytes(), &kinds, &request.unmatched_days.to_be_bytes(), &is_changed, &change])
}

/// The revision, the time and the place among the findings where a page goes on.
fn position(values: &[Value]) -> Result<(i64, DateTime<Utc>, usize), Error> {
    if let [Value::Int(revision), Value::Int(now), Value::Int(start)] = values
        && let (Some(now), Ok(start)) = (DateTime::from_timestamp_micros(*now), usize::try_from(*start))
    {
        return Ok((*revision, now, start));
    }
    Err(QueryErrors::from(PageTokenError::Outdated).into())
}

async fn remembered_or_made(
    service: &TicketRule,
    set: &Arc<RuleSet>,
    change: Option<&RuleSetChange>,
    asked: Asked,
) -> Result<Arc<Linted>, Error> {
    let desk = service.service.shared::<Desk>();
    let last = || desk.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(last) = last().filter(|last| last.asked == asked) {
        return Ok(last);
    }
    let room = Arc::clone(&desk.room).try_acquire_owned().map_err(|_| Error::Overloaded)?;
    if let Some(call) = Call::current() {
        call.remaining()?;
    }
    let changed = match change {
        Some(change) => Some(service.changed_set(set, change, "change").await?),
        None => None,
    };
    let set = changed.as_ref().map_or_else(|| Arc::clone(set), |changed| Arc::new(changed.set.clone()));
    let matched = async {
        if !wants(&asked.kinds, RuleFindingKind::Unmatched) {
            return Ok(Matched::default());
        }
        let since = asked.now - TimeDelta::days(i64::from(asked.days));
        unmatched::matched(service.service.pool(), since, asked.days).await
    };
    let (known, matched) = tokio::try_join!(gone::ask(service, &set), matched)?;
    let stop = Arc::new(AtomicBool::new(false));
    // Whoever waits no longer, as its deadline has passed, has the work ended.
    let _stops = StopOnDrop(Arc::clone(&stop));
    let made = tokio::task::spawn_blocking(move || {
        let mut linted = look(&set, asked, &known, &matched, stop);
        if let Some(changed) = &changed {
            linted.findings.iter_mut().for_each(|found| rename(found, changed));
        }
        drop(room);
        linted
    });
    let linted = Arc::new(made.await.map_err(Error::internal)?);
    if linted.findings.len() <= MOST_KEPT {
        *desk.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&linted));
    }
    Ok(linted)
}

/// Rules that a change adds are told by their places in it.
fn rename(found: &mut RuleFinding, changed: &ChangedSet) {
    let others = found.other_rules.iter_mut().map(|other| &mut other.rule_id);
    let matched = found.witness.iter_mut().flat_map(|witness| &mut witness.matches).map(|it| &mut it.rule_id);
    for id in std::iter::once(&mut found.rule_id).chain(others).chain(matched) {
        if let Ok(known) = id.parse() {
            *id = changed.told_id(known);
        }
    }
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether findings of a kind were asked for; none asked for means all.
fn wants(kinds: &[i32], kind: RuleFindingKind) -> bool {
    kinds.is_empty() || kinds.contains(&i32::from(kind))
}

/// Looks at all rules: seconds for thousands.
fn look(set: &RuleSet, asked: Asked, known: &Known, matched: &Matched, stop: Arc<AtomicBool>) -> Linted {
    let kinds = &asked.kinds;
    // What rules cannot give they do not give.
    let withheld = gone::withheld(set, known);
    let lessened = (!withheld.is_empty()).then(|| set.without(&withheld, &BTreeSet::new()));
    let all = set;
    let set = lessened.as_ref().unwrap_or(set);
    let tickets = Tickets::new(set, asked.now, stop);
    let open = wants(kinds, RuleFindingKind::Undecided);
    let solved = [
        RuleFindingKind::NeverMatches,
        RuleFindingKind::Shadowed,
        RuleFindingKind::Conflict,
        RuleFindingKind::AlwaysTrue,
    ];
    let wanted = Wanted {
        always: open || wants(kinds, RuleFindingKind::AlwaysTrue),
        conflicts: open || wants(kinds, RuleFindingKind::Conflict),
    };
    let needed = open || solved.iter().any(|kind| wants(kinds, *kind));
    let found = if needed { lint(set.index(), &tickets, wanted) } else { Lint::default() };
    let teller = Teller { set, tickets: &tickets, now: asked.now };
    let mut findings: Vec<RuleFinding> = found.findings.iter().filter_map(|found| teller.told(found)).collect();
    findings.extend(found.undecided.iter().filter_map(|open| teller.open(open)));
    let enabled = || set.index().rules().filter(|rule| rule.enabled());
    for rule in enabled().filter_map(|rule| all.rule(rule.id())) {
        findings.extend(gone::findings(all, known, rule));
        findings.extend(matched.finding(rule));
    }
    findings.retain(|found| wants(kinds, found.kind()));
    let places: HashMap<Uuid, usize> = enabled().enumerate().map(|(place, rule)| (rule.id(), place)).collect();
    let place = |found: &RuleFinding| found.rule_id.parse().ok().and_then(|id: Uuid| places.get(&id).copied());
    findings.sort_by_cached_key(|found| (place(found), found.kind, found.paths.clone(), found.description.clone()));
    Linted { findings, rules: places.len(), pairs_left: found.pairs_left, evaluations: matched.evaluations, asked }
}
