//! `concierge token create`: a token for operators, signed with the installation's key.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use clap::{Args, Subcommand, ValueEnum};
use concierge_proto::CallerKind;
use concierge_runtime::auth::{Audience, Claims, LONGEST_LIFE, ScopeClaim, Signer};
use concierge_runtime::clock::{Clock as _, SystemClock};
use uuid::Uuid;

use crate::permissions;

/// Every service of the suite.
const AUDIENCES: [&str; 3] = ["directory", "ticket-rule", "notification"];
/// The subject of the administrator's token.
const ADMINISTRATOR: Uuid = Uuid::nil();

/// Make tokens, and list the permissions they can grant.
#[derive(Args, Debug)]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a token, signed with the installation's key.
    Create(Create),
    /// List the permissions that a token can grant, with the methods that need each.
    Permissions,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  concierge token create --kind agent --subject 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b --scope customers.read,tickets.read
  grpcurl -plaintext -H \"authorization: Bearer $(concierge token create)\" 127.0.0.1:7101 \\
      concierge.directory.v1.CustomerService/ListCustomers")]
struct Create {
    /// What the caller is.
    #[arg(long, value_enum, default_value_t = Kind::Agent)]
    kind: Kind,
    /// Whom the token speaks for: an agent's or a user's id, a service's name. Default: the administrator.
    #[arg(long)]
    subject: Option<String>,
    /// What it grants: permissions, separated by commas; `*` for all. `concierge token permissions` lists them.
    #[arg(long, value_delimiter = ',', default_value = "*", value_name = "PERMISSION", value_parser = permissions::parser(),
          hide_possible_values = true)]
    scope: Vec<String>,
    /// The services it is for.
    #[arg(long, value_delimiter = ',', default_values = AUDIENCES)]
    audience: Vec<String>,
    /// The customer of a user.
    #[arg(long)]
    customer: Option<Uuid>,
    /// The site of a user.
    #[arg(long)]
    site: Option<Uuid>,
    /// How long it is good, in minutes; at most 15.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u8).range(1..=15))]
    minutes: u8,
    /// The signing key.
    #[arg(long, env = "CONCIERGE_SIGNING_KEY_FILE", value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where `concierge up` keeps its key, when --key is not given.
    #[arg(long, env = "CONCIERGE_HOME", default_value = ".concierge", value_name = "FOLDER")]
    home: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Agent,
    User,
    Service,
}

impl Token {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Create(create) => println!("{}", create.token()?),
            Command::Permissions => print!("{}", permissions::list()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Create {
    fn token(self) -> anyhow::Result<String> {
        let kind = match self.kind {
            Kind::Agent => CallerKind::Agent,
            Kind::User => CallerKind::User,
            Kind::Service => CallerKind::Service,
        };
        if matches!(self.kind, Kind::User) && (self.customer.is_none() || self.site.is_none() || self.subject.is_none())
        {
            bail!("a user's token needs --subject, --customer and --site");
        }
        let key = self.key.clone().unwrap_or_else(|| self.home.join("signing.key"));
        let signer = signer(&key)?;
        let subject = self.subject.unwrap_or_else(|| ADMINISTRATOR.to_string());
        Ok(sign(&signer, kind, subject, self.scope, self.audience, (self.customer, self.site), self.minutes))
    }
}

/// Reads a signing key.
pub(crate) fn signer(file: &Path) -> anyhow::Result<Signer> {
    let pem = std::fs::read_to_string(file).with_context(|| {
        format!("cannot read the signing key {}: run `concierge up` first, or name another", file.display())
    })?;
    Ok(Signer::from_pem(&pem.into(), concierge_runtime::config::DEFAULT_ISSUER)?)
}

/// The administrator's token: everything, everywhere, for a quarter of an hour.
pub(crate) fn administrator(signer: &Signer) -> String {
    let all = AUDIENCES.map(str::to_owned).to_vec();
    let life = u8::try_from(LONGEST_LIFE.num_minutes()).unwrap_or(1);
    sign(signer, CallerKind::Agent, ADMINISTRATOR.to_string(), vec!["*".to_owned()], all, (None, None), life)
}

fn sign(
    signer: &Signer,
    kind: CallerKind,
    subject: String,
    scope: Vec<String>,
    audience: Vec<String>,
    (customer_id, site_id): (Option<Uuid>, Option<Uuid>),
    minutes: u8,
) -> String {
    let now = SystemClock.now();
    signer.sign(&Claims {
        iss: signer.issuer().to_owned(),
        aud: Audience(audience),
        sub: subject,
        kind,
        scope: ScopeClaim(scope),
        customer_id,
        site_id,
        iat: now.timestamp_millis(),
        exp: (now + TimeDelta::minutes(i64::from(minutes))).timestamp(),
        jti: None,
    })
}
