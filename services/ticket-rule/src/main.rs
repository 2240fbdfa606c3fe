//! The program of this service: `ticket-rule serve`, `ticket-rule migrate`.

use std::process::ExitCode;

fn main() -> ExitCode {
    concierge_runtime::program::main::<concierge_ticket_rule::TicketRule>()
}
