//! Why there is no token, and what to do next.

use std::path::PathBuf;

/// Why there is no token. Each says in one line what to do next; none holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Something on the way to a token does not answer.
    #[error("cannot reach `{url}`: {cause}; check that it runs and that its authority is trusted")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why it failed.
        cause: String,
    },
    /// A document is not what it should be.
    #[error("`{url}` does not describe what it should: {what}; tell whoever runs it")]
    Metadata {
        /// Where it is.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// No metadata at all (RFC 9728).
    #[error("`{0}` names no authorization server; check that it is a protected MCP endpoint")]
    Unprotected(String),
    /// Neither https nor on this machine.
    #[error("`{0}` is not https; only an address of this machine may do without")]
    Insecure(String),
    /// The OAuth client as configured does not fit the authorization server.
    #[error("the authorization server `{issuer}` {what}")]
    Unsuitable {
        /// Which.
        issuer: String,
        /// What it does or lacks, and what to configure.
        what: String,
    },
    /// What is configured as a key is none.
    #[error("the OAuth client's private key cannot be used: {0}; give an RSA or P-256 key as PEM")]
    PrivateKey(String),
    /// The authorization server refused.
    #[error("the authorization server refused: {said}; {}", advice(said))]
    Refused {
        /// In its words, shortened.
        said: String,
    },
    /// The authorization server granted less than a call needs.
    #[error("the authorization server did not grant `{}`; ask whoever grants scopes", missing.join(" "))]
    NotGranted {
        /// What is missing.
        missing: Vec<String>,
    },
    /// A new token did not stand up to the check, so it is not sent.
    #[error("the new token is not sent: {0}; tell whoever runs the authorization server")]
    Unfit(String),
    /// A token is for its resource alone.
    #[error("the token for `{resource}` is not sent to `{url}`; discover what that wants itself")]
    Elsewhere {
        /// For what it is.
        resource: String,
        /// Where it should have gone.
        url: String,
    },
    /// The person did not sign in.
    #[error("nobody signed in: {0}; try again")]
    Login(String),
    /// The file of tokens cannot be used.
    #[error("the token cache `{path}` is not used: {what}")]
    Cache {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// The system gave no randomness, or the program is about to end.
    #[error("the token could not be fetched: {0}; try again")]
    Interrupted(&'static str),
}

/// What an error says, with what caused it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What to do about an error code of RFC 6749 section 5.2 and its companions.
fn advice(said: &str) -> &'static str {
    let code = said.split([':', ' ']).next().unwrap_or_default();
    match code {
        "invalid_client" => "check the client id and its secret or key",
        "invalid_scope" => "ask for scopes that this client may have",
        "invalid_target" => "it does not serve this resource; register the resource with it",
        "unauthorized_client" | "unsupported_grant_type" => {
            "allow this client that grant, or configure another client"
        }
        "invalid_grant" => "sign in again",
        "invalid_dpop_proof" | "use_dpop_nonce" => "check this machine's clock",
        "temporarily_unavailable" | "server_error" => "try again later",
        _ => "look into its log",
    }
}
