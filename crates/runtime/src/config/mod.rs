//! The configuration of a service: one file in TOML, which need not be, and the environment, which comes first.
//!
//! Everything is read and checked at the start, the files that settings name included, and everything that is wrong is
//! told at once.

mod problems;
mod reader;
mod settings;
mod upstream;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::EnvFilter;

pub use problems::{ConfigErrors, Problem};
pub use settings::{DEFAULT_ISSUER, SETTINGS, Setting, WhenUnset, settings_table};
pub use upstream::UpstreamAddress;

use crate::auth::{OpenIdProvider, PublicKey, Signer};
use crate::seal::Sealer;
use crate::server::Tls;
use reader::Reader;
use value::Bytes;

/// The configuration of a service, read and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The service's name.
    pub service: String,
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// The database.
    pub database: Database,
    /// The deadline of a request whose caller sets none.
    pub default_deadline: Duration,
    /// The longest deadline a caller can set.
    pub max_deadline: Duration,
    /// How much is taken at once.
    pub limits: Limits,
    /// The certificate to serve with; `None`: in the clear.
    pub tls: Option<Tls>,
    /// Whose tokens are accepted, and what this service signs its own with.
    pub auth: Auth,
    /// Encrypts secrets that are kept in the database.
    pub sealer: Arc<Sealer>,
    /// The directory, for services that call it.
    pub directory: Option<UpstreamAddress>,
    /// The ticket-rule service, for services that call it.
    pub ticket_rule: Option<UpstreamAddress>,
    /// Logs and traces.
    pub telemetry: Telemetry,
    /// Server reflection.
    pub reflection: Reflection,
    /// How long requests under way may go on when the service stops.
    pub grace: Duration,
}

/// The database.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its URL, with the password.
    pub url: SecretString,
    /// The most connections.
    pub pool_size: u32,
    /// The longest a single statement may take.
    pub statement_timeout: Duration,
}

/// How much is taken at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests served at once.
    pub concurrency: usize,
    /// Open connections.
    pub connections: usize,
    /// Requests under way on one connection.
    pub streams_per_connection: u32,
    /// The largest message, in bytes.
    pub message_size: usize,
}

/// Whose tokens are accepted, and what this service signs its own with.
#[derive(Clone, Debug)]
pub struct Auth {
    /// `iss` of the suite's own tokens.
    pub issuer: String,
    /// The keys of the suite's own tokens; the signer's is among them.
    pub keys: Vec<PublicKey>,
    /// Signs this service's own tokens.
    pub signer: Option<Arc<Signer>>,
    /// OpenID providers.
    pub providers: Vec<OpenIdProvider>,
}

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Logs and traces.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// How logs look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: String,
    /// Where traces are sent.
    pub otlp_endpoint: Option<String>,
    /// The share of traces sent.
    pub sample_ratio: f64,
}

/// Server reflection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reflection {
    /// Whether there is any.
    pub enabled: bool,
    /// Whether it needs no token.
    pub public: bool,
}

impl Config {
    /// Reads the configuration of a service from a file, if there is one, and the environment of the process. Without
    /// `file`, the variable `CONCIERGE_CONFIG` names it.
    pub fn load(service: &str, file: Option<&Path>) -> Result<Self, ConfigErrors> {
        Self::load_with(service, file, false)
    }

    /// The same, for a service that serves: it needs a key to sign its tokens with.
    pub fn load_to_serve(service: &str, file: Option<&Path>) -> Result<Self, ConfigErrors> {
        Self::load_with(service, file, true)
    }

    fn load_with(service: &str, file: Option<&Path>, signs: bool) -> Result<Self, ConfigErrors> {
        let file = file.map(Path::to_path_buf).or_else(|| {
            std::env::var_os("CONCIERGE_CONFIG").filter(|path| !path.is_empty()).map(std::path::PathBuf::from)
        });
        let file = match file {
            None => None,
            Some(path) => match std::fs::read_to_string(&path) {
                Ok(text) => Some((path, text)),
                Err(error) => {
                    let what = format!("cannot be read: {error}");
                    return Err(ConfigErrors::new(vec![Problem { setting: path.display().to_string(), what }]));
                }
            },
        };
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self::read_with(service, file.as_ref().map(|(path, text)| (path.as_path(), text.clone())), environment, signs)
    }

    /// Reads the configuration of a service from the text of a file (and the path it came from) and an environment.
    pub fn read(
        service: &str,
        file: Option<(&Path, String)>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        Self::read_with(service, file, environment, false)
    }

    fn read_with(
        service: &str,
        file: Option<(&Path, String)>,
        environment: impl IntoIterator<Item = (String, String)>,
        signs: bool,
    ) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(service, file, environment);
        // A setting that is wrong is noted in the reader and stands in here with something harmless; nobody sees it,
        // because `finish` then fails.
        let r = &mut reader;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Self {
            service: r.service().to_owned(),
            listen: listen(r).unwrap_or(nowhere),
            metrics: r.get("metrics_listen"),
            database: database(r),
            default_deadline: r.within("deadline.default", MILLISECOND, HOUR, "1ms to 1h"),
            max_deadline: r.within("deadline.max", MILLISECOND, HOUR, "1ms to 1h"),
            limits: limits(r),
            tls: tls(r),
            auth: auth(r),
            sealer: Arc::new(sealer(r)),
            directory: upstream::read(r, "upstreams.directory", "upstreams.directory_ca_file"),
            ticket_rule: upstream::read(r, "upstreams.ticket_rule", "upstreams.ticket_rule_ca_file"),
            telemetry: telemetry(r),
            reflection: Reflection {
                enabled: r.get("reflection.enabled").unwrap_or(true),
                public: r.get("reflection.public").unwrap_or(true),
            },
            grace: r.within("grace", Duration::ZERO, HOUR, "0s to 1h"),
        };
        if config.default_deadline > config.max_deadline {
            r.problem("deadline.default", "is longer than deadline.max");
        }
        if signs && r.get::<String>("signing_key_file").is_none() {
            r.problem("signing_key_file", "is not set: make a key with `concierge key create`");
        }
        reader.finish()?;
        Ok(config)
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn listen(r: &mut Reader) -> Option<SocketAddr> {
    let address = r.get("listen");
    let known = settings::SETTINGS.iter().any(|setting| match setting.default {
        WhenUnset::PerService(values) => {
            setting.name == "listen" && values.iter().any(|(name, _)| *name == r.service())
        }
        _ => false,
    });
    if address.is_none() && !known {
        r.problem("listen", "is not set");
    }
    address
}

fn database(r: &mut Reader) -> Database {
    let url = r.secret("database.url").unwrap_or_default();
    let parsed = url.expose_secret().parse::<sqlx::postgres::PgConnectOptions>();
    if !url.expose_secret().is_empty()
        && (parsed.is_err()
            || !(url.expose_secret().starts_with("postgres://") || url.expose_secret().starts_with("postgresql://")))
    {
        r.problem("database.url", "is not a URL of the form postgres://user:password@host/name");
    }
    Database {
        url,
        pool_size: r.within("database.pool_size", 1, 1000, "1 to 1000"),
        statement_timeout: r.within("database.statement_timeout", MILLISECOND, HOUR, "1ms to 1h"),
    }
}

fn limits(r: &mut Reader) -> Limits {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let message_size: Bytes = r.within("limits.message_size", Bytes(1024), Bytes(64 * 1024 * 1024), "1KiB to 64MiB");
    Limits {
        concurrency: count(r.within("limits.concurrency", 1, 1_000_000, "1 to 1000000")),
        connections: count(r.within("limits.connections", 1, 1_000_000, "1 to 1000000")),
        streams_per_connection: r.within("limits.streams_per_connection", 1, 1_000_000, "1 to 1000000"),
        message_size: count(message_size.0),
    }
}

fn tls(r: &mut Reader) -> Option<Tls> {
    let (certificate, key) = (r.text_file("tls.certificate_file"), r.text_file("tls.key_file"));
    match (r.get::<String>("tls.certificate_file"), r.get::<String>("tls.key_file")) {
        (Some(_), None) => r.problem("tls.key_file", "is not set, but tls.certificate_file is"),
        (None, Some(_)) => r.problem("tls.certificate_file", "is not set, but tls.key_file is"),
        _ => {}
    }
    match Tls::from_pem(&certificate?, &SecretString::from(key?)) {
        Ok(tls) => Some(tls),
        Err(error) => {
            r.problem(error.setting(), error.to_string());
            None
        }
    }
}

fn auth(r: &mut Reader) -> Auth {
    let issuer: String = r.get("issuer").unwrap_or_default();
    let signer = r.text_file("signing_key_file").and_then(|pem| {
        match Signer::from_pem(&SecretString::from(pem), issuer.clone()) {
            Ok(signer) => Some(Arc::new(signer)),
            Err(error) => {
                r.problem("signing_key_file", format!("names a file that does not do: {error}"));
                None
            }
        }
    });
    let mut keys: Vec<PublicKey> = signer.iter().map(|signer| signer.public_key().clone()).collect();
    for path in r.get::<Vec<String>>("public_key_files").unwrap_or_default() {
        let Some(bytes) = r.file("public_key_files", Path::new(&path)) else { continue };
        match PublicKey::from_pem(&String::from_utf8_lossy(&bytes)) {
            Ok(key) => keys.push(key),
            Err(error) => r.problem("public_key_files", format!("names the file {path}, which does not do: {error}")),
        }
    }
    keys.extend(jwks(r, "jwks_file").unwrap_or_default());
    let providers = r.names_below("openid").into_iter().filter_map(|name| provider(r, &name, &issuer)).collect();
    Auth { issuer, keys, signer, providers }
}

fn sealer(r: &mut Reader) -> Sealer {
    const WRONG: &str = "32 bytes in base64; make one with: openssl rand -base64 32";
    let good = |text: &str| Sealer::from_base64([text]).is_some();
    let mut keys: Vec<SecretString> = Vec::new();
    for key in r.get::<Vec<String>>("secret_keys").unwrap_or_default() {
        if good(&key) {
            keys.push(key.into());
        } else {
            r.problem("secret_keys", format!("has one that is not {WRONG}"));
        }
    }
    for path in r.get::<Vec<String>>("secret_key_files").unwrap_or_default() {
        let Some(bytes) = r.file("secret_key_files", Path::new(&path)) else { continue };
        match String::from_utf8(bytes) {
            Ok(key) if good(&key) => keys.push(key.into()),
            _ => r.problem("secret_key_files", format!("names the file {path}, which is not {WRONG}")),
        }
    }
    Sealer::from_base64(keys.iter().map(ExposeSecret::expose_secret)).unwrap_or_default()
}

/// The keys in a key set that a setting names, if it is set.
fn jwks(r: &mut Reader, name: &str) -> Option<Vec<PublicKey>> {
    let text = r.text_file(name)?;
    match PublicKey::from_jwks(&text) {
        Ok(keys) if keys.is_empty() => {
            r.problem(name, "names a file without a key for EdDSA (Ed25519) or RS256");
            None
        }
        Ok(keys) => Some(keys),
        Err(error) => {
            r.problem(name, format!("names a file that does not do: {error}"));
            None
        }
    }
}

fn provider(r: &mut Reader, name: &str, own_issuer: &str) -> Option<OpenIdProvider> {
    let key = |setting: &str| format!("openid.{name}.{setting}");
    let issuer: Option<String> = r.get(&key("issuer"));
    match &issuer {
        None => r.problem(&key("issuer"), "is not set"),
        Some(issuer) if issuer == own_issuer => r.problem(&key("issuer"), "is that of the suite's own tokens"),
        Some(_) => {}
    }
    if r.get::<String>(&key("jwks_file")).is_none() {
        r.problem(&key("jwks_file"), "is not set");
    }
    let mut grants = BTreeMap::new();
    for role in r.names_below(&key("grants")) {
        let setting = key(&format!("grants.{role}"));
        let permissions: Vec<String> = r.get(&setting).unwrap_or_default();
        for permission in &permissions {
            if permission != "*" && concierge_proto::Permission::named(permission).is_none() {
                r.problem(&setting, format!("names {permission:?}, which is not a permission"));
            }
        }
        grants.insert(role, permissions);
    }
    let provider = OpenIdProvider {
        issuer: issuer.clone().unwrap_or_default(),
        audience: r.get(&key("audience")),
        keys: jwks(r, &key("jwks_file")).unwrap_or_default(),
        subject_claim: r.get(&key("subject_claim")).unwrap_or_default(),
        kind_claim: r.get(&key("kind_claim")),
        scope_claim: r.get(&key("scope_claim")).unwrap_or_default(),
        grants,
        customer_claim: r.get(&key("customer_claim")).unwrap_or_default(),
        site_claim: r.get(&key("site_claim")).unwrap_or_default(),
    };
    issuer.map(|_| provider)
}

fn telemetry(r: &mut Reader) -> Telemetry {
    let log_format = match r.get::<String>("telemetry.log_format").as_deref() {
        Some("json") => LogFormat::Json,
        Some("text") | None => LogFormat::Text,
        Some(other) => {
            r.problem("telemetry.log_format", format!("is {other:?}; write text or json"));
            LogFormat::Text
        }
    };
    let log_filter: String = r.get("telemetry.log_filter").unwrap_or_default();
    if let Err(error) = EnvFilter::try_new(&log_filter) {
        r.problem("telemetry.log_filter", format!("is not a filter: {error}"));
    }
    let otlp_endpoint: Option<String> = r.get("telemetry.otlp_endpoint");
    if let Some(endpoint) = &otlp_endpoint
        && !(is_url(endpoint) && endpoint.starts_with("http://"))
    {
        // Spans go to a collector nearby, which sends them on.
        r.problem("telemetry.otlp_endpoint", format!("is {endpoint:?}; write a URL such as http://127.0.0.1:4317"));
    }
    let sample_ratio = r.within("telemetry.sample_ratio", 0.0, 1.0, "0 to 1");
    Telemetry { log_format, log_filter, otlp_endpoint, sample_ratio }
}

/// True for `http://host…` and `https://host…`.
fn is_url(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some_and(|a| !a.host().is_empty())
    })
}
