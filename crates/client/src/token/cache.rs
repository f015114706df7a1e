//! A file of tokens that programs of one user share: readable by that user alone, replaced whole,
//! and locked while one of them fetches.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::error::TokenError;
use crate::secret::Secret;

/// Where tokens are shared.
#[derive(Debug, Clone)]
pub(super) struct CacheFile {
    path: PathBuf,
}

/// The file while no other process may fetch; unlocked when dropped.
#[derive(Debug)]
pub(super) struct LockedCache {
    path: PathBuf,
    _lock: File,
}

/// What is in the file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contents {
    version: u32,
    /// The key that bound tokens are proven with, as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dpop_key: Option<String>,
    #[serde(default)]
    pub(super) tokens: BTreeMap<String, Entry>,
}

/// A token and what belongs to it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) access_token: String,
    pub(super) granted: BTreeSet<String>,
    /// Seconds since 1970.
    pub(super) renew_at: u64,
    pub(super) expires_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    /// Whose refresh token it is, where the client registered itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client_id: Option<String>,
}

impl CacheFile {
    pub(super) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Waits until no other process fetches, for as long as that may take.
    pub(super) async fn lock(&self, limit: Duration) -> Result<LockedCache, TokenError> {
        let mut name = self.path.clone().into_os_string();
        name.push(".lock");
        let path = PathBuf::from(name);
        let lock = opened(&path, OpenOptions::new().create(true).write(true).truncate(false))?;
        let began = tokio::time::Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(LockedCache { path: self.path.clone(), _lock: lock }),
                Err(TryLockError::WouldBlock) if began.elapsed() < limit => {
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(unusable(&path, "another process holds it; end that process"));
                }
                Err(TryLockError::Error(error)) => return Err(unusable(&path, error)),
            }
        }
    }
}

impl LockedCache {
    /// What is there; a damaged file counts as empty and is replaced with the next token.
    pub(super) fn read(&self) -> Result<Contents, TokenError> {
        if !self.path.try_exists().map_err(|error| unusable(&self.path, error))?
            && !self.path.is_symlink()
        {
            return Ok(Contents::new());
        }
        let file = opened(&self.path, OpenOptions::new().read(true))?;
        let mut text = Vec::new();
        let read = file.take(MAX_BYTES).read_to_end(&mut text);
        read.map_err(|error| unusable(&self.path, error))?;
        match serde_json::from_slice(&text) {
            Ok(Contents { version: VERSION, dpop_key, tokens }) => {
                Ok(Contents { version: VERSION, dpop_key, tokens })
            }
            _ => {
                let path = self.path.display();
                tracing::warn!(%path, "the token cache is damaged; it is begun anew");
                Ok(Contents::new())
            }
        }
    }

    /// Replaces the file, without what has expired and cannot be refreshed.
    pub(super) fn write(&self, mut contents: Contents, now: u64) -> Result<(), TokenError> {
        contents.tokens.retain(|_, entry| entry.expires_at > now || entry.refresh_token.is_some());
        let failed = |error: std::io::Error| unusable(&self.path, error);
        let folder = self.path.parent().filter(|path| !path.as_os_str().is_empty());
        let text = serde_json::to_vec(&contents).map_err(|error| unusable(&self.path, error))?;
        // Made with mode 0600.
        let mut file =
            tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

impl Contents {
    fn new() -> Self {
        Self { version: VERSION, ..Self::default() }
    }
}

impl Entry {
    pub(super) fn token(&self) -> Secret {
        Secret::new(self.access_token.clone())
    }

    pub(super) fn refresh(&self) -> Option<Secret> {
        self.refresh_token.clone().map(Secret::new)
    }
}

/// The name of a token in the file: for whom, from whom, for what, bound to which key.
pub(super) fn entry_name(parts: &[&str], scopes: &BTreeSet<String>) -> String {
    let name = serde_json::json!([parts, scopes]).to_string();
    BASE64URL_NOPAD.encode(digest(&SHA256, name.as_bytes()).as_ref())
}

/// Opens a plain file of ours that nobody else can read; what stands behind a link is not it.
fn opened(path: &Path, how: &mut OpenOptions) -> Result<File, TokenError> {
    // Not waiting for a pipe's other end either.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed();
    let file = how.mode(0o600).custom_flags(flags).open(path);
    let file = file.map_err(|error| match path.is_symlink() {
        true => unusable(path, "it is a symbolic link; name the file itself"),
        false => unusable(path, error),
    })?;
    let metadata = file.metadata().map_err(|error| unusable(path, error))?;
    if !metadata.is_file() {
        return Err(unusable(path, "it is no plain file; name another"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(unusable(path, "it belongs to somebody else; name another"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(unusable(path, "others can read or write it; `chmod 600` it"));
    }
    Ok(file)
}

fn unusable(path: &Path, what: impl ToString) -> TokenError {
    TokenError::Cache { path: path.to_owned(), what: what.to_string() }
}

const VERSION: u32 = 1;
/// Hundreds of tokens.
const MAX_BYTES: u64 = 1024 * 1024;
const ASK_AGAIN: Duration = Duration::from_millis(20);
