//! Where ticket-rule is, and what it takes to be let in.

use std::path::PathBuf;

use clap::Args;
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;

use crate::client::{Api, Suite};
use crate::up::{SEATS, ports};

/// So many bytes an answer may have: all rules of a large installation at once.
const LARGEST: usize = 64 << 20;

/// How the service is reached.
#[derive(Args, Debug)]
pub(crate) struct Connection {
    /// The first of the three ports of `concierge up` on this machine.
    #[arg(long, default_value_t = SEATS[0].port, value_name = "PORT",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(ports::HIGHEST)))]
    port: u16,
    /// Where ticket-rule listens, when it is not one above.
    #[arg(long, value_name = "URL")]
    ticket_rule: Option<String>,
    /// The file with a token; `concierge up` keeps the administrator's fresh.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// Where `concierge up` keeps its token, when --token is not given.
    #[arg(long, env = "CONCIERGE_HOME", default_value = ".concierge", value_name = "FOLDER")]
    home: PathBuf,
}

impl Connection {
    /// A client of RuleService.
    pub(crate) fn rules(&self) -> anyhow::Result<RuleServiceClient<Api>> {
        let token = self.token.clone().unwrap_or_else(|| self.home.join("admin.token"));
        let at = |seat| format!("http://127.0.0.1:{}", ports::grpc(self.port, seat));
        let ticket_rule = self.ticket_rule.clone().unwrap_or_else(|| at(1));
        let suite = Suite::new(&at(0), &ticket_rule, &at(2), token)?;
        Ok(RuleServiceClient::new(suite.ticket_rule).max_decoding_message_size(LARGEST))
    }
}
