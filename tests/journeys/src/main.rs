//! The suite's programs, for tests that start and kill them: cargo builds for a test only the programs of its own
//! package. Started under the name of a stand-alone program, it is that one; with a service's name as its argument it
//! serves that; else it is `concierge`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use concierge_directory::Directory;
use concierge_notification::Notification;
use concierge_runtime::program;
use concierge_ticket_rule::TicketRule;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    match Path::new(&program).file_name().and_then(OsStr::to_str) {
        Some("directory") => return program::main::<Directory>(),
        Some("ticket-rule") => return program::main::<TicketRule>(),
        Some("notification") => return program::main::<Notification>(),
        _ => {}
    }
    match arguments.next().as_deref().and_then(OsStr::to_str) {
        Some("directory") => program::serve::<Directory>(None),
        Some("ticket-rule") => program::serve::<TicketRule>(None),
        Some("notification") => program::serve::<Notification>(None),
        _ => concierge_cli::main(),
    }
}
