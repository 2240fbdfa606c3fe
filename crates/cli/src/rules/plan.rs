//! `concierge rules plan` and `apply`: what a file changes, and the change.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::{ImportRulesRequest, ImportRulesResponse, Rule, RuleFileChangeKind, RuleSetChange};
use tonic::Status;
use tonic_types::StatusExt as _;

use super::connection::Connection;
use super::difference::Difference;
use super::export;
use super::file::node::Node;
use super::file::{Places, RuleFile};
use crate::client::{Api, explain, request_id};

/// What a script can tell from the exit status, beside success and failure.
pub(crate) const DIFFERS: u8 = 3;

/// Show what a file would change. Exit status 0: nothing; 3: something; 1: the file is wrong, or no answer came.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  concierge rules plan rules.yaml
  concierge rules plan rules.yaml --json")]
pub(crate) struct Plan {
    /// The rules as they shall be.
    file: PathBuf,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Make the rules what a file says, in one transaction. Rules that the file does not have are deleted.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  concierge rules apply rules.yaml
  concierge rules apply rules.yaml --yes --base 42   only if the rules are still at that revision")]
pub(crate) struct Apply {
    /// The rules as they shall be.
    file: PathBuf,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// The revision that the rules must have, in place of the file's: such as the one that `plan` told.
    #[arg(long, value_name = "REVISION")]
    base: Option<i64>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Plan {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut client = self.connection.rules()?;
        let wanted = Wanted::read(&self.file)?;
        let difference = wanted.compare(&mut client).await?;
        difference.print(self.json)?;
        if let Some(stale) = difference.stale() {
            eprintln!("concierge: {stale}");
        }
        Ok(if difference.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
    }
}

impl Apply {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut client = self.connection.rules()?;
        let mut wanted = Wanted::read(&self.file)?;
        wanted.file.revision = self.base.or(wanted.file.revision);
        let difference = wanted.compare(&mut client).await?;
        if let Some(stale) = difference.stale()
            && !difference.is_empty()
        {
            bail!(stale);
        }
        difference.print(self.json)?;
        if difference.is_empty() || !self.yes && !confirmed()? {
            return Ok(ExitCode::SUCCESS);
        }
        // What was shown is what is done, or nothing is.
        let done = wanted.import(&mut client, difference.revision, false).await?;
        eprintln!("{} rules changed; the rules are at revision {} now", done.changes.len(), done.revision);
        Ok(ExitCode::SUCCESS)
    }
}

fn confirmed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody is there to be asked: --yes does it without");
    }
    eprint!("Do this? Only `yes` is a yes: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// A file, read.
pub(crate) struct Wanted {
    path: PathBuf,
    pub(crate) file: RuleFile,
    places: Places,
}

impl Wanted {
    /// Reads a file; tells everything that is wrong with it.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let node = Node::read(&text).with_context(|| format!("cannot read {}", path.display()))?;
        match RuleFile::read(&node) {
            Ok((file, places)) => Ok(Self { path: path.to_owned(), file, places }),
            Err(problems) => {
                let lines = problems.iter().map(|problem| format!("{}:{problem}", path.display()));
                bail!("{} problems\n{}", problems.len(), lines.collect::<Vec<_>>().join("\n"))
            }
        }
    }

    /// What it would change.
    pub(crate) async fn compare(&self, client: &mut RuleServiceClient<Api>) -> anyhow::Result<Difference> {
        let told = self.import(client, 0, true).await?;
        let current = export::rules(client).await?;
        if current.revision != Some(told.revision) {
            bail!("somebody else changes the rules at this moment: try again");
        }
        Ok(Difference::new(&current, &self.file, told))
    }

    /// What it would change, for SimulateRules.
    pub(crate) async fn change(&self, client: &mut RuleServiceClient<Api>) -> anyhow::Result<RuleSetChange> {
        let told = self.import(client, 0, true).await?;
        let mut change = RuleSetChange { references: self.file.references.clone(), ..RuleSetChange::default() };
        for line in told.changes {
            let kind = line.kind();
            match line.index.and_then(|index| self.file.rules.get(usize::try_from(index).ok()?)) {
                // One that is added gets its id when it is.
                Some(rule) if kind == RuleFileChangeKind::Added => {
                    change.rules.push(Rule { id: String::new(), ..rule.clone() });
                }
                Some(rule) => change.rules.push(Rule { id: line.rule_id, ..rule.clone() }),
                None => change.removed_rule_ids.push(line.rule_id),
            }
        }
        Ok(change)
    }

    async fn import(
        &self,
        client: &mut RuleServiceClient<Api>,
        base_revision: i64,
        validate_only: bool,
    ) -> anyhow::Result<ImportRulesResponse> {
        let request = ImportRulesRequest {
            rules: self.file.rules.clone(),
            references: self.file.references.clone(),
            base_revision,
            validate_only,
            request_id: request_id(),
        };
        Ok(client.import_rules(request).await.map_err(|status| self.refused(&status))?.into_inner())
    }

    /// What the service says is wrong, by the lines of the file.
    fn refused(&self, status: &Status) -> anyhow::Error {
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        if violations.is_empty() {
            return explain(status);
        }
        let mut lines: Vec<(u64, String)> = violations
            .iter()
            .map(|violation| match self.places.find(&violation.field) {
                Some(place) => (place.line(), place.tell(&self.path, &violation.description)),
                None => (0, format!("{}: {}: {}", self.path.display(), violation.field, violation.description)),
            })
            .collect();
        lines.sort();
        let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
        anyhow::anyhow!("{} problems\n{}", lines.len(), lines.join("\n"))
    }
}
