//! Tokens that are refused before their time: by `jti`, by subject, or by the token itself.
//!
//! Requests read an immutable snapshot. A change is in the journal, synced to disk, before it is in
//! force, and is in force before it is confirmed.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{
    claims::{Claims, Seconds, now},
    known::TokenDigest,
};
use crate::rejection::Rejection;

/// What is refused, and since when or until when.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Revocation {
    /// One token, by its identifier.
    Token {
        issuer: String,
        jti: String,
        /// When the token ends by itself; without it the entry is kept for good.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Seconds>,
    },
    /// Every token of a subject that was issued before.
    Subject { issuer: String, sub: String, issued_before: Seconds },
    /// One token that has no identifier, by its digest.
    Digest {
        sha256: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Seconds>,
    },
}

/// A revocation, made or taken back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Entry {
    Revoked(Revocation),
    Lifted(Revocation),
}

/// Every revocation in force.
#[derive(Debug)]
pub(crate) struct Revocations {
    current: ArcSwap<Revoked>,
    /// One change at a time.
    journal: Mutex<Option<Journal>>,
}

#[derive(Debug, Clone, Default)]
struct Revoked {
    by_issuer: HashMap<String, OfIssuer>,
    by_digest: HashMap<String, Option<Seconds>>,
}

#[derive(Debug, Clone, Default)]
struct OfIssuer {
    tokens: HashMap<String, Option<Seconds>>,
    subjects: HashMap<String, Seconds>,
}

/// Why a revocation is not in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRevoked {
    #[error("{MAX_REVOCATIONS} revocations are in force already; give `until` for new ones")]
    TooMany,
    #[error("cannot write the journal: {0}")]
    Journal(#[from] io::Error),
}

/// The journal of revocations cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the revocations in `{path}` (`admin.revocations`): {cause}")]
pub struct UnusableJournal {
    path: PathBuf,
    cause: String,
}

impl Revocations {
    /// Those in the journal at `path`, or none and kept in memory alone.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, UnusableJournal> {
        let Some(path) = path else {
            return Ok(Self { current: ArcSwap::default(), journal: Mutex::new(None) });
        };
        let (journal, revoked) = Journal::open(path)
            .map_err(|cause| UnusableJournal { path: path.to_owned(), cause: cause.to_string() })?;
        Ok(Self { current: ArcSwap::from_pointee(revoked), journal: Mutex::new(Some(journal)) })
    }

    /// Refuses the claims of a revoked token.
    pub(super) fn require_none_of(
        &self,
        claims: &Claims,
        digest: &TokenDigest,
    ) -> Result<(), Rejection> {
        let revoked = self.current.load();
        let of_issuer = revoked.by_issuer.get(claims.iss()).is_some_and(|of| {
            claims.jti().is_some_and(|jti| of.tokens.contains_key(jti))
                || of.subjects.get(claims.sub()).is_some_and(|&before| claims.issued_at() < before)
        });
        let by_digest =
            || !revoked.by_digest.is_empty() && revoked.by_digest.contains_key(&name_of(digest));
        if of_issuer || by_digest() { Err(Rejection::Revoked) } else { Ok(()) }
    }

    /// Puts a revocation in force.
    pub(crate) async fn add(&self, revocation: Revocation) -> Result<(), NotRevoked> {
        self.change(Entry::Revoked(revocation)).await
    }

    /// Takes a revocation back.
    pub(crate) async fn lift(&self, revocation: Revocation) -> Result<(), NotRevoked> {
        self.change(Entry::Lifted(revocation)).await
    }

    /// How many are in force.
    pub(crate) fn len(&self) -> usize {
        self.current.load().len()
    }

    async fn change(&self, entry: Entry) -> Result<(), NotRevoked> {
        let mut journal = self.journal.lock().await;
        let mut revoked = Revoked::clone(&self.current.load());
        revoked.forget_ended();
        revoked.apply(&entry);
        if revoked.len() > MAX_REVOCATIONS {
            return Err(NotRevoked::TooMany);
        }
        if let Some(journal) = journal.as_mut() {
            journal.append(&entry)?;
        }
        self.current.store(Arc::new(revoked));
        Ok(())
    }
}

impl Revoked {
    fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Revoked(Revocation::Token { issuer, jti, until }) => {
                let of = self.by_issuer.entry(issuer.clone()).or_default();
                of.tokens.insert(jti.clone(), *until);
            }
            Entry::Revoked(Revocation::Subject { issuer, sub, issued_before }) => {
                let of = self.by_issuer.entry(issuer.clone()).or_default();
                of.subjects.insert(sub.clone(), *issued_before);
            }
            Entry::Revoked(Revocation::Digest { sha256, until }) => {
                self.by_digest.insert(sha256.clone(), *until);
            }
            Entry::Lifted(Revocation::Token { issuer, jti, .. }) => {
                self.by_issuer.get_mut(issuer).and_then(|of| of.tokens.remove(jti));
            }
            Entry::Lifted(Revocation::Subject { issuer, sub, .. }) => {
                self.by_issuer.get_mut(issuer).and_then(|of| of.subjects.remove(sub));
            }
            Entry::Lifted(Revocation::Digest { sha256, .. }) => {
                self.by_digest.remove(sha256);
            }
        }
    }

    /// What has ended by itself, with a margin for any leeway, needs no revocation.
    fn forget_ended(&mut self) {
        let now = now();
        let stays = |until: &Option<Seconds>| until.is_none_or(|until| until + MARGIN > now);
        self.by_digest.retain(|_, until| stays(until));
        for of in self.by_issuer.values_mut() {
            of.tokens.retain(|_, until| stays(until));
        }
    }

    fn len(&self) -> usize {
        let of_issuers = self.by_issuer.values().map(|of| of.tokens.len() + of.subjects.len());
        self.by_digest.len() + of_issuers.sum::<usize>()
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        let of_issuers = self.by_issuer.iter().flat_map(|(issuer, of)| {
            let tokens = of.tokens.iter().map(|(jti, until)| Revocation::Token {
                issuer: issuer.clone(),
                jti: jti.clone(),
                until: *until,
            });
            let subjects = of.subjects.iter().map(|(sub, before)| Revocation::Subject {
                issuer: issuer.clone(),
                sub: sub.clone(),
                issued_before: *before,
            });
            tokens.chain(subjects)
        });
        let digests = self
            .by_digest
            .iter()
            .map(|(sha256, until)| Revocation::Digest { sha256: sha256.clone(), until: *until });
        of_issuers.chain(digests).map(Entry::Revoked)
    }
}

/// How a digest is written.
pub(super) fn name_of(digest: &TokenDigest) -> String {
    URL_SAFE_NO_PAD.encode(digest)
}

/// One entry a line, appended and synced.
#[derive(Debug)]
struct Journal(File);

impl Journal {
    /// Reads what is there and leaves it compact: what was lifted or has ended is not written
    /// again. A last line that was cut off was never confirmed and is passed over.
    fn open(path: &Path) -> io::Result<(Self, Revoked)> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut revoked = Revoked::default();
        for (position, line) in text.split_inclusive('\n').enumerate() {
            match serde_json::from_str(line) {
                Ok(entry) => revoked.apply(&entry),
                Err(_) if !line.ends_with('\n') => {
                    tracing::warn!(
                        "the last line of the revocations was cut off and never in force"
                    );
                }
                Err(cause) => {
                    return Err(io::Error::other(format!("line {}: {cause}", position + 1)));
                }
            }
        }
        revoked.forget_ended();
        let fresh = path.with_extension("new");
        let mut journal =
            Self(OpenOptions::new().create(true).truncate(true).write(true).open(&fresh)?);
        for entry in revoked.entries() {
            journal.write(&entry)?;
        }
        journal.0.sync_all()?;
        std::fs::rename(&fresh, path)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok((journal, revoked))
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let length = self.0.metadata()?.len();
        let written = self.write(entry).and_then(|()| self.0.sync_data());
        if written.is_err() {
            // Half a line would spoil the next one.
            self.0.set_len(length)?;
        }
        written
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

/// A hundred bytes or so each.
const MAX_REVOCATIONS: usize = 200_000;
/// More than any leeway.
const MARGIN: Seconds = 120;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(jti: &str, until: Option<Seconds>) -> Revocation {
        Revocation::Token { issuer: "i".to_owned(), jti: jti.to_owned(), until }
    }

    fn subject(sub: &str) -> Revocation {
        Revocation::Subject { issuer: "i".to_owned(), sub: sub.to_owned(), issued_before: 7 }
    }

    #[tokio::test]
    async fn revocations_survive_a_restart_and_lifted_or_ended_ones_do_not() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("revocations.jsonl");
        let revocations = Revocations::load(Some(&path)).unwrap();
        for revocation in [
            token("a", None),
            token("b", Some(now() + 1000)),
            token("ended", Some(now() - 1000)),
            subject("mallory"),
            subject("alice"),
            Revocation::Digest { sha256: "d".to_owned(), until: None },
        ] {
            revocations.add(revocation).await.unwrap();
        }
        revocations.lift(subject("alice")).await.unwrap();
        drop(revocations);
        for _ in 0..2 {
            let again = Revocations::load(Some(&path)).unwrap();
            assert_eq!(again.len(), 4, "{again:?}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 4, "it is compact");
    }

    #[tokio::test]
    async fn a_last_line_cut_off_is_passed_over_and_any_other_fault_is_told() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("revocations.jsonl");
        Revocations::load(Some(&path)).unwrap().add(token("a", None)).await.unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"revoked\":{{\"iss")).unwrap();
        let again = Revocations::load(Some(&path)).unwrap();
        assert_eq!(again.len(), 1);
        again.add(token("b", None)).await.unwrap();
        assert_eq!(Revocations::load(Some(&path)).unwrap().len(), 2);

        std::fs::write(&path, format!("nonsense\n{whole}")).unwrap();
        let told = Revocations::load(Some(&path)).unwrap_err().to_string();
        assert!(told.contains("line 1") && told.contains("revocations.jsonl"), "{told}");
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("nonsense"), "untouched");
    }
}
