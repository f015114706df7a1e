//! Random secrets: told once, kept as digests where nobody needs them again.

use aws_lc_rs::{constant_time, digest, hmac, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Something that only its owner should know. It prints as nothing.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// 256 random bits in base64url.
    pub fn generate() -> Result<Self, RandomnessFailed> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| RandomnessFailed)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// A secret that somebody else made.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, to be told to its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct RandomnessFailed;

/// SHA-256 of a secret or of a name: what stores are keyed by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(text: &str) -> Self {
        Self::of_parts(&[text])
    }

    /// Of several parts, so that no two lists of parts have one digest.
    pub(crate) fn of_parts(parts: &[&str]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            if parts.len() > 1 {
                context.update(&(part.len() as u64).to_be_bytes());
            }
            context.update(part.as_bytes());
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// Compares in constant time.
    pub(crate) fn is(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    pub(crate) fn base64url(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// Seals texts under a key that is made at start and never leaves.
#[derive(Debug)]
pub(crate) struct Seal(hmac::Key);

impl Seal {
    pub(crate) fn generate() -> Result<Self, RandomnessFailed> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| RandomnessFailed)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    pub(crate) fn of(&self, parts: &[&str]) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &Digest::of_parts(parts).0))
    }

    /// Whether `seal` is the seal of `parts`, in constant time.
    pub(crate) fn fits(&self, seal: &str, parts: &[&str]) -> bool {
        URL_SAFE_NO_PAD
            .decode(seal)
            .is_ok_and(|tag| hmac::verify(&self.0, &Digest::of_parts(parts).0, &tag).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_a_secret() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret:?} {:?}", secret.digest()).contains("hunter2"));
        assert!(!format!("{:?}", Seal::generate().unwrap()).contains('['));
    }

    #[test]
    fn a_seal_fits_only_what_it_was_made_for() {
        let seal = Seal::generate().unwrap();
        let tag = seal.of(&["ab", "c"]);
        assert!(seal.fits(&tag, &["ab", "c"]));
        for (tag, parts) in [
            (tag.as_str(), ["a", "bc"]),
            (tag.as_str(), ["ab", "d"]),
            ("", ["ab", "c"]),
            ("%", ["ab", "c"]),
        ] {
            assert!(!seal.fits(tag, &parts), "{tag} {parts:?}");
        }
        assert!(!Seal::generate().unwrap().fits(&tag, &["ab", "c"]), "another key");
    }
}
