//! The folder that `up` keeps everything in: data, logs, the signing key, the administrator's token.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use concierge_runtime::auth::Signer;

use crate::files::write_private;
use crate::token;

/// The key that signs every token of this installation.
pub(crate) type SigningKey = Arc<Signer>;

/// How long the lock may still be held: a killed process may take a moment to be gone.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// How old the administrator's token gets: it is good for three times as long.
const TOKEN_AGE: Duration = Duration::from_secs(300);

/// An opened folder: one `up` at a time.
#[derive(Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    /// Held for as long as we run; the system lets go of it however we end.
    _lock: File,
}

impl Home {
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        fs::create_dir_all(folder.join("logs"))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("up.lock"))?;
        let until = Instant::now() + LOCK_PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOCK_PATIENCE / 10),
                Err(TryLockError::WouldBlock) => bail!(
                    "another `concierge up` runs on {}: stop it first, or choose another folder with --home",
                    folder.display()
                ),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Ok(Self { folder, _lock: lock })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.join("signing.key")
    }

    pub(crate) fn admin_token_file(&self) -> PathBuf {
        self.folder.join("admin.token")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{name}.log"))
    }

    /// The signing key, made at the first start.
    pub(crate) fn signing_key(&self) -> anyhow::Result<SigningKey> {
        let file = self.key_file();
        if !file.exists() {
            use secrecy::ExposeSecret as _;
            let pem = Signer::generate(rand::random());
            write_private(&file, pem.expose_secret())?;
        }
        Ok(Arc::new(token::signer(&file)?))
    }

    /// The key that secrets in the databases are encrypted with, made at the first start; behind those that the
    /// environment names, so that theirs encrypts.
    pub(crate) fn secret_keys(&self) -> anyhow::Result<String> {
        let file = self.folder.join("secret.key");
        if !file.exists() {
            write_private(&file, &STANDARD.encode(rand::random::<[u8; 32]>()))?;
        }
        let ours = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let given = std::env::var("CONCIERGE_SECRET_KEYS").unwrap_or_default();
        let keys = [given.trim(), ours.trim()];
        Ok(keys.iter().filter(|key| !key.is_empty()).copied().collect::<Vec<_>>().join(","))
    }

    /// Whether the administrator's token wants renewing: it is old by the clock on the wall, which also goes on while
    /// the machine sleeps, or somebody removed it or opened it to others.
    pub(crate) fn admin_token_is_stale(&self) -> bool {
        let Ok(about) = fs::metadata(self.admin_token_file()) else { return true };
        let age = about.modified().ok().and_then(|written| SystemTime::now().duration_since(written).ok());
        about.permissions().mode() & 0o777 != 0o600 || age.is_none_or(|age| age >= TOKEN_AGE)
    }

    /// Writes a fresh token, readable by its owner alone.
    pub(crate) fn write_admin_token(&self, key: &SigningKey) -> anyhow::Result<()> {
        write_private(&self.admin_token_file(), &token::administrator(key))
    }
}
