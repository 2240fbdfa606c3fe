//! Other engines, given the same rules in their own languages.

use std::fmt::Write as _;

use concierge_criteria::{Definition, Fact, GroupKind, Operator, Record, Value};

use crate::generator::Made;

/// Rules that were compiled, and a ticket that was read: puts the places of the rules that match into the list.
pub(crate) type Peer = Box<dyn FnMut(&mut Vec<usize>)>;

/// Compiles rules for a ticket.
pub(crate) type Compile = fn(&[Made], &Record) -> Peer;

/// The engines, by name.
pub(crate) const PEERS: &[(&str, Compile)] = &[
    #[cfg(feature = "peers")]
    ("cel", engines::cel),
    #[cfg(feature = "peers")]
    ("rhai", engines::rhai),
    #[cfg(feature = "peers")]
    ("cedar-policy", engines::cedar),
];

/// Criteria in the syntax that all of them share; fields have what comes before them.
#[cfg_attr(not(feature = "peers"), allow(dead_code))]
fn expression(definition: &Definition, before: &str) -> String {
    match definition {
        Definition::Criterion(criterion) => {
            let operator = match criterion.operator {
                Operator::Is => "==",
                Operator::IsNot => "!=",
                other => panic!("{other} is not translated"),
            };
            let value = match &criterion.values[0] {
                Value::Flag(flag) => flag.to_string(),
                other => format!("{:?}", text(other)),
            };
            format!("{before}{} {operator} {value}", variable(&criterion.field))
        }
        Definition::Group { kind, items } if items.is_empty() => (*kind == GroupKind::All).to_string(),
        Definition::Group { kind, items } => {
            let mut made = String::from(if *kind == GroupKind::Not { "!(" } else { "(" });
            for (place, item) in items.iter().enumerate() {
                let between = if *kind == GroupKind::Any { " || " } else { " && " };
                let _ = write!(made, "{}{}", if place == 0 { "" } else { between }, expression(item, before));
            }
            made + ")"
        }
    }
}

fn variable(field: &str) -> String {
    field.replace('.', "_")
}

fn text(value: &Value) -> String {
    match value {
        Value::Id(id) => id.to_string(),
        Value::Choice(name) => name.to_string(),
        other => panic!("{other:?} is not translated"),
    }
}

/// The fields of a ticket that the rules ask for.
#[cfg_attr(not(feature = "peers"), allow(dead_code))]
fn variables(ticket: &Record) -> impl Iterator<Item = (String, Result<bool, String>)> {
    ticket.schema().fields().iter().filter_map(|field| match ticket.get(field.id) {
        Fact::Known(Value::Flag(flag)) => Some((variable(&field.name), Ok(*flag))),
        Fact::Known(value @ (Value::Id(_) | Value::Choice(_))) => Some((variable(&field.name), Err(text(value)))),
        _ => None,
    })
}

#[cfg(feature = "peers")]
mod engines {
    use cedar_policy::{
        Authorizer, Context as CedarContext, Entities, EntityUid, Policy, PolicyId, PolicySet, Request,
        RestrictedExpression,
    };
    use cel::{Context, Program, Value as CelValue};
    use concierge_criteria::Record;
    use rhai::{AST, Engine, Scope};

    use super::{Made, Peer, expression, variables};

    /// A loop over programs.
    pub(crate) fn cel(rules: &[Made], ticket: &Record) -> Peer {
        let programs: Vec<Program> =
            rules.iter().map(|made| Program::compile(&expression(&made.criteria, "")).unwrap()).collect();
        let mut context = Context::default();
        for (name, value) in variables(ticket) {
            match value {
                Ok(flag) => context.add_variable_from_value(name, flag),
                Err(text) => context.add_variable_from_value(name, text),
            }
        }
        Box::new(move |found| {
            let holds = |program: &Program| matches!(program.execute(&context), Ok(CelValue::Bool(true)));
            found.extend((0..).zip(&programs).filter(|(_, program)| holds(program)).map(|(place, _)| place));
        })
    }

    /// A loop over scripts.
    pub(crate) fn rhai(rules: &[Made], ticket: &Record) -> Peer {
        let mut engine = Engine::new();
        // A rule that nests as deep as ours may.
        engine.set_max_expr_depths(0, 0);
        let scripts: Vec<AST> =
            rules.iter().map(|made| engine.compile_expression(expression(&made.criteria, "")).unwrap()).collect();
        let mut scope = Scope::new();
        for (name, value) in variables(ticket) {
            match value {
                Ok(flag) => drop(scope.push(name, flag)),
                Err(text) => drop(scope.push(name, text)),
            }
        }
        Box::new(move |found| {
            for (place, script) in scripts.iter().enumerate() {
                if engine.eval_ast_with_scope(&mut scope, script).unwrap_or(false) {
                    found.push(place);
                }
            }
        })
    }

    /// A set of policies, each of which permits what its rule matches.
    pub(crate) fn cedar(rules: &[Made], ticket: &Record) -> Peer {
        let mut policies = PolicySet::new();
        for (place, made) in rules.iter().enumerate() {
            let policy =
                format!("permit(principal, action, resource) when {{ {} }};", expression(&made.criteria, "context."));
            policies.add(Policy::parse(Some(PolicyId::new(place.to_string())), policy).unwrap()).unwrap();
        }
        let pairs = variables(ticket).map(|(name, value)| match value {
            Ok(flag) => (name, RestrictedExpression::new_bool(flag)),
            Err(text) => (name, RestrictedExpression::new_string(text)),
        });
        let context = CedarContext::from_pairs(pairs).unwrap();
        let uid = |text: &str| text.parse::<EntityUid>().unwrap();
        let request =
            Request::new(uid("User::\"a\""), uid("Action::\"log\""), uid("Ticket::\"b\""), context, None).unwrap();
        let (authorizer, entities) = (Authorizer::new(), Entities::empty());
        Box::new(move |found| {
            let answer = authorizer.is_authorized(&request, &policies, &entities);
            found.extend(answer.diagnostics().reason().filter_map(|id| {
                let id: &str = id.as_ref();
                id.parse::<usize>().ok()
            }));
        })
    }
}
