//! How a token is got: from the cache, for a refresh token, or anew; and what is kept of it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::Client;

use super::{
    Options, Proof,
    cache::{CacheFile, Contents, Entry, LockedCache, entry_name},
    clock::Clock,
    discovery::{Found, discover},
    dpop::{Nonce, ProofKey},
    error::TokenError,
    flight::Held,
    login::SignIn,
    oauth_client::OAuthClient,
    own_check::OwnCheck,
    token_endpoint::{Grant, Granted, TokenEndpoint},
};
use crate::secret::Secret;

/// Everything that is needed for a token of one resource.
#[derive(Debug)]
pub(super) struct Obtaining {
    pub(super) found: Found,
    pub(super) clock: Clock,
    pub(super) key: Option<Arc<ProofKey>>,
    /// The resource's nonce; the issuer has another.
    pub(super) resource_nonce: Nonce,
    /// What to ask for at first.
    pub(super) first_scopes: BTreeSet<String>,
    http: Client,
    client: OAuthClient,
    endpoint: TokenEndpoint,
    check: OwnCheck,
    cache: Option<CacheFile>,
    /// What signing in left behind; set by the one fetch there is at a time.
    signed_in: Mutex<SignedIn>,
}

#[derive(Debug, Clone, Default)]
struct SignedIn {
    /// The id under which the client registered itself.
    client_id: Option<String>,
    /// With what was asked for when it was given.
    refresh: Option<(Secret, BTreeSet<String>)>,
}

/// A token, and what it took.
#[derive(Debug)]
pub(super) struct Obtained {
    pub(super) held: Held,
    pub(super) requests: u64,
}

impl Obtaining {
    pub(super) async fn prepare(
        http: Client,
        mcp_url: &str,
        options: Options,
    ) -> Result<Self, TokenError> {
        let found = discover(&http, mcp_url, options.issuer.as_deref()).await?;
        let cache = options.cache.as_deref().map(CacheFile::at);
        let key = match options.proof == Proof::Dpop || found.demands_dpop {
            true => Some(Arc::new(proof_key(&found, cache.as_ref(), &options.clock).await?)),
            false => None,
        };
        if let Some(cache) = &cache {
            // What is wrong with the file is found out before anything depends on it.
            cache.lock(MACHINE_WAIT).await?.read()?;
        }
        let endpoint = token_endpoint(&http, &found, &options.client, key.clone())?;
        let mut audiences = options.audiences;
        audiences.push(found.resource.clone());
        let check = OwnCheck {
            http: http.clone(),
            issuer: found.issuer.identifier.clone(),
            audiences,
            jwks_uri: found.issuer.jwks_uri.clone(),
        };
        // Whoever configures scopes may want less than the resource asks of everybody, for a zone.
        let configured: BTreeSet<String> = options.scopes.into_iter().collect();
        let first_scopes =
            if configured.is_empty() { found.challenged.clone() } else { configured };
        Ok(Self {
            clock: options.clock,
            key,
            resource_nonce: Nonce::default(),
            first_scopes,
            http,
            client: options.client,
            endpoint,
            check,
            cache,
            signed_in: Mutex::default(),
            found,
        })
    }

    /// The `client_id` as far as it is known.
    pub(super) fn client_id(&self) -> Option<String> {
        let registered = || self.signed_in().client_id;
        self.client.id().map(str::to_owned).or_else(registered)
    }

    /// A new token with these scopes, but not `refused`.
    pub(super) async fn obtain(
        &self,
        wanted: &BTreeSet<String>,
        refused: Option<&Secret>,
        nobody_waits: impl Future<Output = ()>,
    ) -> Result<Obtained, TokenError> {
        let Some(cache) = &self.cache else {
            let (held, requests) = self.fetch(wanted, nobody_waits).await?;
            return Ok(Obtained { held, requests });
        };
        let patience = match self.client {
            OAuthClient::Program { .. } => MACHINE_WAIT,
            OAuthClient::Person(_) => PERSON_WAIT,
        };
        let locked = cache.lock(patience).await?;
        let (contents, name) = (locked.read()?, self.entry_name(wanted));
        if let Some(entry) = contents.tokens.get(&name) {
            self.take_along(entry, wanted);
            if let Some(held) = self.shared(entry, refused).await {
                return Ok(Obtained { held, requests: 0 });
            }
        }
        let fetched = self.fetch(wanted, nobody_waits).await;
        let held = fetched.as_ref().ok().map(|(held, _)| held);
        if let Err(error) = self.share(&locked, contents, name, held) {
            tracing::warn!(%error, "the token is not shared with other processes");
        }
        fetched.map(|(held, requests)| Obtained { held, requests })
    }

    /// A token of another process's, as good as one of our own.
    async fn shared(&self, entry: &Entry, refused: Option<&Secret>) -> Option<Held> {
        let token = entry.token();
        if self.clock.now() >= entry.renew_at || refused == Some(&token) {
            return None;
        }
        let thumbprint = self.key.as_ref().map(|key| key.thumbprint());
        match self.check.check(&token, thumbprint).await {
            Ok((checked, _)) => {
                let (renew_at, expires_at) = (entry.renew_at, entry.expires_at);
                Some(Held { token, granted: entry.granted.clone(), renew_at, expires_at, checked })
            }
            Err(error) => {
                tracing::warn!(%error, "a token in the cache is not used");
                None
            }
        }
    }

    /// Keeps what another process's sign-in left behind.
    fn take_along(&self, entry: &Entry, wanted: &BTreeSet<String>) {
        let mut signed_in = self.signed_in.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(refresh) = entry.refresh() {
            signed_in.refresh = Some((refresh, wanted.clone()));
            signed_in.client_id.clone_from(&entry.client_id);
        }
    }

    /// Without a new token, what is left is the latest refresh token: the one before may be spent.
    fn share(
        &self,
        locked: &LockedCache,
        mut contents: Contents,
        name: String,
        held: Option<&Held>,
    ) -> Result<(), TokenError> {
        let signed_in = self.signed_in();
        let refresh = signed_in.refresh.map(|(token, _)| token.expose().to_owned());
        match (held, contents.tokens.get_mut(&name)) {
            (Some(held), _) => {
                let entry = Entry {
                    access_token: held.token.expose().to_owned(),
                    granted: held.granted.clone(),
                    renew_at: held.renew_at,
                    expires_at: held.expires_at,
                    refresh_token: refresh,
                    client_id: signed_in.client_id,
                };
                contents.tokens.insert(name, entry);
            }
            (None, Some(entry)) if entry.refresh_token != refresh => entry.refresh_token = refresh,
            (None, _) => return Ok(()),
        }
        locked.write(contents, self.clock.now())
    }

    fn entry_name(&self, wanted: &BTreeSet<String>) -> String {
        let key = self.key.as_ref().map(|key| key.thumbprint());
        let (program, id) = match &self.client {
            OAuthClient::Program { id, .. } => ("program", id.as_str()),
            OAuthClient::Person(login) => {
                ("person", login.client_id.as_deref().unwrap_or_default())
            }
        };
        let (issuer, resource) = (&self.found.issuer.identifier, &self.found.resource);
        entry_name(&[issuer, resource, program, id, key.unwrap_or_default()], wanted)
    }

    /// Asks the issuer; yields how often, too.
    async fn fetch(
        &self,
        wanted: &BTreeSet<String>,
        nobody_waits: impl Future<Output = ()>,
    ) -> Result<(Held, u64), TokenError> {
        let asked = self.clock.now();
        let login = match &self.client {
            OAuthClient::Program { id, .. } => {
                let granted = self.endpoint.ask(id, &Grant::OwnName, wanted).await?;
                return Ok((self.taken(granted, wanted, asked).await?, 1));
            }
            OAuthClient::Person(login) => login,
        };
        if let Some(granted) = self.refreshed(wanted).await? {
            return Ok((self.taken(granted, wanted, asked).await?, 1));
        }
        let (issuer, resource) = (&self.found.issuer, self.found.resource.as_str());
        let sign_in = SignIn { http: &self.http, issuer, resource, login };
        let (client_id, code) = tokio::select! {
            biased;
            () = nobody_waits => return Err(TokenError::Login("it was broken off".to_owned())),
            code = sign_in.code(self.client_id(), wanted) => code?,
        };
        if login.client_id.is_none() {
            let mut signed_in = self.signed_in.lock().unwrap_or_else(PoisonError::into_inner);
            signed_in.client_id = Some(client_id.clone());
        }
        let asked = self.clock.now();
        let granted = self.endpoint.ask(&client_id, &code, wanted).await?;
        Ok((self.taken(granted, wanted, asked).await?, 1))
    }

    /// What the refresh token brings, while there is one that is good for these scopes.
    async fn refreshed(&self, wanted: &BTreeSet<String>) -> Result<Option<Granted>, TokenError> {
        let (Some((refresh, scopes)), Some(id)) = (self.signed_in().refresh, self.client_id())
        else {
            return Ok(None);
        };
        if !wanted.is_subset(&scopes) {
            return Ok(None);
        }
        match self.endpoint.ask(&id, &Grant::Refresh(refresh), wanted).await {
            Ok(granted) => Ok(Some(granted)),
            Err(TokenError::Refused { said }) if is_over(&said) => {
                tracing::info!(said, "the refresh token is not taken any more");
                *self.signed_in.lock().unwrap_or_else(PoisonError::into_inner) =
                    SignedIn::default();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Checks a token before anything else sees it.
    async fn taken(
        &self,
        granted: Granted,
        wanted: &BTreeSet<String>,
        asked: u64,
    ) -> Result<Held, TokenError> {
        let scopes = granted.scopes.unwrap_or_else(|| wanted.clone());
        if let Some(refresh) = granted.refresh {
            // Rotated or not, the one before is not needed any more.
            let mut signed_in = self.signed_in.lock().unwrap_or_else(PoisonError::into_inner);
            signed_in.refresh = Some((refresh, wanted.clone()));
        }
        let thumbprint = self.key.as_ref().map(|key| key.thumbprint());
        let (checked, expires) = self.check.check(&granted.token, thumbprint).await?;
        let stated = granted.lifetime.map(|lifetime| lifetime.as_secs());
        let own = || expires.map(|expires| expires.saturating_sub(asked));
        // How long comes first: it needs no clock but ours.
        let lifetime = stated.or_else(own).unwrap_or(DEFAULT_LIFETIME_SECONDS);
        Ok(Held {
            token: granted.token,
            granted: scopes,
            renew_at: asked.saturating_add(lifetime.saturating_sub(margin(lifetime))),
            expires_at: asked.saturating_add(lifetime),
            checked,
        })
    }

    fn signed_in(&self) -> SignedIn {
        self.signed_in.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn token_endpoint(
    http: &Client,
    found: &Found,
    client: &OAuthClient,
    key: Option<Arc<ProofKey>>,
) -> Result<TokenEndpoint, TokenError> {
    let proof = match client {
        OAuthClient::Program { proof, .. } => Some(proof.clone()),
        OAuthClient::Person(_) => None,
    };
    Ok(TokenEndpoint {
        http: http.clone(),
        url: found.issuer.token_endpoint.clone(),
        issuer: found.issuer.identifier.clone(),
        resource: found.resource.clone(),
        in_header: TokenEndpoint::secret_in_header(&found.issuer, proof.as_ref())?,
        proof,
        key,
        nonce: Nonce::default(),
    })
}

/// Whether only signing in again helps.
fn is_over(said: &str) -> bool {
    ["invalid_grant", "invalid_client", "unauthorized_client"].iter().any(|e| said.starts_with(e))
}

/// The cache's key, so that the tokens in it can be proven; without a cache a key for this process.
async fn proof_key(
    found: &Found,
    cache: Option<&CacheFile>,
    clock: &Clock,
) -> Result<ProofKey, TokenError> {
    let taken = &found.issuer.dpop_signing_alg_values_supported;
    if !taken.iter().any(|algorithm| algorithm == "ES256") {
        let what = "binds no tokens to keys with ES256; ask it to, or do without `proof`";
        let (issuer, what) = (found.issuer.identifier.clone(), what.to_owned());
        return Err(TokenError::Unsuitable { issuer, what });
    }
    let Some(cache) = cache else { return ProofKey::generate() };
    let locked = cache.lock(MACHINE_WAIT).await?;
    let mut contents = locked.read()?;
    let written = contents.dpop_key.take().map(Secret::new);
    if let Some(key) = written.as_ref().and_then(ProofKey::read) {
        return Ok(key);
    }
    let key = ProofKey::generate()?;
    contents.dpop_key = Some(key.written().expose().to_owned());
    locked.write(contents, clock.now())?;
    Ok(key)
}

/// Seconds before the end in which a token is not used: it may expire on the way. Of a short life
/// half is left.
fn margin(lifetime: u64) -> u64 {
    if lifetime < 2 * MARGIN_SECONDS { lifetime / 2 } else { MARGIN_SECONDS }
}

const MARGIN_SECONDS: u64 = 60;
const DEFAULT_LIFETIME_SECONDS: u64 = 3600;
/// For other processes that fetch: longer than a discovery and a token take.
const MACHINE_WAIT: Duration = Duration::from_secs(45);
/// For other processes where somebody signs in.
const PERSON_WAIT: Duration = Duration::from_secs(6 * 60);
