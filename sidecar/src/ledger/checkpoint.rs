//! Signed checkpoints: what the tree was at some size, as a signed note
//! (<https://c2sp.org/tlog-checkpoint>, <https://c2sp.org/signed-note>).

use std::{
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use data_encoding::HEXLOWER;

use super::merkle::{Hash, Tree, hash};

/// What the tree was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Whose tree it is: the gate's public address without a scheme.
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

/// Signs checkpoints.
pub(crate) struct Signer {
    origin: String,
    key: Ed25519KeyPair,
}

/// Believes a signer's checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verifier {
    origin: String,
    public_key: Vec<u8>,
}

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the key `{path}` that signs checkpoints: {cause}")]
pub struct UnusableLedgerKey {
    path: PathBuf,
    cause: io::Error,
}

/// Why a note is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotBelieved {
    #[error("it is no checkpoint")]
    Malformed,
    #[error("it is another ledger's")]
    OtherOrigin,
    #[error("no signature on it is this ledger's")]
    Unsigned,
}

impl Checkpoint {
    pub(crate) fn of(tree: &Tree, origin: &str) -> Self {
        Self { origin: origin.to_owned(), size: tree.size(), root: tree.root() }
    }

    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let is_number = size == "0" || !size.starts_with(['0', '+']);
        let size = size.parse().ok().filter(|_| is_number)?;
        let root = Hash::try_from(STANDARD.decode(root).ok()?).ok()?;
        Some(Self { origin: origin.to_owned(), size, root })
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Signer {
    /// With the key at `path` (PKCS #8, DER), which is made when it is not there.
    pub(crate) fn open(path: &Path, origin: &str) -> Result<Self, UnusableLedgerKey> {
        let unusable = |cause: io::Error| UnusableLedgerKey { path: path.to_owned(), cause };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                generate(path).map_err(unusable)?
            }
            Err(error) => return Err(unusable(error)),
        };
        let key = Ed25519KeyPair::from_pkcs8(&bytes)
            .map_err(|rejected| unusable(io::Error::other(rejected)))?;
        Ok(Self { origin: origin.to_owned(), key })
    }

    /// The signed note.
    pub(crate) fn note(&self, tree: &Tree) -> String {
        let text = Checkpoint::of(tree, &self.origin).text();
        let mut signature = self.verifier().key_id().to_vec();
        signature.extend_from_slice(self.key.sign(text.as_bytes()).as_ref());
        format!("{text}\n\u{2014} {} {}\n", self.origin, STANDARD.encode(signature))
    }

    pub(crate) fn verifier(&self) -> Verifier {
        let public_key = self.key.public_key().as_ref().to_vec();
        Verifier { origin: self.origin.clone(), public_key }
    }
}

impl Verifier {
    /// From the form in which keys of notes are given out: `origin+hash+key`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(3, '+');
        let (origin, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let key = STANDARD.decode(key).ok()?;
        let (algorithm, public_key) = key.split_first()?;
        let verifier = Self { origin: origin.to_owned(), public_key: public_key.to_vec() };
        let is_it = *algorithm == ALGORITHM && HEXLOWER.encode(&verifier.key_id()) == id;
        is_it.then_some(verifier)
    }

    /// The checkpoint that a note is, if the signature on it is right.
    pub(crate) fn open(&self, note: &str) -> Result<Checkpoint, NotBelieved> {
        let (text, signatures) = note.split_once("\n\n").ok_or(NotBelieved::Malformed)?;
        let text = format!("{text}\n");
        let checkpoint = Checkpoint::parse(&text).ok_or(NotBelieved::Malformed)?;
        if checkpoint.origin != self.origin {
            return Err(NotBelieved::OtherOrigin);
        }
        let ours = signatures.lines().any(|line| self.signed(&text, line).is_some());
        if ours { Ok(checkpoint) } else { Err(NotBelieved::Unsigned) }
    }

    fn signed(&self, text: &str, line: &str) -> Option<()> {
        let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let signature = STANDARD.decode(signature).ok().filter(|_| name == self.origin)?;
        let (id, signature) = signature.split_at_checked(KEY_ID_BYTES)?;
        let key = UnparsedPublicKey::new(&ED25519, &self.public_key);
        key.verify(text.as_bytes(), signature).ok().filter(|()| id == self.key_id())
    }

    fn key_id(&self) -> [u8; KEY_ID_BYTES] {
        let of = hash(&[self.origin.as_bytes(), b"\n", &[ALGORITHM], &self.public_key]);
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(of.get(..KEY_ID_BYTES).unwrap_or(&[0; KEY_ID_BYTES]));
        id
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut key = vec![ALGORITHM];
        key.extend_from_slice(&self.public_key);
        let id = HEXLOWER.encode(&self.key_id());
        write!(f, "{}+{id}+{}", self.origin, STANDARD.encode(key))
    }
}

/// Makes a key that its owner alone can read.
fn generate(path: &Path) -> io::Result<Vec<u8>> {
    let key = Ed25519KeyPair::generate().map_err(io::Error::other)?;
    let bytes = key.to_pkcs8v1().map_err(io::Error::other)?.as_ref().to_vec();
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    Ok(bytes)
}

/// Ed25519 (signed-note).
const ALGORITHM: u8 = 1;
const KEY_ID_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::merkle::leaf_hash;

    #[test]
    fn a_note_is_believed_as_it_was_signed_and_no_otherwise() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        let signer = Signer::open(&path, "gate.example.com/mcp").unwrap();
        let tree = Tree::over(&[leaf_hash(b"a"), leaf_hash(b"b")]);
        let note = signer.note(&tree);
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o777, 0o600, "it is its owner's alone");
        // The key that was made is the key that is read.
        let verifier = Signer::open(&path, "gate.example.com/mcp").unwrap().verifier();
        assert_eq!(verifier.open(&note), Ok(Checkpoint::of(&tree, "gate.example.com/mcp")));
        assert_eq!(Verifier::parse(&verifier.to_string()), Some(verifier.clone()));
        for position in 0..note.len() {
            let mut other = note.clone().into_bytes();
            other[position] ^= 1;
            let Ok(other) = String::from_utf8(other) else { continue };
            assert!(verifier.open(&other).is_err(), "{other}");
        }
        let stranger = Signer::open(&home.path().join("other"), "gate.example.com/mcp").unwrap();
        assert_eq!(verifier.open(&stranger.note(&tree)), Err(NotBelieved::Unsigned));
    }

    /// The example of the specification (<https://c2sp.org/signed-note>).
    #[test]
    fn a_key_is_given_out_as_everybody_does() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(Verifier::parse(text).unwrap().to_string(), text);
        assert_eq!(Verifier::parse(&text.replace("c74f", "c74e")), None);
    }
}
