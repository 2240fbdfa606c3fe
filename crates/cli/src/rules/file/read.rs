//! YAML to rules: everything that is wrong is told at once, with its line.

use std::collections::HashMap;

use concierge_proto::ticket_rule::rule_reference::Handle;
use concierge_proto::ticket_rule::{Rule, RuleAppliesTo, RuleExternalId, RuleOutcomes, RuleReference};
use uuid::Uuid;

use super::node::{Node, Value};
use super::write::DEFAULT_PRECEDENCE;
use super::{APPLIES_TO, Place, Places, Problem, RuleFile};

impl RuleFile {
    /// Reads a file. Ids in the rules are their own where the file has ids, and else stand for what `references` says.
    pub(crate) fn read(node: &Node) -> Result<(Self, Places), Vec<Problem>> {
        let mut reader = Reader::default();
        let file = reader.file(node);
        if reader.problems.is_empty() { Ok((file, Places(reader.places))) } else { Err(reader.problems) }
    }
}

/// Where something stands: in the contract, and in the file.
#[derive(Clone, Debug)]
pub(super) struct Path {
    contract: String,
    file: String,
}

impl Path {
    /// A part that has the same name in both.
    pub(super) fn part(&self, name: &str) -> Self {
        self.parts(name, name)
    }

    /// A part that has one name in the contract, and another in the file.
    pub(super) fn parts(&self, contract: &str, file: &str) -> Self {
        let join = |path: &str, part: &str| match part {
            _ if path.is_empty() || part.starts_with('[') => format!("{path}{part}"),
            "" => path.to_owned(),
            _ => format!("{path}.{part}"),
        };
        Self { contract: join(&self.contract, contract), file: join(&self.file, file) }
    }
}

/// A reading under way.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
    places: HashMap<String, Place>,
    references: Vec<RuleReference>,
    /// The ids that stand for handles, by the field that names them: a name is one of a team in one, of a role in another.
    known: HashMap<(String, Handle), String>,
}

impl Reader {
    fn file(&mut self, node: &Node) -> RuleFile {
        let root = Path { contract: String::new(), file: String::new() };
        let mut file = RuleFile::default();
        self.map(node, &root, &["revision", "rules"]);
        if let Some(revision) = node.get("revision") {
            file.revision = self.number(revision, &root.part("revision"));
        }
        match node.get("rules") {
            Some(rules) => {
                for (index, rule) in self.list(rules, &root.part("rules")).iter().enumerate() {
                    let rule = self.rule(rule, &root.part(&format!("rules[{index}]")));
                    file.rules.push(rule);
                }
            }
            // An empty list is meant; nothing at all may be the wrong file.
            None => self.problem(node, &root, "must have `rules`, if only an empty list".to_owned()),
        }
        file.references = std::mem::take(&mut self.references);
        file
    }

    fn rule(&mut self, node: &Node, path: &Path) -> Rule {
        const KEYS: &[&str] = &[
            "name",
            "id",
            "description",
            "enabled",
            "applies_to",
            "precedence",
            "stop_on_match",
            "criteria",
            "outcomes",
        ];
        self.map(node, path, KEYS);
        let mut rule = Rule {
            enabled: Some(true),
            applies_to: RuleAppliesTo::NewAndExisting.into(),
            precedence: Some(DEFAULT_PRECEDENCE),
            ..Rule::default()
        };
        rule.name = self.text_at(node, path, "name").unwrap_or_default();
        if rule.name.is_empty() && node.get("name").is_none() {
            self.problem(node, path, "must have a `name`".to_owned());
        }
        rule.id = self.text_at(node, path, "id").unwrap_or_default();
        rule.description = self.text_at(node, path, "description").unwrap_or_default();
        if let Some(flag) = node.get("enabled") {
            rule.enabled = self.flag(flag, &path.part("enabled"));
        }
        if let Some(number) = node.get("precedence") {
            let path = path.part("precedence");
            rule.precedence = self.number(number, &path).and_then(|value| {
                let precedence = i32::try_from(value).ok();
                if precedence.is_none() {
                    self.problem(number, &path, "must be at most 1000000".to_owned());
                }
                precedence
            });
        }
        if let Some(flag) = node.get("stop_on_match") {
            rule.stop_on_match = self.flag(flag, &path.part("stop_on_match")).unwrap_or_default();
        }
        if let Some(word) = node.get("applies_to") {
            let path = path.part("applies_to");
            let found = self.word(word, &path, |name| {
                RuleAppliesTo::from_str_name(&format!("{APPLIES_TO}{name}"))
                    .filter(|a| *a != RuleAppliesTo::Unspecified)
            });
            rule.applies_to = found.unwrap_or_default().into();
        }
        if let Some(criteria) = node.get("criteria") {
            rule.criteria = Some(self.group(criteria, &path.part("criteria")));
        }
        if let Some(outcomes) = node.get("outcomes") {
            rule.outcomes = Some(self.outcomes(outcomes, &path.part("outcomes")));
        }
        rule
    }

    fn outcomes(&mut self, node: &Node, path: &Path) -> RuleOutcomes {
        const KEYS: &[&str] = &[
            "type",
            "status",
            "priority",
            "sla",
            "category_1",
            "category_2",
            "category_3",
            "category_4",
            "team",
            "agent",
            "add_tags",
            "custom_fields",
            "popup_html",
        ];
        self.map(node, path, KEYS);
        let mut id = |key: &str| {
            let field = format!("{key}_id");
            let path = path.parts(&field, key);
            node.get(key).and_then(|value| self.reference(value, &path, &field)).unwrap_or_default()
        };
        let mut outcomes = RuleOutcomes {
            type_id: id("type"),
            status_id: id("status"),
            priority_id: id("priority"),
            sla_id: id("sla"),
            category_1_id: id("category_1"),
            category_2_id: id("category_2"),
            category_3_id: id("category_3"),
            category_4_id: id("category_4"),
            team_id: id("team"),
            agent_id: id("agent"),
            add_tags: Vec::new(),
            custom_fields: Vec::new(),
            popup_html: String::new(),
        };
        if let Some(tags) = node.get("add_tags") {
            let path = path.part("add_tags");
            for (index, tag) in self.list(tags, &path).iter().enumerate() {
                outcomes.add_tags.extend(self.text(tag, &path.part(&format!("[{index}]"))));
            }
        }
        if let Some(values) = node.get("custom_fields") {
            outcomes.custom_fields = self.custom_fields(values, &path.part("custom_fields"));
        }
        outcomes.popup_html = self.text_at(node, path, "popup_html").unwrap_or_default();
        outcomes
    }

    /// The id of a record: the one that the file has, or one that stands for what it has.
    pub(super) fn reference(&mut self, node: &Node, path: &Path, field: &str) -> Option<String> {
        self.note(node, path);
        let handle = match &node.value {
            Value::Text(name) => Handle::Name(name.clone()),
            Value::Map(_) => {
                self.map(node, path, &["id", "name", "email", "external_id", "external_source"]);
                let mut given = |key| self.text_at(node, path, key);
                match (given("id"), given("name"), given("email"), given("external_id")) {
                    (Some(id), None, None, None) => {
                        if id.parse::<Uuid>().is_err() {
                            self.problem(node, path, format!("{id:?} is no id: a UUID is one"));
                        }
                        return Some(id);
                    }
                    (None, Some(name), None, None) => Handle::Name(name),
                    (None, None, Some(email), None) => Handle::Email(email),
                    (None, None, None, Some(id)) => {
                        let source = self.text_at(node, path, "external_source").unwrap_or_default();
                        Handle::External(RuleExternalId { source, id })
                    }
                    _ => {
                        let one = "must have one of `id`, `name`, `email` and `external_id`";
                        self.problem(node, path, one.to_owned());
                        return None;
                    }
                }
            }
            other => {
                let kind = other.kind();
                self.problem(
                    node,
                    path,
                    format!("must be a name in quotes, or a map such as {{email: …}}, not {kind}"),
                );
                return None;
            }
        };
        let next = Uuid::from_u128(u128::try_from(self.references.len()).unwrap_or_default() + 1).to_string();
        let id = self.known.entry((field.to_owned(), handle.clone())).or_insert_with(|| next.clone()).clone();
        if id == next {
            let contract = format!("references[{}]", self.references.len());
            self.places.insert(contract, Place { line: node.line, path: path.file.clone() });
            self.references.push(RuleReference { id: next, record_type: String::new(), handle: Some(handle) });
        }
        Some(id)
    }

    /// Notes where something stands, for what the service says of it.
    pub(super) fn note(&mut self, node: &Node, path: &Path) {
        self.places.insert(path.contract.clone(), Place { line: node.line, path: path.file.clone() });
    }

    pub(super) fn problem(&mut self, node: &Node, path: &Path, text: String) {
        self.problems.push(Problem { place: Place { line: node.line, path: path.file.clone() }, text });
    }

    /// It must be a map with no other keys than these.
    pub(super) fn map(&mut self, node: &Node, path: &Path, keys: &[&str]) {
        self.note(node, path);
        let Value::Map(entries) = &node.value else {
            let text = format!("must be a map of {}, not {}", keys.join(", "), node.value.kind());
            return self.problem(node, path, text);
        };
        for (key, value) in entries.iter().filter(|(key, _)| !keys.contains(&key.as_str())) {
            self.problem(value, &path.part(key), format!("is nothing that stands here: {} can", keys.join(", ")));
        }
    }

    pub(super) fn list<'n>(&mut self, node: &'n Node, path: &Path) -> &'n [Node] {
        self.note(node, path);
        match &node.value {
            Value::List(items) => items,
            other => {
                self.problem(node, path, format!("must be a list, not {}", other.kind()));
                &[]
            }
        }
    }

    pub(super) fn text(&mut self, node: &Node, path: &Path) -> Option<String> {
        self.note(node, path);
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            other => {
                let quoted = if matches!(other, Value::Map(_) | Value::List(_)) { "" } else { ": put it in quotes" };
                self.problem(node, path, format!("must be a text, not {}{quoted}", other.kind()));
                None
            }
        }
    }

    fn text_at(&mut self, node: &Node, path: &Path, key: &str) -> Option<String> {
        self.text(node.get(key)?, &path.part(key))
    }

    pub(super) fn flag(&mut self, node: &Node, path: &Path) -> Option<bool> {
        self.note(node, path);
        match node.value {
            Value::Bool(flag) => Some(flag),
            _ => {
                self.problem(node, path, format!("must be true or false, not {}", node.value.kind()));
                None
            }
        }
    }

    pub(super) fn number(&mut self, node: &Node, path: &Path) -> Option<i64> {
        self.note(node, path);
        match node.value {
            Value::Int(number) => Some(number),
            _ => {
                self.problem(node, path, format!("must be a whole number, not {}", node.value.kind()));
                None
            }
        }
    }

    /// A name out of a list, in lower case.
    pub(super) fn word<T>(&mut self, node: &Node, path: &Path, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let word = self.text(node, path)?;
        let found =
            Some(&word).filter(|word| **word == word.to_lowercase()).and_then(|word| find(&word.to_uppercase()));
        if found.is_none() {
            self.problem(node, path, format!("{word:?} is no name of a value: docs/rules.md lists them"));
        }
        found
    }
}
