//! A certificate authority for one machine, and what it signs.
//!
//! - [`LocalAuthority`] and [`Identity`]: certificates in memory; tests use these alone.
//! - [`AssertionKey`]: the Ed25519 key with which Cedargate names itself to an upstream.
//! - [`directory`]: the same as files under `certs/`, made once and renewed before they expire.
//!
//! Nothing here belongs into production: the authority's private key lies beside what it signs.

mod assertion_key;
mod authority;
pub mod directory;

pub use assertion_key::AssertionKey;
pub use authority::{Identity, LocalAuthority};

/// Why a key or certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {cause}")]
pub struct CertificateError {
    doing: &'static str,
    cause: String,
}

impl CertificateError {
    fn new(doing: &'static str, cause: impl std::fmt::Display) -> Self {
        Self { doing, cause: cause.to_string() }
    }
}
