//! Tokens that are refused before their time: by `jti`, by subject, or by the token itself.
//!
//! Requests read an immutable snapshot. A change is in the journal, synced to disk, before it is in
//! force, and is in force before it is confirmed.

mod journal;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{
    claims::{Claims, Seconds, now},
    is_opaque,
    known::digest_of,
};
use crate::rejection::Rejection;
use journal::Journal;

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
    path: Option<PathBuf>,
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
    #[error("the journal has not been taken up yet")]
    NotTakenUp,
}

/// The journal of revocations cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the revocations in `{path}` (`admin.revocations`): {cause}")]
pub struct UnusableJournal {
    path: PathBuf,
    cause: String,
}

impl Revocations {
    /// Those in the journal at `path`, read and nothing else; without one they are kept in memory
    /// alone.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, UnusableJournal> {
        let (path, revoked) = match path {
            Some(path) => {
                (Some(path.to_owned()), journal::read(path).map_err(|e| unusable(path, &e))?)
            }
            None => (None, Revoked::default()),
        };
        let current = ArcSwap::from_pointee(revoked);
        Ok(Self { current, path, journal: Mutex::new(None) })
    }

    /// Takes the journal for this process: from now on revocations can be made.
    ///
    /// Read once more, since another process may have had it until now.
    pub(crate) async fn take_up(&self) -> Result<(), UnusableJournal> {
        let mut journal = self.journal.lock().await;
        if let Some(path) = &self.path {
            let (opened, revoked) = Journal::open(path).map_err(|e| unusable(path, &e))?;
            self.current.store(Arc::new(revoked));
            *journal = Some(opened);
        }
        Ok(())
    }

    /// Refuses the claims of a revoked token.
    pub(super) fn require_none_of(&self, claims: &Claims, token: &str) -> Result<(), Rejection> {
        let revoked = self.current.load();
        let by_digest =
            || !revoked.by_digest.is_empty() && revoked.by_digest.contains_key(&name_of(token));
        if revoked.name(claims) || by_digest() { Err(Rejection::Revoked) } else { Ok(()) }
    }

    /// Whether they name these claims' token: by `jti`, by subject, or by digest where it has no
    /// `jti`.
    pub(crate) fn name(&self, claims: &Claims) -> bool {
        self.current.load().name(claims)
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
        match (journal.as_mut(), &self.path) {
            (Some(journal), _) => journal.append(&entry)?,
            (None, None) => {}
            (None, Some(_)) => return Err(NotRevoked::NotTakenUp),
        }
        self.current.store(Arc::new(revoked));
        Ok(())
    }
}

impl Revoked {
    fn name(&self, claims: &Claims) -> bool {
        let by_digest = claims.digest().is_some_and(|digest| self.by_digest.contains_key(digest));
        by_digest
            || self.by_issuer.get(claims.iss()).is_some_and(|of| {
                claims.jti().is_some_and(|jti| of.tokens.contains_key(jti))
                    || of
                        .subjects
                        .get(claims.sub())
                        .is_some_and(|&before| claims.issued_at() < before)
            })
    }

    fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Revoked(Revocation::Token { issuer, jti, until }) => {
                let of = self.by_issuer.entry(issuer.clone()).or_default();
                revoke_until(&mut of.tokens, jti, *until);
            }
            Entry::Revoked(Revocation::Subject { issuer, sub, issued_before }) => {
                let of = self.by_issuer.entry(issuer.clone()).or_default();
                // What was revoked stays so until it is lifted.
                let before = of.subjects.entry(sub.clone()).or_insert(*issued_before);
                *before = (*before).max(*issued_before);
            }
            Entry::Revoked(Revocation::Digest { sha256, until }) => {
                revoke_until(&mut self.by_digest, sha256, *until);
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
        let stays =
            |until: &Option<Seconds>| until.is_none_or(|until| until.saturating_add(MARGIN) > now);
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

/// The later of two ends counts, and none at all is the latest.
fn revoke_until(tokens: &mut HashMap<String, Option<Seconds>>, name: &str, until: Option<Seconds>) {
    match tokens.get_mut(name) {
        Some(known) => *known = known.zip(until).map(|(known, until)| known.max(until)),
        None => drop(tokens.insert(name.to_owned(), until)),
    }
}

/// The name of a token that has none: the digest of what is signed, where it is signed. Of one
/// signature others can be made that verify as well (ECDSA), so that is left out.
pub(super) fn name_of(token: &str) -> String {
    let signed = match is_opaque(token) {
        true => token,
        false => token.rsplit_once('.').map_or(token, |(signed, _)| signed),
    };
    URL_SAFE_NO_PAD.encode(digest_of(signed))
}

fn unusable(path: &Path, cause: &io::Error) -> UnusableJournal {
    UnusableJournal { path: path.to_owned(), cause: cause.to_string() }
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

    async fn taken_up(path: &Path) -> Revocations {
        let revocations = Revocations::load(Some(path)).unwrap();
        revocations.take_up().await.unwrap();
        revocations
    }

    #[tokio::test]
    async fn what_is_revoked_is_not_revoked_less_by_revoking_it_again() {
        let revocations = Revocations::load(None).unwrap();
        let now = now();
        for until in [Some(now + 50), Some(i64::MAX), Some(now + 10), None, Some(now + 10)] {
            revocations.add(token("a", until)).await.unwrap();
        }
        for issued_before in [7, 9, 8] {
            let (issuer, sub) = ("i".to_owned(), "s".to_owned());
            revocations.add(Revocation::Subject { issuer, sub, issued_before }).await.unwrap();
        }
        let revoked = revocations.current.load();
        let of = revoked.by_issuer.get("i").unwrap();
        assert_eq!(of.tokens.get("a"), Some(&None));
        assert_eq!(of.subjects.get("s"), Some(&9));
    }

    #[test]
    fn a_token_without_a_name_is_named_by_what_is_signed() {
        assert_eq!(name_of("a.b.c"), name_of("a.b.d"), "of one signature others can be made");
        assert_ne!(name_of("a.b.c"), name_of("a.c.c"));
        assert_ne!(name_of("opaque"), name_of("opaque2"));
    }

    #[tokio::test]
    async fn revocations_survive_a_restart_and_lifted_or_ended_ones_do_not() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("revocations.jsonl");
        let revocations = taken_up(&path).await;
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
        let looked_at = Revocations::load(Some(&path)).unwrap();
        assert_eq!(looked_at.len(), 4, "reading disturbs nobody");
        assert!(looked_at.add(token("c", None)).await.is_err());
        let told = looked_at.take_up().await.unwrap_err().to_string();
        assert!(told.contains("another process"), "{told}");
        revocations.add(token("late", None)).await.unwrap();
        revocations.lift(token("late", None)).await.unwrap();
        drop(revocations);
        for _ in 0..2 {
            let again = taken_up(&path).await;
            assert_eq!(again.len(), 4, "{again:?}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 4, "it is compact");
    }

    #[tokio::test]
    async fn a_last_line_cut_off_is_passed_over_and_any_other_fault_is_told() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("revocations.jsonl");
        taken_up(&path).await.add(token("a", None)).await.unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"revoked\":{{\"iss")).unwrap();
        let again = taken_up(&path).await;
        assert_eq!(again.len(), 1);
        again.add(token("b", None)).await.unwrap();
        assert_eq!(Revocations::load(Some(&path)).unwrap().len(), 2);

        std::fs::write(&path, format!("nonsense\n{whole}")).unwrap();
        let told = Revocations::load(Some(&path)).unwrap_err().to_string();
        assert!(told.contains("line 1") && told.contains("revocations.jsonl"), "{told}");
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("nonsense"), "untouched");
    }
}
