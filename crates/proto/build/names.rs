//! The names that prost gives to what the contract names.

use prost_reflect::{EnumDescriptor, MessageDescriptor};

/// `camelCase` or `PascalCase` to `snake_case`, as prost's own naming does for names of plain letters.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::new();
    let chars: Vec<char> = name.chars().collect();
    for (i, c) in chars.iter().enumerate() {
        if c.is_uppercase() {
            let after_lower = i > 0 && (chars[i - 1].is_lowercase() || chars[i - 1].is_ascii_digit());
            let before_lower =
                i > 0 && chars[i - 1].is_uppercase() && chars.get(i + 1).is_some_and(|n| n.is_lowercase());
            if after_lower || before_lower {
                out.push('_');
            }
            out.extend(c.to_lowercase());
        } else {
            out.push(*c);
        }
    }
    out
}

/// `snake_case` to `PascalCase`.
pub(crate) fn pascal(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let mut chars = word.chars();
            chars.next().map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
        })
        .collect()
}

/// A field as a Rust identifier.
pub(crate) fn field(name: &str) -> String {
    const KEYWORDS: [&str; 14] =
        ["as", "box", "const", "enum", "for", "if", "in", "match", "mod", "move", "ref", "type", "use", "where"];
    if KEYWORDS.contains(&name) { format!("r#{name}") } else { name.to_owned() }
}

fn path(package: &str, full: &str) -> String {
    // `concierge.directory.v1.Customer.Kind` is `crate::directory::customer::Kind`.
    let module = package.split('.').nth(1).unwrap_or(package);
    let inner = full.strip_prefix(package).unwrap_or(full).trim_start_matches('.');
    let mut parts: Vec<String> = inner.split('.').map(str::to_owned).collect();
    let last = parts.pop().unwrap_or_default();
    let nested: String = parts.iter().map(|p| format!("{}::", snake(p))).collect();
    format!("crate::{module}::{nested}{last}")
}

/// The Rust path of a message.
pub(crate) fn message(message: &MessageDescriptor) -> String {
    path(message.package_name(), message.full_name())
}

/// The values of an enum as a Rust slice of `(name without its prefix, number)`.
pub(crate) fn enum_values(e: &EnumDescriptor) -> String {
    let prefix = format!("{}_", snake(e.name()).to_uppercase());
    let values: Vec<String> = e
        .values()
        .map(|v| format!("({:?}, {})", v.name().strip_prefix(&prefix).unwrap_or(v.name()), v.number()))
        .collect();
    format!("&[{}]", values.join(", "))
}
