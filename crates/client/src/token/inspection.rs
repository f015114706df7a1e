//! What a look at a token source shows, before anything depends on it.

use std::{collections::BTreeSet, time::Duration};

use serde::Serialize;

use super::own_check::Checked;

/// What was found out about a resource, its issuer and the token for it. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// What tokens are for.
    pub resource: String,
    /// Where that was told.
    pub resource_metadata: String,
    /// Who issues them.
    pub issuer: String,
    /// Where they come from.
    pub token_endpoint: String,
    /// Where people sign in, if they can.
    pub authorization_endpoint: Option<String>,
    /// Where the issuer's keys are.
    pub jwks_uri: Option<String>,
    /// The OAuth client, once it is known.
    pub client_id: Option<String>,
    /// What is asked for; nothing asks for what the issuer gives by default.
    pub wanted_scopes: BTreeSet<String>,
    /// What the resource says can be asked for.
    pub known_scopes: BTreeSet<String>,
    /// The thumbprint of the key that tokens are bound to; none for bearer tokens.
    pub proof_key: Option<String>,
    /// The token that is held, if any.
    pub token: Option<HeldToken>,
    /// How many tokens were asked for so far.
    pub requests: u64,
}

/// What is known about a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldToken {
    /// What was granted.
    pub scopes: BTreeSet<String>,
    /// How long it is good for yet.
    #[serde(with = "seconds")]
    pub expires_in: Duration,
    /// Whether its signature was verified; of an opaque token that cannot be said here.
    pub verified: bool,
}

impl HeldToken {
    pub(super) fn new(
        scopes: BTreeSet<String>,
        expires_at: u64,
        now: u64,
        checked: Checked,
    ) -> Self {
        let expires_in = Duration::from_secs(expires_at.saturating_sub(now));
        Self { scopes, expires_in, verified: checked == Checked::Verified }
    }
}

mod seconds {
    use std::time::Duration;

    pub(super) fn serialize<S: serde::Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.as_secs())
    }
}
