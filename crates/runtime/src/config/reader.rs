//! Reading settings one by one, keeping a list of everything that is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use config::{ConfigError, Environment, File, FileFormat, ValueKind};
use secrecy::SecretString;

use super::problems::{ConfigErrors, Problem};
use super::settings::{self, WhenUnset};
use super::value::{Raw, Value};

/// Variables that begin with `CONCIERGE_` and are no settings: the programs read them themselves.
const OTHER_VARIABLES: &[&str] =
    &["config", "home", "pg_archive_sha256", "pg_archive_url", "pg_bin", "pg_fetch", "stop_with_stdin"];

/// The settings as written, the problems found so far.
pub(super) struct Reader {
    service: String,
    /// Where the files named in the settings are looked for: next to the settings file.
    folder: PathBuf,
    values: BTreeMap<String, Raw>,
    used: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Reader {
    /// Puts a settings file and the environment together; what the environment says comes first.
    pub(super) fn new(
        service: &str,
        file: Option<(&Path, String)>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let folder = file.as_ref().and_then(|(path, _)| path.parent()).unwrap_or(Path::new("")).to_path_buf();
        let mut reader = Self {
            service: service.to_owned(),
            folder,
            values: BTreeMap::new(),
            used: BTreeSet::new(),
            problems: Vec::new(),
        };
        let mut variables = std::collections::HashMap::new();
        for (name, value) in environment {
            if name == "DATABASE_URL" {
                variables.entry("database__url".to_owned()).or_insert(value);
            } else if let Some(name) = name.strip_prefix("CONCIERGE_") {
                let key = name.to_ascii_lowercase();
                if OTHER_VARIABLES.contains(&key.as_str()) || is_service_link(&key, &value) {
                    continue;
                }
                if key
                    .split("__")
                    .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
                {
                    variables.insert(key, value);
                } else {
                    reader.problem(&key.replace("__", "."), "is no name of a setting");
                }
            }
        }
        let mut builder = config::Config::builder();
        if let Some((path, text)) = file {
            // Parsed by itself first, so that a broken file does not hide what the environment says.
            let source = File::from_str(&text, FileFormat::Toml);
            match config::Config::builder().add_source(source.clone()).build() {
                Ok(_) => builder = builder.add_source(source),
                Err(error) => reader.problem(&path.display().to_string(), syntax(&error)),
            }
        }
        builder = builder.add_source(Environment::default().separator("__").source(Some(variables)));
        match builder.build() {
            Ok(config) => reader.flatten("", config.cache.kind),
            Err(error) => reader.problem("settings", syntax(&error)),
        }
        reader
    }

    fn flatten(&mut self, prefix: &str, kind: ValueKind) {
        let text = match kind {
            ValueKind::Table(table) => {
                for (name, value) in table {
                    let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                    self.flatten(&name, value.kind);
                }
                return;
            }
            ValueKind::Array(items) => {
                let items = items.into_iter().map(config::Value::into_string).collect::<Result<Vec<_>, _>>();
                match items {
                    Ok(items) => drop(self.values.insert(prefix.to_owned(), Raw::List(items))),
                    Err(_) => self.problem(prefix, "is a list of something else than texts"),
                }
                return;
            }
            ValueKind::Nil => return,
            ValueKind::Boolean(value) => value.to_string(),
            ValueKind::I64(value) => value.to_string(),
            ValueKind::I128(value) => value.to_string(),
            ValueKind::U64(value) => value.to_string(),
            ValueKind::U128(value) => value.to_string(),
            ValueKind::Float(value) => value.to_string(),
            ValueKind::String(value) => value,
        };
        self.values.insert(prefix.to_owned(), Raw::Text(text));
    }

    pub(super) fn service(&self) -> &str {
        &self.service
    }

    /// Notes that a setting is wrong.
    pub(super) fn problem(&mut self, name: &str, what: impl Into<String>) {
        let problem = Problem { setting: name.to_owned(), what: what.into() };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The value of a setting, or its default. `None` when it is off, or wrong and noted as such.
    pub(super) fn get<T: Value>(&mut self, name: &str) -> Option<T> {
        let default = settings::find(name).map(|setting| setting.default);
        debug_assert!(default.is_some(), "{name} is not in SETTINGS");
        self.used.insert(name.to_owned());
        let raw = match self.values.get(name) {
            // A variable set to nothing is as good as not set.
            Some(Raw::Text(text)) if text.is_empty() => None,
            other => other.cloned(),
        };
        let raw = match (raw, default?) {
            (Some(raw), _) => raw,
            (None, WhenUnset::Is(value)) => Raw::Text(value.to_owned()),
            (None, WhenUnset::PerService(values)) => {
                let (_, value) = values.iter().find(|(service, _)| *service == self.service)?;
                Raw::Text((*value).to_owned())
            }
            (None, WhenUnset::Off) => return None,
            (None, WhenUnset::Required) => {
                self.problem(name, "is not set");
                return None;
            }
        };
        match T::read(&raw) {
            Ok(value) => Some(value),
            Err(what) => {
                self.problem(name, what);
                None
            }
        }
    }

    /// The value of a setting that must not be shown, not even when it is wrong.
    pub(super) fn secret(&mut self, name: &str) -> Option<SecretString> {
        let before = self.problems.len();
        let value = self.get::<String>(name);
        if let Some(problem) = self.problems.get_mut(before..).and_then(|added| added.first_mut())
            && problem.what != "is not set"
        {
            "is not one text".clone_into(&mut problem.what);
        }
        value.map(SecretString::from)
    }

    /// The value of a setting that always has one; `fallback` only stands in where it is wrong, which is noted.
    pub(super) fn within<T: Value + PartialOrd + Copy>(&mut self, name: &str, least: T, most: T, range: &str) -> T {
        match self.get::<T>(name) {
            Some(value) if value >= least && value <= most => value,
            Some(_) => {
                self.problem(name, format!("is out of range; write {range}"));
                least
            }
            None => least,
        }
    }

    /// The contents of a file that a setting names.
    pub(super) fn file(&mut self, name: &str, path: &Path) -> Option<Vec<u8>> {
        let path = self.folder.join(path);
        match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.problem(name, format!("names the file {}, which cannot be read: {error}", path.display()));
                None
            }
        }
    }

    /// The contents of a file that a setting names, if it is set, as text.
    pub(super) fn text_file(&mut self, name: &str) -> Option<String> {
        let path: PathBuf = self.get(name)?;
        let bytes = self.file(name, &path)?;
        match String::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(_) => {
                self.problem(name, "names a file that is not text");
                None
            }
        }
    }

    /// The names below a prefix: of `openid` those of the providers.
    pub(super) fn names_below(&self, prefix: &str) -> BTreeSet<String> {
        let below = |name: &String| name.strip_prefix(prefix)?.strip_prefix('.')?.split('.').next().map(str::to_owned);
        self.values.keys().filter_map(below).collect()
    }

    /// Everything that was wrong, after all settings were asked for: what is left over is unknown.
    pub(super) fn finish(mut self) -> Result<(), ConfigErrors> {
        let unknown: Vec<String> = self.values.keys().filter(|name| !self.used.contains(*name)).cloned().collect();
        for name in unknown {
            if settings::SETTINGS.iter().any(|s| s.name.starts_with(&format!("{name}."))) {
                self.problem(&name, "is a group of settings, not a setting");
            } else if settings::find(&name).is_none() {
                let near = settings::SETTINGS.iter().map(|s| (distance(s.name, &name), s.name)).min();
                let hint = near
                    .filter(|(distance, _)| *distance <= 3)
                    .map_or(String::new(), |(_, name)| format!("; did you mean {name}?"));
                self.problem(&name, format!("is not a setting{hint}"));
            }
        }
        if self.problems.is_empty() { Ok(()) } else { Err(ConfigErrors::new(self.problems)) }
    }
}

/// What Kubernetes and Docker put into the environment of their own accord for a service named `concierge-…`.
fn is_service_link(key: &str, value: &str) -> bool {
    key.ends_with("_service_host")
        || key.contains("_service_port")
        || key.contains("_port_")
        || (key.ends_with("_port") && value.contains("://"))
}

/// What is wrong with a file, without the lines that the parser would quote: there may be a secret in them.
fn syntax(error: &ConfigError) -> String {
    let text = match error {
        ConfigError::FileParse { cause, .. } => cause.to_string(),
        other => other.to_string(),
    };
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains('|') && !line.trim().is_empty()).collect();
    lines.join(": ")
}

/// How many letters differ.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}
