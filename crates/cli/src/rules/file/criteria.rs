//! Criteria from YAML.

use chrono::{DateTime, Utc};
use concierge_proto::common::criterion_value::Kind as ValueKind;
use concierge_proto::common::{CriteriaGroup, Criterion, CriterionValue, GroupKind, Operator};
use concierge_proto::record::timestamp;

use super::node::{Node, Value};
use super::read::{Path, Reader};
use super::{Kind, OPERATOR, expected};

/// The keys of groups.
const GROUPS: [(&str, GroupKind); 3] = [("all", GroupKind::All), ("any", GroupKind::Any), ("not", GroupKind::Not)];
/// A little deeper than the service takes, which says so better.
const DEEPEST: usize = 20;

impl Reader {
    pub(super) fn group(&mut self, node: &Node, path: &Path) -> CriteriaGroup {
        self.group_at(node, path, 0)
    }

    fn group_at(&mut self, node: &Node, path: &Path, depth: usize) -> CriteriaGroup {
        self.map(node, path, &["all", "any", "not"]);
        let mut group = CriteriaGroup::default();
        let found: Vec<(&str, GroupKind, &Node)> =
            GROUPS.into_iter().filter_map(|(key, kind)| Some((key, kind, node.get(key)?))).collect();
        let [(key, kind, members)] = found[..] else {
            if matches!(node.value, Value::Map(_)) {
                self.problem(node, path, "must have one of `all`, `any` and `not`, and only one".to_owned());
            }
            return group;
        };
        if depth > DEEPEST {
            self.problem(node, path, "is nested too deep".to_owned());
            return group;
        }
        group.set_kind(kind);
        let inside = path.parts("", key);
        // What is not needs no list.
        let one = std::slice::from_ref(members);
        let is_one = kind == GroupKind::Not && matches!(members.value, Value::Map(_));
        let members = if is_one { one } else { self.list(members, &inside) };
        for (index, member) in members.iter().enumerate() {
            let place = if is_one { String::new() } else { format!("[{index}]") };
            if GROUPS.iter().any(|(key, _)| member.get(key).is_some()) {
                let path = path.parts(&format!("groups[{}]", group.groups.len()), &format!("{key}{place}"));
                let inner = self.group_at(member, &path, depth + 1);
                group.groups.push(inner);
            } else {
                let path = path.parts(&format!("criteria[{}]", group.criteria.len()), &format!("{key}{place}"));
                let criterion = self.criterion(member, &path);
                group.criteria.push(criterion);
            }
        }
        group
    }

    fn criterion(&mut self, node: &Node, path: &Path) -> Criterion {
        self.map(node, path, &["field", "operator", "value", "values", "case_sensitive"]);
        let mut criterion = Criterion::default();
        if !matches!(node.value, Value::Map(_)) {
            return criterion;
        }
        for key in ["field", "operator"].into_iter().filter(|key| node.get(key).is_none()) {
            self.problem(node, path, format!("must have a `{key}`"));
        }
        if let Some(field) = node.get("field") {
            criterion.field = self.text(field, &path.part("field")).unwrap_or_default();
        }
        if let Some(operator) = node.get("operator") {
            let found = self.word(operator, &path.part("operator"), |name| {
                Operator::from_str_name(&format!("{OPERATOR}{name}")).filter(|found| *found != Operator::Unspecified)
            });
            criterion.set_operator(found.unwrap_or_default());
        }
        if let Some(flag) = node.get("case_sensitive") {
            criterion.case_sensitive = self.flag(flag, &path.part("case_sensitive")).unwrap_or_default();
        }
        let kind = expected(&criterion.field, criterion.operator());
        let values: Vec<(&Node, Path)> = match (node.get("value"), node.get("values")) {
            (Some(one), None) => vec![(one, path.parts("values[0]", "value"))],
            (None, Some(several)) => {
                let inside = path.part("values");
                let several = self.list(several, &inside).iter().enumerate();
                several.map(|(index, value)| (value, inside.part(&format!("[{index}]")))).collect()
            }
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => {
                self.problem(node, path, "must not have both `value` and `values`".to_owned());
                Vec::new()
            }
        };
        for (value, path) in values {
            let kind = self.value(value, &path, &criterion.field, kind);
            criterion.values.push(CriterionValue { kind });
        }
        criterion
    }

    fn value(&mut self, node: &Node, path: &Path, field: &str, expected: Option<Kind>) -> Option<ValueKind> {
        const TAGS: [(&str, Kind); 5] = [
            ("flag", Kind::Flag),
            ("choice", Kind::Choice),
            ("text", Kind::Text),
            ("number", Kind::Number),
            ("time", Kind::Time),
        ];
        let tagged = TAGS.into_iter().find_map(|(tag, kind)| Some((tag, kind, node.get(tag)?)));
        if let Some((tag, kind, inner)) = tagged {
            self.map(node, path, &[tag]);
            return self.plain(inner, path, field, kind);
        }
        if matches!(node.value, Value::Map(_)) {
            return self.reference(node, path, field).map(ValueKind::Id);
        }
        match (expected, &node.value) {
            (Some(kind), _) => self.plain(node, path, field, kind),
            // A field that this program does not know: the service may.
            (None, Value::Bool(_)) => self.plain(node, path, field, Kind::Flag),
            (None, Value::Int(_)) => self.plain(node, path, field, Kind::Number),
            (None, _) => self.plain(node, path, field, Kind::Text),
        }
    }

    pub(super) fn plain(&mut self, node: &Node, path: &Path, field: &str, kind: Kind) -> Option<ValueKind> {
        Some(match kind {
            Kind::Flag => ValueKind::Flag(self.flag(node, path)?),
            Kind::Id => ValueKind::Id(self.reference(node, path, field)?),
            Kind::Choice => ValueKind::Choice(self.text(node, path)?),
            Kind::Text => ValueKind::Text(self.text(node, path)?),
            Kind::Number => ValueKind::Number(self.number(node, path)?),
            Kind::Time => {
                let text = self.text(node, path)?;
                match DateTime::parse_from_rfc3339(&text) {
                    Ok(time) => ValueKind::Time(timestamp(time.with_timezone(&Utc))),
                    Err(_) => {
                        self.problem(node, path, format!("{text:?} is no time such as 2026-01-31T09:00:00Z"));
                        return None;
                    }
                }
            }
        })
    }
}
