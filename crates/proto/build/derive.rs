//! Puts together the derived code: methods, validators, records.

use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

use crate::{methods, options, records, rules, secrets};

/// What all generators look at.
pub(crate) struct Contract<'a> {
    pub(crate) pool: &'a DescriptorPool,
    /// Every permission that an option names, sorted.
    pub(crate) permissions: Vec<String>,
    /// Full names of the messages that are the input of a method.
    pub(crate) inputs: BTreeSet<String>,
    /// Full names of the messages that a request can contain.
    pub(crate) received: BTreeSet<String>,
}

pub(crate) fn derive(pool: &DescriptorPool) -> Result<String, String> {
    let mut inputs = BTreeSet::new();
    let mut received = BTreeSet::new();
    for service in ours(pool.services(), |s| s.package_name().to_owned()) {
        for method in service.methods() {
            inputs.insert(method.input().full_name().to_owned());
            reach(&method.input(), &mut received);
        }
    }
    let mut permissions = BTreeSet::new();
    for service in ours(pool.services(), |s| s.package_name().to_owned()) {
        for method in service.methods() {
            permissions.extend(options::method(pool, &method).map(|o| o.permission));
        }
    }
    for message in messages(pool) {
        for field in message.fields() {
            let options = options::field(pool, &field);
            permissions.extend([options.read_permission, options.write_permission]);
        }
    }
    permissions.remove("");
    if permissions.len() > 128 {
        return Err("more than 128 permissions: widen PermissionSet".to_owned());
    }
    let contract = Contract { pool, permissions: permissions.into_iter().collect(), inputs, received };
    let mut out = String::from(
        "use crate::validate::{Check, Form, Items, Path, Text};\n\
         use crate::record::convert;\n\
         use crate::{CreateRequest, DeleteRequest, Field, Fields, GetRequest, Kind, ListRequest, Method, Mutation, Permission, PermissionSet, Record, Redact, UndeleteRequest, UpdateRequest, Validate, Value, Violations, validate};\n\
         use crate::options::{CallerKind, Scope};\n",
    );
    out.push_str(&methods::generate(&contract)?);
    let problems: Vec<String> = messages(pool).iter().flat_map(|m| rules::problems(&contract, m)).collect();
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    for message in messages(pool) {
        out.push_str(&rules::generate(&contract, &message));
        out.push_str(&secrets::generate(&contract, &message));
        out.push_str(&records::generate(&contract, &message)?);
    }
    Ok(out)
}

/// Only what this repository declares.
pub(crate) fn ours<T>(all: impl Iterator<Item = T>, package: impl Fn(&T) -> String) -> impl Iterator<Item = T> {
    all.filter(move |item| package(item).starts_with("concierge."))
}

fn messages(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    ours(pool.all_messages(), |m| m.package_name().to_owned())
        .filter(|m| !m.is_map_entry() && !m.package_name().starts_with("concierge.options"))
        .collect()
}

fn reach(message: &MessageDescriptor, received: &mut BTreeSet<String>) {
    if !message.package_name().starts_with("concierge.") || !received.insert(message.full_name().to_owned()) {
        return;
    }
    for field in message.fields() {
        if let Kind::Message(inner) = field.kind() {
            reach(&inner, received);
        }
    }
}
