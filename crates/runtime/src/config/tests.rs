use std::path::PathBuf;

use super::*;

const KEY: [u8; 32] = [7; 32];

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn read(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::read("directory", Some((Path::new("/nowhere/concierge.toml"), file.to_owned())), env(variables))
}

fn problems(file: &str, variables: &[(&str, &str)]) -> Vec<(String, String)> {
    let errors = read(file, variables).unwrap_err();
    errors.problems().iter().map(|p| (p.setting.clone(), p.what.clone())).collect()
}

const DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://ann:sesame@localhost/directory");

#[test]
fn defaults_are_those_of_the_table() {
    let config = Config::read("ticket-rule", None, env(&[DATABASE])).unwrap();
    assert_eq!(config.listen, "127.0.0.1:7102".parse().unwrap());
    assert_eq!(config.metrics, None);
    assert_eq!(config.database.pool_size, 8);
    assert_eq!(config.default_deadline, Duration::from_secs(10));
    assert_eq!(config.limits.message_size, 4 * 1024 * 1024);
    assert_eq!(config.directory.unwrap().uri(), &"http://127.0.0.1:7101");
    assert!(config.ticket_rule.is_none());
    assert_eq!(config.telemetry.log_format, LogFormat::Text);
    assert!(config.reflection.enabled && config.reflection.public);
    assert_eq!(config.grace, Duration::from_secs(10));
    assert!(config.tls.is_none() && config.auth.signer.is_none() && config.auth.keys.is_empty());

    let directory = Config::read("directory", None, env(&[DATABASE])).unwrap();
    assert!(directory.directory.is_none(), "directory calls nobody");
    assert_eq!(directory.listen.port(), 7101);
}

#[test]
fn environment_comes_before_file() {
    let file = "
        listen = '[::]:9000'
        grace = '2s'
        [database]
        url = 'postgres://file@localhost/x'
        pool_size = 20
        [deadline]
        default = '250ms'
        [limits]
        message_size = '512KiB'
        [telemetry]
        sample_ratio = 0.25
        [reflection]
        public = false
    ";
    let config = read(file, &[("CONCIERGE_GRACE", "1m"), ("CONCIERGE_DATABASE__POOL_SIZE", "3"), DATABASE]).unwrap();
    assert_eq!(config.listen, "[::]:9000".parse().unwrap());
    assert_eq!(config.grace, Duration::from_secs(60));
    assert_eq!(config.database.pool_size, 3);
    assert!(config.database.url.expose_secret().contains("ann"));
    assert_eq!(config.default_deadline, Duration::from_millis(250));
    assert_eq!(config.limits.message_size, 512 * 1024);
    assert!((config.telemetry.sample_ratio - 0.25).abs() < f64::EPSILON);
    assert_eq!(config.reflection, Reflection { enabled: true, public: false });
    let both = read("", &[DATABASE, ("CONCIERGE_DATABASE__URL", "postgres://own@localhost/x")]).unwrap();
    assert!(both.database.url.expose_secret().contains("own"));
    let empty = read("grace = '3s'\ndatabase.url = 'postgres://x@y/z'", &[("CONCIERGE_TLS__KEY_FILE", "")]).unwrap();
    assert!(empty.tls.is_none(), "a variable set to nothing is not set");
}

#[test]
fn tells_everything_that_is_wrong_at_once() {
    let file = "
        listen = 'somewhere'
        colour = 'blue'
        grcae = '10s'
        tls = 'yes'
        [database]
        url = 'mysql://root:sesame@localhost'
        pool_size = 0
        [deadline]
        default = 10
        max = 'soon'
        [telemetry]
        log_format = 'xml'
        log_filter = 'concierge=loud'
        otlp_endpoint = 'collector:4317'
        sample_ratio = 2
        [reflection]
        public = 'perhaps'
        [limits]
        message_size = '4GB'
        [tls_]
        key = ['a', 'b']
    ";
    let variables = [
        ("CONCIERGE_SIGNING_KEY_FILE", "missing.pem"),
        ("CONCIERGE_TLS__CERTIFICATE_FILE", "cert.pem"),
        ("CONCIERGE_UPSTREAMS__DIRECTORY", "directory:7101"),
        ("CONCIERGE_NO-NAME", "x"),
    ];
    let found = problems(file, &variables);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    for expected in [
        "listen",
        "colour",
        "grcae",
        "database.url",
        "database.pool_size",
        "deadline.default",
        "deadline.max",
        "telemetry.log_format",
        "telemetry.log_filter",
        "telemetry.otlp_endpoint",
        "telemetry.sample_ratio",
        "reflection.public",
        "limits.message_size",
        "tls_.key",
        "signing_key_file",
        "tls.certificate_file",
        "tls.key_file",
        "upstreams.directory",
        "no-name",
    ] {
        assert!(names.contains(&expected), "{expected} is missing in {names:#?}");
    }
    let text = read(file, &variables).unwrap_err().to_string();
    assert!(text.contains("deadline.default (CONCIERGE_DEADLINE__DEFAULT) is \"10\"; write a duration"), "{text}");
    assert!(text.contains("grcae is not a setting; did you mean grace?"), "{text}");
    assert!(text.contains("/nowhere/missing.pem"), "files are looked for beside the settings file: {text}");
    assert!(!text.contains("sesame"), "{text}");
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "nothing is told twice: {names:#?}");
}

#[test]
fn says_what_is_required() {
    assert_eq!(problems("", &[]), [("database.url".to_owned(), "is not set".to_owned())]);
    let errors = Config::read("other", None, env(&[DATABASE])).unwrap_err();
    assert_eq!(errors.to_string(), "a setting is wrong:\n  listen (CONCIERGE_LISTEN) is not set");
    let group = problems("tls = 'yes'", &[DATABASE]);
    assert_eq!(group, [("tls".to_owned(), "is a group of settings, not a setting".to_owned())]);
    let deadlines = problems("deadline.default = '2m'", &[DATABASE]);
    assert_eq!(deadlines, [("deadline.default".to_owned(), "is longer than deadline.max".to_owned())]);
}

#[test]
fn broken_file_is_told_without_quoting_it() {
    let found = problems("[database]\nurl = 'postgres://ann:sesame@localhost", &[]);
    assert_eq!(found[0].0, "/nowhere/concierge.toml");
    assert!(found[0].1.contains("line 2"), "{found:?}");
    assert!(!format!("{found:?}").contains("sesame"), "{found:?}");
}

#[test]
fn secrets_are_not_in_debug() {
    let config = read("", &[DATABASE]).unwrap();
    let text = format!("{config:?}");
    assert!(!text.contains("sesame"), "{text}");
    let wrong = problems("database.url = ['sesame', 'x']", &[]);
    assert!(!format!("{wrong:?}").contains("sesame"), "{wrong:?}");
}

#[test]
fn reads_keys_that_encrypt_secrets() {
    let files = Files::new(&[("old.key", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n"), ("junk", "junk")]);
    let config = files
        .read("secret_keys = 'CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg='\nsecret_key_files = ['old.key']")
        .unwrap();
    let sealed = crate::seal::Sealer::new([[8; 32]]).seal("x", "sesame").unwrap();
    assert_eq!(config.sealer.open("x", &sealed).unwrap().expose_secret(), "sesame");
    let sealed = crate::seal::Sealer::new([[7; 32]]).seal("x", "sesame").unwrap();
    assert_eq!(config.sealer.open("x", &sealed).unwrap().expose_secret(), "sesame");
    let errors = files.read("secret_keys = ['c2VzYW1l']\nsecret_key_files = ['junk', 'gone']").unwrap_err().to_string();
    for expected in [
        "secret_keys (CONCIERGE_SECRET_KEYS) has one that is not 32 bytes in base64",
        "secret_key_files (CONCIERGE_SECRET_KEY_FILES) names the file junk, which is not 32 bytes in base64",
        "gone, which cannot be read",
    ] {
        assert!(errors.contains(expected), "{expected}\n  is not in\n{errors}");
    }
    assert!(!errors.contains("c2VzYW1l"));
}

#[test]
fn ignores_variables_that_are_no_settings() {
    let variables = [
        DATABASE,
        ("CONCIERGE_CONFIG", "x.toml"),
        ("CONCIERGE_HOME", "/tmp"),
        ("CONCIERGE_PG_BIN", "/usr/bin"),
        ("CONCIERGE_PG_FETCH", "always"),
        ("CONCIERGE_PG_ARCHIVE_URL", "http://127.0.0.1/postgres.tar.gz"),
        ("CONCIERGE_PG_ARCHIVE_SHA256", "00"),
        ("CONCIERGE_STOP_WITH_STDIN", "1"),
        ("CONCIERGE_DIRECTORY_SERVICE_HOST", "10.0.0.1"),
        ("CONCIERGE_DIRECTORY_SERVICE_PORT_GRPC", "7101"),
        ("CONCIERGE_DIRECTORY_PORT", "tcp://10.0.0.1:7101"),
        ("CONCIERGE_DIRECTORY_PORT_7101_TCP_ADDR", "10.0.0.1"),
        ("PATH", "/bin"),
    ];
    assert!(read("", &variables).is_ok());
}

struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn read(&self, toml: &str) -> Result<Config, ConfigErrors> {
        let path: PathBuf = self.0.path().join("concierge.toml");
        Config::read("ticket-rule", Some((&path, toml.to_owned())), env(&[DATABASE]))
    }
}

fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn reads_keys_and_certificates() {
    let signer = Signer::from_pem(&Signer::generate(KEY), "x").unwrap();
    let other = Signer::from_pem(&Signer::generate([8; 32]), "x").unwrap();
    let third = Signer::from_pem(&Signer::generate([9; 32]), "x").unwrap();
    let jwks = format!("{{\"keys\":[{}]}}", serde_json::to_string(third.public_key().jwk()).unwrap());
    let (cert, key) = certificate();
    let files = Files::new(&[
        ("sign.pem", Signer::generate(KEY).expose_secret()),
        ("other.pem", &other.public_pem()),
        ("keys.json", &jwks),
        ("cert.pem", &cert),
        ("key.pem", &key),
    ]);
    let config = files
        .read(
            "
            signing_key_file = 'sign.pem'
            public_key_files = ['other.pem']
            jwks_file = 'keys.json'
            [tls]
            certificate_file = 'cert.pem'
            key_file = 'key.pem'
            [upstreams]
            directory = 'https://localhost:7101'
            directory_ca_file = 'cert.pem'
            [openid.corp]
            issuer = 'https://login.example.com'
            jwks_file = 'keys.json'
            kind_claim = 'kind'
            [openid.corp.grants]
            helpdesk = ['customers.read', 'users.read']
            boss = '*'
        ",
        )
        .unwrap();
    assert_eq!(config.auth.signer.as_ref().unwrap().key_id(), signer.key_id());
    assert_eq!(config.auth.signer.unwrap().issuer(), "concierge");
    let ids: Vec<&str> = config.auth.keys.iter().map(PublicKey::id).collect();
    assert_eq!(ids, [signer.key_id(), other.key_id(), third.key_id()]);
    assert!(config.tls.is_some());
    assert_eq!(config.directory.unwrap().uri(), &"https://localhost:7101");
    let provider = &config.auth.providers[0];
    assert_eq!((provider.issuer.as_str(), provider.subject_claim.as_str()), ("https://login.example.com", "sub"));
    assert_eq!(provider.grants["helpdesk"], ["customers.read", "users.read"]);
    assert_eq!(provider.grants["boss"], ["*"]);
}

#[test]
fn says_which_file_does_not_do() {
    let (cert, _) = certificate();
    let (_, other_key) = certificate();
    let private = Signer::generate(KEY);
    let files = Files::new(&[
        ("sign.pem", private.expose_secret()),
        ("cert.pem", &cert),
        ("other-key.pem", &other_key),
        ("none.json", "{\"keys\":[]}"),
        ("junk", "junk"),
    ]);
    let errors = files
        .read(
            "
            signing_key_file = 'junk'
            public_key_files = ['sign.pem', 'gone.pem']
            jwks_file = 'none.json'
            [tls]
            certificate_file = 'cert.pem'
            key_file = 'other-key.pem'
            [upstreams]
            directory = 'https://localhost:7101'
            [openid.corp]
            issuer = 'concierge'
            [openid.corp.grants]
            helpdesk = ['customer.read']
        ",
        )
        .unwrap_err()
        .to_string();
    for expected in [
        "signing_key_file (CONCIERGE_SIGNING_KEY_FILE) names a file that does not do: it is not an Ed25519 private key",
        "names the file sign.pem, which does not do: it is a private key",
        "gone.pem, which cannot be read",
        "jwks_file (CONCIERGE_JWKS_FILE) names a file without a key",
        "tls.key_file (CONCIERGE_TLS__KEY_FILE) names a private key that does not go with the certificate",
        "upstreams.directory_ca_file (CONCIERGE_UPSTREAMS__DIRECTORY_CA_FILE) is not set",
        "openid.corp.issuer (CONCIERGE_OPENID__CORP__ISSUER) is that of the suite's own tokens",
        "openid.corp.jwks_file (CONCIERGE_OPENID__CORP__JWKS_FILE) is not set",
        "names \"customer.read\", which is not a permission",
    ] {
        assert!(errors.contains(expected), "{expected}\n  is not in\n{errors}");
    }
    assert!(!errors.contains("PRIVATE KEY-----\n"));
}

#[test]
fn table_has_every_setting_with_its_variable() {
    let table = settings_table();
    for setting in SETTINGS {
        assert!(table.contains(&format!("| `{}` | `{}` |", setting.name, setting.variable())));
        assert!(setting.meaning.ends_with('.'), "{}", setting.name);
    }
    assert!(table.contains("| `grace` | `CONCIERGE_GRACE` | `10s` |"));
    assert_eq!(table.lines().count(), SETTINGS.len() + 2);
}
