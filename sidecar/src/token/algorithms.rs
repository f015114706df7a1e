//! The signature algorithms there are, each with its name (RFC 7518 section 3.1, RFC 8037):
//! asymmetric ones only, since what verifies a token must not be able to make one.

use jsonwebtoken::Algorithm;

/// What an issuer may be configured to sign with.
pub(crate) const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// What a DPoP proof may be signed with (RFC 9449 section 4.2): what clients use.
pub(crate) const PROOF_ALGORITHMS: [(&str, Algorithm); 5] = [
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("RS256", Algorithm::RS256),
    ("PS256", Algorithm::PS256),
];

/// The algorithm of that name in `table`.
pub(crate) fn named(table: &[(&str, Algorithm)], name: &str) -> Option<Algorithm> {
    table.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}
