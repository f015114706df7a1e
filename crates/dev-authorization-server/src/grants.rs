//! What users have granted: codes that are good once, refresh tokens that rotate, and the access
//! tokens made from them, so that all of it can be revoked together.

use std::time::{Duration, Instant};

use crate::{
    expiring::{Expiring, Full, after},
    refusal::Refusal,
    scopes::Scopes,
    secret::{Digest, Secret},
    token::BoundKey,
};

/// What one user granted to one client, once.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    /// The user's name, which is the `sub` of tokens.
    pub(crate) user: String,
    pub(crate) scopes: Scopes,
    pub(crate) resources: Vec<String>,
    /// The key that its refresh tokens are bound to.
    pub(crate) key: Option<BoundKey>,
    /// The one refresh token that is good now.
    refresh: Option<Digest>,
    /// `jti` of unexpired access tokens made from it.
    tokens: Vec<(String, Instant)>,
}

/// A code as it waits to be exchanged (RFC 6749 section 4.1.2).
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    /// SHA-256 of the verifier (RFC 7636 section 4.2).
    pub(crate) challenge: String,
    pub(crate) family: Family,
}

#[derive(Debug)]
enum CodeState {
    Waiting(Code),
    Exchanged { client_id: String, family: Family },
}

/// The unguessable name of a grant: the first part of all of its refresh tokens, told to nobody
/// else. Whoever presents it with any second part but the latest has an old token.
#[derive(Debug, Clone)]
pub(crate) struct Family(Secret);

/// All grants of one server.
#[derive(Debug)]
pub(crate) struct Grants {
    grants: Expiring<Grant>,
    codes: Expiring<CodeState>,
    /// `jti` of access tokens that were revoked before their time.
    revoked: Expiring<()>,
    refresh_lifetime: Duration,
    access_lifetime: Duration,
}

impl Grant {
    pub(crate) fn new(
        client_id: String,
        user: String,
        scopes: Scopes,
        resources: Vec<String>,
    ) -> Self {
        Self { client_id, user, scopes, resources, key: None, refresh: None, tokens: Vec::new() }
    }
}

impl Family {
    fn key(&self) -> Digest {
        self.0.digest()
    }
}

impl Grants {
    pub(crate) fn new(refresh_lifetime: Duration, access_lifetime: Duration) -> Self {
        Self {
            grants: Expiring::new(MAX_GRANTS),
            codes: Expiring::new(MAX_CODES),
            revoked: Expiring::new(MAX_REVOKED),
            refresh_lifetime,
            access_lifetime,
        }
    }

    /// A code for `grant`, which lasts no longer than the code until that is exchanged.
    pub(crate) fn issue_code(
        &self,
        grant: Grant,
        redirect_uri: String,
        challenge: String,
        lifetime: Duration,
    ) -> Result<Secret, Refusal> {
        let (secret, family) = (Secret::generate()?, Family(Secret::generate()?));
        let code = Code {
            client_id: grant.client_id.clone(),
            redirect_uri,
            challenge,
            family: family.clone(),
        };
        self.grants.insert(family.key(), grant, lifetime)?;
        self.codes.insert(secret.digest(), CodeState::Waiting(code), lifetime)?;
        Ok(secret)
    }

    /// Takes a code that waits for this client. It is gone after this, whatever follows; presented
    /// again by the same client, it takes everything made from it along (RFC 6749 section 4.1.2).
    pub(crate) fn take_code(&self, code: &str, client_id: &str) -> Option<Code> {
        let key = Digest::of(code);
        let taken = self.codes.with(&key, |state| match state {
            CodeState::Waiting(waiting) if waiting.client_id == client_id => {
                let exchanged = CodeState::Exchanged {
                    client_id: client_id.to_owned(),
                    family: waiting.family.clone(),
                };
                Ok(std::mem::replace(state, exchanged))
            }
            CodeState::Exchanged { client_id: owner, family } if owner == client_id => {
                Err(Some(family.clone()))
            }
            _ => Err(None),
        })?;
        match taken {
            Ok(CodeState::Waiting(waiting)) => {
                // Remembered for as long as a token made from it could be used.
                self.codes.prolong(&key, self.access_lifetime);
                Some(waiting)
            }
            Err(Some(family)) => {
                tracing::warn!(client_id, "a code was presented again; its tokens are revoked");
                self.revoke_family(&family.key());
                None
            }
            _ => None,
        }
    }

    /// Binds a grant's refresh tokens to a key, if there is one.
    pub(crate) fn bind(&self, family: &Family, key: Option<&BoundKey>) {
        self.grants.with(&family.key(), |grant| grant.key = key.cloned());
    }

    /// The first refresh token of a grant whose code was exchanged.
    pub(crate) fn first_refresh_token(&self, family: &Family) -> Result<Secret, Refusal> {
        self.grants.prolong(&family.key(), self.refresh_lifetime);
        self.next_refresh_token(family, |_| true)
    }

    /// The grant that a refresh token belongs to, while both are this client's and good.
    /// A token that was replaced takes the whole family along (RFC 9700 section 4.14.2).
    pub(crate) fn of_refresh_token(&self, token: &str, client_id: &str) -> Option<(Family, Grant)> {
        let (family, grant) = self.find(token)?;
        if grant.client_id != client_id {
            return None;
        }
        if !grant.refresh.is_some_and(|latest| latest.is(&Digest::of(token))) {
            tracing::warn!(client_id, "a refresh token was presented again; its family is revoked");
            self.revoke_family(&family.key());
            return None;
        }
        Some((family, grant))
    }

    /// Replaces `token` by a new one; of several at once only one succeeds, the others are a reuse.
    pub(crate) fn rotate(&self, family: &Family, token: &str) -> Result<Secret, Refusal> {
        let presented = Digest::of(token);
        let next =
            self.next_refresh_token(family, |latest| latest.is_some_and(|l| l.is(&presented)));
        if next.is_err() {
            self.revoke_family(&family.key());
        }
        self.grants.prolong(&family.key(), self.refresh_lifetime);
        next
    }

    fn next_refresh_token(
        &self,
        family: &Family,
        may_replace: impl FnOnce(Option<Digest>) -> bool,
    ) -> Result<Secret, Refusal> {
        let token = Secret::new(format!("{}.{}", family.0.expose(), Secret::generate()?.expose()));
        let replaced = self.grants.with(&family.key(), |grant| {
            let may = may_replace(grant.refresh);
            if may {
                grant.refresh = Some(token.digest());
            }
            may
        });
        match replaced {
            Some(true) => Ok(token),
            _ => Err(Refusal::InvalidGrant("the grant was revoked")),
        }
    }

    /// The family that any refresh token of it names, and its grant.
    pub(crate) fn find(&self, token: &str) -> Option<(Family, Grant)> {
        let (family, _) = token.split_once('.')?;
        let family = Family(Secret::new(family));
        self.grants.get(&family.key()).map(|grant| (family, grant))
    }

    /// Whether `token` is the latest of its family.
    pub(crate) fn is_latest(grant: &Grant, token: &str) -> bool {
        grant.refresh.is_some_and(|latest| latest.is(&Digest::of(token)))
    }

    /// The grant of a code that was just taken.
    pub(crate) fn grant(&self, family: &Family) -> Option<Grant> {
        self.grants.get(&family.key())
    }

    /// Notes an access token made from a grant before it is told to anybody, so that a revocation
    /// at the same moment does not miss it.
    pub(crate) fn note_token(&self, family: &Family, jti: &str) -> Result<(), Refusal> {
        let (now, until) = (Instant::now(), after(self.access_lifetime));
        let noted = self.grants.with(&family.key(), |grant| {
            grant.tokens.retain(|(_, until)| *until > now);
            if grant.tokens.len() >= MAX_TOKENS_OF_A_GRANT {
                return false;
            }
            grant.tokens.push((jti.to_owned(), until));
            true
        });
        match noted {
            Some(true) => Ok(()),
            Some(false) => Err(Refusal::Full),
            None => Err(Refusal::InvalidGrant("the grant was revoked")),
        }
    }

    /// Revokes a grant with every token made from it.
    pub(crate) fn revoke(&self, family: &Family) {
        self.revoke_family(&family.key());
    }

    fn revoke_family(&self, key: &Digest) {
        let Some(grant) = self.grants.remove(key) else { return };
        for (jti, _) in grant.tokens {
            if self.revoke_token(&jti).is_err() {
                tracing::error!("there is no room to remember a revoked access token");
            }
        }
    }

    /// Revokes one access token.
    pub(crate) fn revoke_token(&self, jti: &str) -> Result<(), Full> {
        self.revoked.insert(Digest::of(jti), (), self.access_lifetime)
    }

    pub(crate) fn is_revoked(&self, jti: &str) -> bool {
        self.revoked.get(&Digest::of(jti)).is_some()
    }
}

/// Each needs a person who signed in, or a client that proved itself.
const MAX_GRANTS: usize = 10_000;
const MAX_CODES: usize = 10_000;
const MAX_REVOKED: usize = 100_000;
/// A client that refreshes more often than this within one token's lifetime is broken.
const MAX_TOKENS_OF_A_GRANT: usize = 100;
