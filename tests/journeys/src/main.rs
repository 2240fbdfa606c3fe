//! One service as a process of its own, for tests that kill it: `concierge-journeys directory`.

use std::process::ExitCode;

use concierge_runtime::program;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("directory") => program::serve::<concierge_directory::Directory>(None),
        Some("ticket-rule") => program::serve::<concierge_ticket_rule::TicketRule>(None),
        Some("notification") => program::serve::<concierge_notification::Notification>(None),
        _ => ExitCode::FAILURE,
    }
}
