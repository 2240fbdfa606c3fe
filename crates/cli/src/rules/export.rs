//! `concierge rules export`: all rules as a file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use concierge_proto::ticket_rule::ExportRulesRequest;
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;

use super::connection::Connection;
use super::file::RuleFile;
use crate::client::{Api, explain};

/// Write all rules as YAML.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  concierge rules export > rules.yaml
  concierge rules export rules.yaml --without-revision   for a repository that is the only source of the rules")]
pub(crate) struct Export {
    /// The file to write; standard output without.
    file: Option<PathBuf>,
    /// Leave out the revision that the rules have now: `apply` then takes the file whatever happened since.
    #[arg(long)]
    without_revision: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Export {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut rules = rules(&mut self.connection.rules()?).await?;
        if self.without_revision {
            rules.revision = None;
        }
        let yaml = rules.write()?;
        match &self.file {
            None => print!("{yaml}"),
            Some(file) => {
                std::fs::write(file, yaml).with_context(|| format!("cannot write {}", file.display()))?;
                eprintln!("{} rules written to {}", rules.rules.len(), file.display());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// All rules as they are.
pub(crate) async fn rules(client: &mut RuleServiceClient<Api>) -> anyhow::Result<RuleFile> {
    let answer = client.export_rules(ExportRulesRequest {}).await;
    let mut parts = answer.map_err(|status| explain(&status))?.into_inner();
    let mut whole = RuleFile::default();
    while let Some(part) = parts.message().await.map_err(|status| explain(&status))? {
        whole.revision = Some(part.revision);
        whole.rules.extend(part.rules);
        whole.references.extend(part.references);
    }
    Ok(whole)
}
