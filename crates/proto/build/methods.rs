//! The table of methods. A method without an option, or with one that makes no sense, stops the build.

use std::fmt::Write as _;

use crate::derive::{Contract, ours};
use crate::options;

const KINDS: [&str; 5] = ["Unspecified", "Agent", "User", "ApiClient", "Service"];
const SCOPES: [&str; 5] = ["Unspecified", "All", "OwnCustomer", "OwnSite", "Self_"];

pub(crate) fn generate(contract: &Contract<'_>) -> Result<String, String> {
    let mut problems = Vec::new();
    let mut table = String::new();
    for service in ours(contract.pool.services(), |s| s.package_name().to_owned()) {
        for method in service.methods() {
            let name = format!("{}/{}", service.full_name(), method.name());
            let Some(option) = options::method(contract.pool, &method) else {
                problems.push(format!("{name}: has no (concierge.options.v1.method): say who may call it"));
                continue;
            };
            let outside = option.kinds.iter().any(|k| *k == 2 || *k == 3);
            if option.public && !(option.permission.is_empty() && option.kinds.is_empty() && option.scope == 0) {
                problems.push(format!("{name}: is public and has other options beside it"));
            }
            if !option.public && option.permission.is_empty() {
                problems.push(format!("{name}: names no permission and is not public"));
            }
            if outside != (option.scope != 0) {
                problems.push(format!("{name}: a scope goes with the kinds USER and API_CLIENT, and only with them"));
            }
            let kinds = if option.kinds.is_empty() && !option.public { vec![1, 4] } else { option.kinds.clone() };
            let kinds: Vec<String> =
                kinds.iter().map(|k| format!("CallerKind::{}", KINDS[usize::try_from(*k).unwrap_or(0)])).collect();
            let permission = contract
                .permissions
                .iter()
                .position(|p| *p == option.permission)
                .map_or("None".to_owned(), |i| format!("Some(Permission({i}))"));
            let input = method.input();
            let _ = write!(
                table,
                "    Method {{ path: \"/{name}\", service: {:?}, name: {:?}, public: {}, permission: {permission}, kinds: &[{}], \
                 scope: Scope::{}, streaming: {}, mutation: {}, input: {:?} }},\n",
                service.full_name(),
                method.name(),
                option.public,
                kinds.join(", "),
                SCOPES[usize::try_from(option.scope).unwrap_or(0)],
                method.is_server_streaming() || method.is_client_streaming(),
                input.get_field_by_name("request_id").is_some(),
                input.full_name(),
            );
        }
    }
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    Ok(format!(
        "/// Every method of the contract, in the order of its files.\npub static METHODS: &[Method] = &[\n{table}];\n\
         /// Every permission that the contract names, sorted.\npub static PERMISSIONS: &[&str] = &{:?};\n",
        contract.permissions
    ))
}
