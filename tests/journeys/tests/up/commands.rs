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
        (vec!["token", "create", "--scope", "tickets.read,customer.read"], "'customers.read'"),
        (vec!["token", "create", "--scope", "tickets.juggle"], "'tickets.juggle'"),
        (vec!["token", "create", "--scope", "juggle"], "customers.read, customers.write"),
        (vec!["key", "public", "absent.key"], "cannot read the signing key absent.key"),
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

/// Others read it, too: those that check tokens with the public half, and those that sign with the private one. rcgen
/// reads keys with another library than ours.
#[test]
fn prints_the_public_half_of_a_key_that_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let made = concierge(&["key", "create", "signing.key"], folder.path());
    assert!(made.status.success(), "{}", said(&made));
    let public = concierge(&["key", "public", "signing.key"], folder.path());
    assert!(public.status.success(), "{}", said(&public));
    let text = String::from_utf8(public.stdout).unwrap();
    assert!(concierge_runtime::auth::PublicKey::from_pem(&text).is_ok(), "{text}");

    let private = std::fs::read_to_string(folder.path().join("signing.key")).unwrap();
    let other = rcgen::KeyPair::from_pem(&private).unwrap();
    let lines = |pem: &str| pem.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&other.public_key_pem()), lines(&text));
}

#[test]
fn replay_says_where_it_looked_for_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/incidents.csv");
    let replayed = concierge(&["replay", sample, "--port", "1"], folder.path());
    assert!(!replayed.status.success());
    assert!(said(&replayed).contains("concierge: cannot read the token .concierge/admin.token"), "{}", said(&replayed));
}

#[test]
fn lists_permissions() {
    let folder = tempfile::tempdir().unwrap();
    let listed = concierge(&["token", "permissions"], folder.path());
    assert!(listed.status.success() && said(&listed).contains("customers.read "), "{}", said(&listed));
}
