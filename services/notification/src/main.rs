//! The program of this service: `notification serve`, `notification migrate`.

use std::process::ExitCode;

fn main() -> ExitCode {
    concierge_runtime::program::main::<concierge_notification::Notification>()
}
