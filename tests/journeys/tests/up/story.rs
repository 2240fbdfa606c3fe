//! `up --demo` tells the story that the README shows.

use std::path::Path;

use crate::kit::Home;

#[tokio::test]
async fn tells_the_story_as_the_readme_has_it_and_only_once() {
    let home = Home::new();
    let told = || async {
        let mut command = home.command();
        command.args(["--demo", "--once"]);
        let mut up = home.run(command);
        assert!(up.ended().await.success(), "{}", up.said());
        up.said()
    };
    let said = told().await;
    let story = between(&said, "\n1. A customer", "\nThat is the story.");
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let shown = between(&readme, "<!-- story -->\n```text\n1. A customer", "```\n<!-- /story -->");
    assert_eq!(without_ids(story), without_ids(shown), "the README's story is not what `up --demo` tells");

    let again = told().await;
    assert!(again.contains("its story was told at an earlier start"), "{again}");
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from:?} in {text}"));
    let (part, _) = rest.split_once(to).unwrap_or_else(|| panic!("no {to:?} in {rest}"));
    part.trim()
}

/// Ids are new in every world.
fn without_ids(text: &str) -> String {
    let is_id = |word: &str| uuid::Uuid::parse_str(word).is_ok();
    let words = text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.map(|word| if is_id(&word[..word.len().min(36)]) { "ID" } else { word }).collect()
}
