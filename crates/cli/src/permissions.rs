//! The permissions of the contract, as people read them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::builder::PossibleValuesParser;
use concierge_proto::{METHODS, PERMISSIONS};

/// Takes the names of permissions, and `*` for all; tells of one that is near to a name that is none.
pub(crate) fn parser() -> PossibleValuesParser {
    PossibleValuesParser::new(std::iter::once("*").chain(PERMISSIONS.iter().copied()))
}

/// A line a permission: its name, and the methods that need it.
pub(crate) fn list() -> String {
    let width = PERMISSIONS.iter().map(|name| name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (name, methods) in by_permission() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:width$}  {}", needed_for(&methods));
    }
    text
}

/// The README's table of permissions.
#[cfg(test)]
fn table() -> String {
    let mut table = String::from("| permission | for methods of |\n|---|---|\n");
    for (name, methods) in by_permission() {
        let services: Vec<&str> = methods.into_keys().collect();
        let services = if services.is_empty() { "none, but fields".to_owned() } else { services.join(", ") };
        let _ = writeln!(table, "| `{name}` | {services} |");
    }
    table
}

/// The methods of each permission, by service: `CustomerService: GetCustomer, …`.
type Methods = BTreeMap<&'static str, Vec<&'static str>>;

fn by_permission() -> BTreeMap<&'static str, Methods> {
    let mut all: BTreeMap<&str, Methods> = PERMISSIONS.iter().map(|name| (*name, Methods::new())).collect();
    for method in METHODS {
        if let Some(permission) = method.permission {
            let service = method.service.rsplit('.').next().unwrap_or(method.service);
            all.entry(permission.name()).or_default().entry(service).or_default().push(method.name);
        }
    }
    all
}

fn needed_for(methods: &Methods) -> String {
    if methods.is_empty() {
        return "no method: it guards fields, which name it in the contract".to_owned();
    }
    let services = methods.iter().map(|(service, methods)| format!("{service} ({})", methods.join(", ")));
    services.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_every_permission() {
        let readme = include_str!("../../../README.md");
        let table = table();
        let between =
            readme.split_once("<!-- permissions -->").and_then(|(_, rest)| rest.split_once("<!-- /permissions -->"));
        let (between, _) = between.expect("the marks");
        assert_eq!(between.trim(), table.trim(), "put this between the marks of README.md:\n{table}");
    }

    #[test]
    fn says_of_every_permission_what_it_is_for() {
        let list = list();
        assert_eq!(list.lines().count(), PERMISSIONS.len());
        assert!(
            list.lines().any(|line| line.starts_with("tickets.import ") && line.contains("guards fields")),
            "{list}"
        );
        let customers = list.lines().find(|line| line.starts_with("customers.read ")).expect("it is there");
        assert!(customers.contains("CustomerService (GetCustomer, "), "{customers}");
    }
}
