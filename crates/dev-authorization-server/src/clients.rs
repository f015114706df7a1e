//! Registered clients and how they prove themselves.

use aws_lc_rs::{constant_time, digest, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// A confidential client (RFC 6749 section 2.1).
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`.
    pub secret: String,
    /// Every scope it may ask for.
    pub allowed_scopes: Vec<String>,
    /// What it gets when it names no scope.
    pub default_scopes: Vec<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .field("allowed_scopes", &self.allowed_scopes)
            .field("default_scopes", &self.default_scopes)
            .finish_non_exhaustive()
    }
}

/// All clients of one authorization server.
#[derive(Debug)]
pub struct Clients(Vec<Client>);

impl Clients {
    /// Registers `clients`.
    pub fn new(clients: Vec<Client>) -> Self {
        Self(clients)
    }

    /// The three clients of the demo, each with a secret of 256 random bits.
    ///
    /// All may read customers, create tickets and calculate; `mcp-secure-client` may also read
    /// security events, but gets that scope only when it asks for it.
    pub fn demo() -> Result<Self, RandomnessFailed> {
        let everyday = ["customer:read", "ticket:create", "account:calculate"];
        let client = |id: &str, more: &[&str]| {
            Ok(Client {
                id: id.to_owned(),
                secret: random_secret()?,
                allowed_scopes: everyday.iter().chain(more).map(|&s| s.to_owned()).collect(),
                default_scopes: everyday.iter().map(|&s| s.to_owned()).collect(),
            })
        };
        Ok(Self(vec![
            client("mcp-secure-client", &["security:read"])?,
            client("claude-desktop-client", &[])?,
            client("openai-mcp-client", &[])?,
        ]))
    }

    /// All clients, in order of registration.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.0.iter()
    }

    /// Every scope that any client may ask for, sorted.
    pub fn scopes(&self) -> Vec<&str> {
        let mut scopes: Vec<&str> =
            self.0.iter().flat_map(|c| c.allowed_scopes.iter().map(String::as_str)).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// The client that `id` and `secret` belong to.
    ///
    /// A secret is always required, and an unknown id takes as long as a wrong secret: digests of
    /// equal length are compared in constant time either way.
    pub fn authenticate(&self, id: &str, secret: &str) -> Option<&Client> {
        let client = self.0.iter().find(|client| client.id == id);
        let expected = sha256(client.map_or("", |client| client.secret.as_str()));
        let same =
            constant_time::verify_slices_are_equal(expected.as_ref(), sha256(secret).as_ref())
                .is_ok();
        client.filter(|client| same && !client.secret.is_empty())
    }
}

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct RandomnessFailed;

fn random_secret() -> Result<String, RandomnessFailed> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| RandomnessFailed)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn sha256(text: &str) -> digest::Digest {
    digest::digest(&digest::SHA256, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(secret: &str) -> Clients {
        Clients::new(vec![Client {
            id: "a".to_owned(),
            secret: secret.to_owned(),
            allowed_scopes: vec![],
            default_scopes: vec![],
        }])
    }

    #[test]
    fn only_the_right_secret_authenticates() {
        let clients = one("right");
        assert!(clients.authenticate("a", "right").is_some());
        for (id, secret) in [("a", "wrong"), ("a", ""), ("b", "right"), ("b", ""), ("", "")] {
            assert!(clients.authenticate(id, secret).is_none(), "{id} {secret}");
        }
    }

    #[test]
    fn a_client_without_a_secret_never_authenticates() {
        assert!(one("").authenticate("a", "").is_none());
    }

    #[test]
    fn debug_output_holds_no_secret() {
        assert!(!format!("{:?}", one("hunter2")).contains("hunter2"));
    }
}
