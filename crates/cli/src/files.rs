//! Files that nobody else may read.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;

/// Writes a file that only its owner can read, in one step: nobody ever reads half of it.
pub(crate) fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    let partial = file.with_extension("partial");
    let mut out = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&partial)
        .with_context(|| format!("cannot write {}", partial.display()))?;
    out.set_permissions(fs::Permissions::from_mode(0o600))?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::rename(&partial, file).with_context(|| format!("cannot write {}", file.display()))
}
