//! Which messages hold secret fields, and how to clear them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost_reflect::{Kind, MessageDescriptor};

use crate::derive::Contract;
use crate::{names, options};

pub(crate) fn generate(contract: &Contract<'_>, message: &MessageDescriptor) -> String {
    let path = names::message(message);
    let has = holds(contract, message, &mut BTreeMap::new());
    let mut body = String::new();
    if has {
        for field in message.fields() {
            // Secrets inside oneofs and maps have no use yet; the build says so when one appears.
            let place = format!("self.{}", names::field(field.name()));
            if options::field(contract.pool, &field).secret {
                let _ = write!(body, "{place} = Default::default(); ");
            } else if let Kind::Message(inner) = field.kind()
                && inner.package_name().starts_with("concierge.")
                && !field.is_map()
                && holds(contract, &inner, &mut BTreeMap::new())
            {
                let _ = write!(body, "{place}.iter_mut().for_each(Redact::redact); ");
            }
        }
    }
    format!("impl Redact for {path} {{ const HAS_SECRETS: bool = {has}; fn redact(&mut self) {{ {body} }} }}\n")
}

fn holds(contract: &Contract<'_>, message: &MessageDescriptor, seen: &mut BTreeMap<String, bool>) -> bool {
    if let Some(known) = seen.get(message.full_name()) {
        return *known;
    }
    seen.insert(message.full_name().to_owned(), false);
    let found = message.fields().any(|field| {
        options::field(contract.pool, &field).secret
            || matches!(field.kind(), Kind::Message(inner)
                if inner.package_name().starts_with("concierge.") && holds(contract, &inner, seen))
    });
    seen.insert(message.full_name().to_owned(), found);
    found
}
