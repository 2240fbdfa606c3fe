//! What operators do beside `up`: keys and tokens.

use std::process::{Command, Output};

use crate::kit::{PROGRAM, mode};
use crate::program::said;

fn concierge(arguments: &[&str], folder: &std::path::Path) -> Output {
    Command::new(PROGRAM).args(arguments).current_dir(folder).env_remove("CONCIERGE_HOME").output().unwrap()
}

#[test]
fn makes_a_key_that_nobody_else_reads_and_never_overwrites_one() {
    let folder = tempfile::tempdir().unwrap();
    let made = concierge(&["key", "create", "signing.key"], folder.path());
    assert!(made.status.success(), "{}", said(&made));
    let file = folder.path().join("signing.key");
    assert_eq!(mode(&file), 0o600);
    let before = std::fs::read(&file).unwrap();
    let again = concierge(&["key", "create", "signing.key"], folder.path());
    assert!(!again.status.success() && said(&again).contains("is not overwritten"), "{}", said(&again));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn says_why_it_makes_no_token() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, why) in [
        (vec!["token", "create"], "run `concierge up` first"),
        (vec!["token", "create", "--scope", "customers.read,customers.juggle"], "no permission customers.juggle"),
        (vec!["token", "create", "--kind", "user"], "needs --subject, --customer and --site"),
        (vec!["token", "create", "--minutes", "16"], "16"),
        (vec!["serve", "directry"], "there is no service \"directry\""),
        (vec!["migrate", "directry"], "there is no service \"directry\""),
    ] {
        let output = concierge(&arguments, folder.path());
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said(&output).contains(why), "{arguments:?}: {}", said(&output));
    }
}
