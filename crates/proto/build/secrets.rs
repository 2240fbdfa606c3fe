//! Which messages hold secret fields or fields that not every reader may see, and how to clear them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::derive::Contract;
use crate::options::Field;
use crate::{names, options, records};

pub(crate) fn generate(contract: &Contract<'_>, message: &MessageDescriptor) -> String {
    let path = names::message(message);
    let is_secret = |o: &Field| o.secret;
    let is_guarded = |o: &Field| !o.read_permission.is_empty();
    let has_secrets = |m: &MessageDescriptor| holds(contract, m, &is_secret, &mut BTreeSet::new());
    let secrets = clear(contract, message, &is_secret, "redact()", has_secrets, |_| String::new());
    let hides = |m: &MessageDescriptor| conceals(contract, m, &is_secret, &is_guarded, &mut BTreeSet::new());
    let guarded = clear(contract, message, &is_guarded, "conceal(permissions)", hides, |o| {
        let index = contract.permissions.iter().position(|p| *p == o.read_permission).unwrap_or_default();
        format!("if !permissions.holds(Permission({index})) ")
    });
    // What a record keeps secret is written and never read back; an answer's own secret is shown once.
    let guarded = if records::is_record(message) { clear_own_secrets(contract, message) + &guarded } else { guarded };
    format!(
        "impl Redact for {path} {{\n    const HAS_SECRETS: bool = {};\n    fn redact(&mut self) {{ {secrets} }}\n\
         \x20   fn conceal(&mut self, permissions: PermissionSet) {{ {guarded} }}\n}}\n",
        !secrets.is_empty(),
    )
}

fn clear_own_secrets(contract: &Contract<'_>, message: &MessageDescriptor) -> String {
    let secret = message.fields().filter(|f| options::field(contract.pool, f).secret);
    secret.map(|f| format!("self.{} = Default::default(); ", names::field(f.name()))).collect()
}

/// The statements that clear the fields of which `is` holds, also inside.
fn clear(
    contract: &Contract<'_>,
    message: &MessageDescriptor,
    is: &impl Fn(&Field) -> bool,
    inside: &str,
    has_inside: impl Fn(&MessageDescriptor) -> bool,
    condition: impl Fn(&Field) -> String,
) -> String {
    let mut body = String::new();
    // Inside oneofs and maps such fields have no use: they are not looked for there.
    for field in message.fields().filter(|f| !f.is_map() && f.containing_oneof().is_none_or(|o| o.is_synthetic())) {
        let place = format!("self.{}", names::field(field.name()));
        let options = options::field(contract.pool, &field);
        if is(&options) {
            let _ = write!(body, "{}{{ {place} = Default::default(); }} ", condition(&options));
        }
        if inner(&field).is_some_and(|m| has_inside(&m)) {
            let _ = write!(body, "{place}.iter_mut().for_each(|inner| inner.{inside}); ");
        }
    }
    body
}

fn inner(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(inner) if inner.package_name().starts_with("concierge.") && !field.is_map() => Some(inner),
        _ => None,
    }
}

fn holds(
    contract: &Contract<'_>,
    message: &MessageDescriptor,
    is: &impl Fn(&Field) -> bool,
    seen: &mut BTreeSet<String>,
) -> bool {
    seen.insert(message.full_name().to_owned())
        && message.fields().any(|field| {
            is(&options::field(contract.pool, &field)) || inner(&field).is_some_and(|m| holds(contract, &m, is, seen))
        })
}

/// Whether concealing a message, or one inside it, clears anything: a guarded field, or a record's own secret.
fn conceals(
    contract: &Contract<'_>,
    message: &MessageDescriptor,
    is_secret: &impl Fn(&Field) -> bool,
    is_guarded: &impl Fn(&Field) -> bool,
    seen: &mut BTreeSet<String>,
) -> bool {
    let is_record = records::is_record(message);
    seen.insert(message.full_name().to_owned())
        && message.fields().any(|field| {
            let options = options::field(contract.pool, &field);
            is_guarded(&options)
                || (is_record && is_secret(&options))
                || inner(&field).is_some_and(|m| conceals(contract, &m, is_secret, is_guarded, seen))
        })
}
