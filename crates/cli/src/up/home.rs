//! The folder that `up` keeps everything in: data, logs, the signing key, the administrator's token.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use concierge_runtime::auth::Signer;

use crate::files::write_private;
use crate::token;

/// The key that signs every token of this installation.
pub(crate) type SigningKey = Arc<Signer>;

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
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another `concierge up` runs on {}: stop it first, or choose another folder with --home",
                folder.display()
            ),
            Err(TryLockError::Error(error)) => return Err(error.into()),
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

    /// Writes a fresh token, readable by its owner alone.
    pub(crate) fn write_admin_token(&self, key: &SigningKey) -> anyhow::Result<()> {
        write_private(&self.admin_token_file(), &token::administrator(key))
    }
}
