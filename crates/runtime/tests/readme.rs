//! The README's table of settings is the one that the program reads.
#![allow(clippy::unwrap_used, missing_docs)]

use concierge_runtime::config::settings_table;

#[test]
fn the_readme_lists_every_setting() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let table = settings_table();
    let between = readme.split("<!-- settings -->\n").nth(1).unwrap().split("<!-- /settings -->").next().unwrap();
    assert_eq!(between.trim(), table.trim(), "put this between the marks of README.md:\n{table}");
}
