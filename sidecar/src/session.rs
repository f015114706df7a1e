//! Whose is it? What the upstream hands out (sessions, tasks, event ids, request ids, request
//! state) reaches clients sealed to its owner.
//!
//! An id is no credential (MCP 2025-11-25, session hijacking; 2026-07-28, state handles), so each
//! is encrypted with its owner as associated data: in another caller's hand it does not open, as if
//! it had never been. Whoever has the key can open one, so no instance needs to remember any.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey},
    rand,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use moka::sync::Cache;

use crate::token::Claims;

/// To whom something belongs: a subject of an issuer's, through one client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Owner([Box<str>; 3]);

/// A subject of an issuer's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Subject([Box<str>; 2]);

/// What is sealed; one kind does not pass for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `Mcp-Session-Id` (legacy).
    Session,
    /// `taskId`, with the tool that made the task.
    Task,
    /// The id of a request of the upstream's (legacy), with its method.
    Request,
    /// `requestState` (modern), within one method and target.
    State,
    /// The `id` of an event (legacy), with the request whose answer its stream carries.
    Event,
}

/// Seals and opens, for one gate.
pub(crate) struct Seals {
    key: LessSafeKey,
    /// Gates that share a key open each other's only if they guard the same resource.
    resource: String,
}

/// Ids that turn up outside of an answer, and to whom they belong. What is forgotten is not
/// relayed; nothing else depends on it.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    /// Owner and task: the tool.
    tasks: Cache<(Owner, String), String>,
    /// Owner, session and request of the upstream's: its method.
    asked: Cache<(Owner, String, String), String>,
}

/// The sealing key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot use the sealing key `{path}`: {cause}; it must hold 32 random bytes in base64, as `openssl rand -base64 32` makes them"
)]
pub struct UnusableSealingKey {
    path: PathBuf,
    cause: String,
}

impl Owner {
    pub(crate) fn of(claims: &Claims) -> Self {
        Self([claims.iss().into(), claims.sub().into(), claims.client_id().into()])
    }

    /// The subject, through whichever client.
    pub(crate) fn subject(&self) -> Subject {
        let [iss, sub, _] = &self.0;
        Subject([iss.clone(), sub.clone()])
    }

    /// The owner's names as they are written into an assertion of ownership.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Task => "task",
            Self::Request => "request",
            Self::State => "state",
            Self::Event => "event",
        }
    }
}

impl Kind {
    /// As long as what is sealed may be: ids are short, states are a server's own notes.
    fn most_bytes(self) -> usize {
        match self {
            Self::Request => 512,
            Self::Task => 2 * 1024,
            // Some are tokens.
            Self::Session => 4 * 1024,
            // With the target of the request that its stream answers.
            Self::Event => 12 * 1024,
            Self::State => MAX_SEALED_BYTES / 2,
        }
    }
}

impl std::fmt::Debug for Seals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seals")
    }
}

impl Seals {
    /// With the key in a file, which instances share, or a new one that ends with this process.
    pub(crate) fn new(file: Option<&Path>, resource: &str) -> Result<Self, UnusableSealingKey> {
        let unusable = |cause: String| UnusableSealingKey {
            path: file.unwrap_or(Path::new("")).to_owned(),
            cause,
        };
        let mut key = [0; KEY_BYTES];
        match file {
            None => rand::fill(&mut key).map_err(|e| unusable(e.to_string()))?,
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| unusable(e.to_string()))?;
                let bytes = base64::engine::general_purpose::STANDARD
                    .decode(text.trim())
                    .map_err(|e| unusable(e.to_string()))?;
                key = bytes
                    .try_into()
                    .map_err(|b: Vec<u8>| unusable(format!("it holds {} bytes", b.len())))?;
            }
        }
        let key = UnboundKey::new(&AES_256_GCM_SIV, &key).map_err(|e| unusable(e.to_string()))?;
        Ok(Self { key: LessSafeKey::new(key), resource: resource.to_owned() })
    }

    /// Seals `parts` for `owner`, unless they are longer than any honest id. The same parts make
    /// the same text, which is what AES-GCM-SIV (RFC 8452) is for: clients compare ids.
    pub(crate) fn seal(
        &self,
        kind: Kind,
        owner: &Owner,
        within: &str,
        parts: &[&str],
    ) -> Option<String> {
        let mut text = joined(parts.iter().copied());
        if text.len() > kind.most_bytes() {
            return None;
        }
        let aad = self.belonging(kind, owner, within);
        self.key.seal_in_place_append_tag(nonce(), aad, &mut text).ok()?;
        Some(URL_SAFE_NO_PAD.encode(text))
    }

    /// What a sealed text is bound to.
    fn belonging(&self, kind: Kind, owner: &Owner, within: &str) -> Aad<Vec<u8>> {
        Aad::from(joined(owner.names().chain([&self.resource, kind.name(), within])))
    }

    /// The `N` parts that were sealed for this owner, kind and context, or nothing.
    pub(crate) fn open<const N: usize>(
        &self,
        kind: Kind,
        owner: &Owner,
        within: &str,
        sealed: &str,
    ) -> Option<[String; N]> {
        if sealed.len() > MAX_SEALED_BYTES {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let aad = self.belonging(kind, owner, within);
        let text = self.key.open_in_place(nonce(), aad, &mut bytes).ok()?;
        split(text)?.try_into().ok()
    }
}

impl Remembered {
    pub(crate) fn new() -> Self {
        Self {
            tasks: Cache::builder().max_capacity(MAX_TASKS).time_to_live(TASK_LIFETIME).build(),
            asked: Cache::builder().max_capacity(MAX_ASKED).time_to_live(ASKED_LIFETIME).build(),
        }
    }

    pub(crate) fn task(&self, owner: &Owner, task: &str, tool: &str) {
        self.tasks.insert((owner.clone(), task.to_owned()), tool.to_owned());
    }

    /// The tool that made a task of this owner's.
    pub(crate) fn tool_of(&self, owner: &Owner, task: &str) -> Option<String> {
        self.tasks.get(&(owner.clone(), task.to_owned()))
    }

    pub(crate) fn asked(&self, owner: &Owner, session: &str, request: &str, method: &str) {
        let key = (owner.clone(), session.to_owned(), request.to_owned());
        self.asked.insert(key, method.to_owned());
    }

    /// What a request of the upstream's asks of this owner's client.
    pub(crate) fn method_asked(
        &self,
        owner: &Owner,
        session: &str,
        request: &str,
    ) -> Option<String> {
        self.asked.get(&(owner.clone(), session.to_owned(), request.to_owned()))
    }
}

/// One for all: equal texts make equal ids, and nothing else is told (RFC 8452 section 9).
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// Each with its length in front, so that no two lists make one text.
fn joined<'a>(parts: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part.as_bytes());
    }
    out
}

fn split(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
        let (part, rest) = rest.split_at_checked(length)?;
        parts.push(std::str::from_utf8(part).ok()?.to_owned());
        bytes = rest;
    }
    Some(parts)
}

const MAX_TASKS: u64 = 100_000;
const TASK_LIFETIME: Duration = Duration::from_secs(24 * 3600);
const MAX_ASKED: u64 = 100_000;
const ASKED_LIFETIME: Duration = Duration::from_secs(3600);
const KEY_BYTES: usize = 32;
/// A request state may be long; everything else is short.
const MAX_SEALED_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(iss: &str, sub: &str, client: &str) -> Owner {
        Owner([iss.into(), sub.into(), client.into()])
    }

    fn opened(seals: &Seals, kind: Kind, owner: &Owner, within: &str, text: &str) -> bool {
        seals.open::<2>(kind, owner, within, text).is_some()
    }

    #[test]
    fn what_was_sealed_opens_for_its_owner_alone() {
        let seals = Seals::new(None, "r").unwrap();
        let alice = owner("i", "alice", "c");
        let text = seals.seal(Kind::Task, &alice, "w", &["tool", "id-1"]).unwrap();
        assert_eq!(seals.open(Kind::Task, &alice, "w", &text).unwrap(), ["tool", "id-1"]);
        assert_eq!(text, seals.seal(Kind::Task, &alice, "w", &["tool", "id-1"]).unwrap());
        assert!(seals.seal(Kind::Task, &alice, "w", &["tool", &"x".repeat(2_100)]).is_none());
        for other in [
            owner("i", "bob", "c"),
            owner("j", "alice", "c"),
            owner("i", "alice", "d"),
            owner("ia", "lice", "c"),
        ] {
            assert!(!opened(&seals, Kind::Task, &other, "w", &text), "{other:?}");
        }
        assert!(!opened(&seals, Kind::Session, &alice, "w", &text));
        assert!(!opened(&seals, Kind::Task, &alice, "", &text));
        assert!(seals.open::<1>(Kind::Task, &alice, "w", &text).is_none());
        assert!(!opened(&Seals::new(None, "r").unwrap(), Kind::Task, &alice, "w", &text));
    }

    #[test]
    fn no_changed_text_opens() {
        let seals = Seals::new(None, "r").unwrap();
        let alice = owner("i", "alice", "c");
        let text = seals.seal(Kind::Session, &alice, "", &["a", "b"]).unwrap();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(!opened(&seals, Kind::Session, &alice, "", &changed), "{at}");
        }
        for short in ["", "AA", "====", text.split_at(1).1] {
            assert!(!opened(&seals, Kind::Session, &alice, "", short));
        }
    }

    #[test]
    fn instances_with_one_key_open_each_others() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let alice = owner("i", "alice", "c");
        for (text, usable) in [("", false), ("AAAA", false), ("not base64!", false)] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(Seals::new(Some(file.path()), "r").is_ok(), usable, "{text:?}");
        }
        let key = base64::engine::general_purpose::STANDARD.encode([7; KEY_BYTES]);
        std::fs::write(file.path(), format!("{key}\n")).unwrap();
        let [one, other, elsewhere] =
            ["r", "r", "s"].map(|name| Seals::new(Some(file.path()), name).unwrap());
        let text = one.seal(Kind::Event, &alice, "s", &["a", "b"]).unwrap();
        assert!(opened(&other, Kind::Event, &alice, "s", &text));
        assert!(!opened(&elsewhere, Kind::Event, &alice, "s", &text), "it guards something else");
    }
}
