//! The program of this service: `directory serve`, `directory migrate`.

use std::process::ExitCode;

fn main() -> ExitCode {
    concierge_runtime::program::main::<concierge_directory::Directory>()
}
