//! Every setting, once: what the reader takes its defaults from, and what the README's table is made of.

use std::fmt::Write as _;

/// What a setting is when nobody sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnset {
    /// Nothing: what the setting is for is off.
    Off,
    /// It must be set.
    Required,
    /// This value.
    Is(&'static str),
    /// A value for each service; a service that is not named has none.
    PerService(&'static [(&'static str, &'static str)]),
}

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in the file: `deadline.default` is `default` under `[deadline]`.
    pub name: &'static str,
    /// What it is when nobody sets it.
    pub default: WhenUnset,
    /// What it means, for the README.
    pub meaning: &'static str,
}

impl Setting {
    /// The environment variable that sets it: `CONCIERGE_DEADLINE__DEFAULT`.
    pub fn variable(&self) -> String {
        variable(self.name)
    }
}

/// The environment variable that sets a setting.
pub(super) fn variable(name: &str) -> String {
    format!("CONCIERGE_{}", name.replace('.', "__").to_uppercase())
}

const fn setting(name: &'static str, default: WhenUnset, meaning: &'static str) -> Setting {
    Setting { name, default, meaning }
}

/// What the suite's own tokens have in `iss` unless it is configured.
pub const DEFAULT_ISSUER: &str = "concierge";

use WhenUnset::{Is, Off, PerService, Required};

/// Every setting of every service. `<name>` stands for a name of your choice.
pub const SETTINGS: &[Setting] = &[
    setting(
        "listen",
        PerService(&[
            ("directory", "127.0.0.1:7101"),
            ("ticket-rule", "127.0.0.1:7102"),
            ("notification", "127.0.0.1:7103"),
        ]),
        "The address that serves gRPC.",
    ),
    setting("metrics_listen", Off, "The address that serves metrics over HTTP at `/metrics`, for Prometheus."),
    setting(
        "database.url",
        Required,
        "The database, `postgres://user:password@host/name`. Also read from `DATABASE_URL`. Secret.",
    ),
    setting(
        "database.pool_size",
        Is("8"),
        "The most connections to the database for requests and events: 1 to 1000. The service has three more for its own short statements.",
    ),
    setting(
        "database.statement_timeout",
        Is("10s"),
        "The longest a single statement may take. In a transaction, what is left of the caller's deadline counts.",
    ),
    setting("deadline.default", Is("10s"), "How long a request may take when its caller sets no deadline."),
    setting("deadline.max", Is("60s"), "The longest deadline a caller can set; a longer one is cut."),
    setting(
        "limits.concurrency",
        Is("1024"),
        "How many requests are served at once; more are refused with `OVERLOADED`.",
    ),
    setting("limits.connections", Is("10000"), "How many connections are open at once; more wait to be accepted."),
    setting("limits.streams_per_connection", Is("1024"), "How many requests a connection may have under way."),
    setting("limits.message_size", Is("4MiB"), "The largest message taken, 1KiB to 64MiB."),
    setting(
        "tls.certificate_file",
        Off,
        "The file with the server's certificate chain in PEM. With `tls.key_file`: serve TLS.",
    ),
    setting("tls.key_file", Off, "The file with the certificate's private key in PEM."),
    setting("issuer", Is(DEFAULT_ISSUER), "What the suite's own tokens have in `iss`."),
    setting(
        "public_key_files",
        Off,
        "Files with public keys in PEM that tokens are checked with, beside the directory's.",
    ),
    setting("jwks_file", Off, "A file with such keys as a JSON Web Key Set."),
    setting(
        "signing_key_file",
        Off,
        "The file with the Ed25519 private key (PEM, PKCS #8) that this service signs its tokens with.",
    ),
    setting("openid.<name>.issuer", Off, "An OpenID provider whose tokens are accepted: what they have in `iss`."),
    setting("openid.<name>.jwks_file", Off, "The file with its keys as a JSON Web Key Set."),
    setting("openid.<name>.audience", Off, "What its tokens have in `aud`; when not set, this service's name."),
    setting(
        "openid.<name>.subject_claim",
        Is("sub"),
        "The claim with the id of the agent or user. Claims are named as they stand in the token, or by a path with dots.",
    ),
    setting(
        "openid.<name>.kind_claim",
        Off,
        "The claim with `agent`, `user` or `api_client`; when not set, everybody is an agent.",
    ),
    setting("openid.<name>.scope_claim", Is("scope"), "The claim with scopes, groups or roles: words or a list."),
    setting(
        "openid.<name>.grants.<role>",
        Off,
        "The permissions that one of them grants. When none is set, they are permissions themselves.",
    ),
    setting(
        "openid.<name>.customer_claim",
        Is("customer_id"),
        "The claim with the customer's id, for users and API clients.",
    ),
    setting("openid.<name>.site_claim", Is("site_id"), "The claim with the site's id, for users."),
    setting(
        "secret_keys",
        Off,
        "Keys that secrets kept in the database, such as the password of an e-mail server, are encrypted with: 32 random bytes in base64 each. The first encrypts, each decrypts what it encrypted. Secret.",
    ),
    setting("secret_key_files", Off, "Files with such keys, one each; they come after those of `secret_keys`."),
    setting(
        "upstreams.directory",
        PerService(&[("ticket-rule", "http://127.0.0.1:7101"), ("notification", "http://127.0.0.1:7101")]),
        "Where the directory is, for services that call it.",
    ),
    setting(
        "upstreams.directory_ca_file",
        Off,
        "The file with the CA certificate of the directory, in PEM; an https address needs it.",
    ),
    setting(
        "upstreams.ticket_rule",
        PerService(&[("directory", "http://127.0.0.1:7102"), ("notification", "http://127.0.0.1:7102")]),
        "Where the ticket-rule service is, for services that call it.",
    ),
    setting(
        "upstreams.ticket_rule_ca_file",
        Off,
        "The file with the CA certificate of the ticket-rule service, in PEM.",
    ),
    setting("telemetry.log_format", Is("text"), "`text` for people, `json` for machines: one object a line."),
    setting("telemetry.log_filter", Is("info"), "What is logged: a level, or directives such as `info,sqlx=warn`."),
    setting(
        "telemetry.otlp_endpoint",
        Off,
        "Where traces are sent over OTLP/gRPC: a collector nearby, such as `http://127.0.0.1:4317`.",
    ),
    setting(
        "telemetry.sample_ratio",
        Is("1"),
        "The share of traces sent, 0 to 1; a caller's own decision comes first.",
    ),
    setting("reflection.enabled", Is("true"), "Whether the server tells its contract over server reflection."),
    setting("reflection.public", Is("true"), "Whether reflection needs no token."),
    setting("grace", Is("10s"), "How long requests under way may go on when the service is told to stop."),
];

/// The table of the settings in Markdown, as it stands in the README.
pub fn settings_table() -> String {
    let mut table = String::from("| setting | environment | default | meaning |\n|---|---|---|---|\n");
    for setting in SETTINGS {
        let default = match setting.default {
            Off => String::new(),
            Required => "required".to_owned(),
            Is(value) => format!("`{value}`"),
            PerService(values) => {
                values.iter().map(|(service, value)| format!("`{value}` ({service})")).collect::<Vec<_>>().join(", ")
            }
        };
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| `{}` | `{}` | {default} | {} |", setting.name, setting.variable(), setting.meaning);
    }
    table
}

/// Finds the setting of a name, `openid.corp.issuer` as well as `openid.<name>.issuer`.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| {
        let mut parts = name.split('.');
        let mut pattern = setting.name.split('.');
        loop {
            match (parts.next(), pattern.next()) {
                (None, None) => return true,
                (Some(part), Some(wanted)) if part == wanted || (wanted.starts_with('<') && !part.is_empty()) => {}
                _ => return false,
            }
        }
    })
}
