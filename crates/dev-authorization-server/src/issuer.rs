//! What the endpoints share: who is known, what was granted, which keys sign.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    Config, Lifetimes, NotPrepared,
    client_documents::ClientDocuments,
    clients::Client,
    expiring::Expiring,
    grants::Grants,
    keys::{KeyRing, MAX_RETIRED},
    parameters::Parameters,
    refusal::Refusal,
    scopes::Scopes,
    secret::{Digest, Seal},
    token::BoundKey,
    users::{User, Users},
};

/// The state of one authorization server; gone with the process.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) identifier: String,
    pub(crate) resources: Vec<String>,
    pub(crate) default_scopes: Scopes,
    pub(crate) keys: KeyRing,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) users: Arc<Users>,
    /// Passwords being hashed at a time: each takes memory and a core.
    pub(crate) hashing: Arc<Semaphore>,
    pub(crate) grants: Grants,
    /// Browsers whose user signed in, by the digest of their cookie.
    pub(crate) sessions: Expiring<String>,
    /// `jti` of client assertions that were used.
    pub(crate) assertions: Expiring<()>,
    /// `jti` of DPoP proofs that were used.
    pub(crate) proofs: Expiring<()>,
    /// Clients that registered themselves, by the digest of their id.
    pub(crate) registered: Expiring<Arc<Client>>,
    /// Binds the tokens in forms to a browser and to what was shown.
    pub(crate) seal: Seal,
    configured: HashMap<String, Arc<Client>>,
    documents: ClientDocuments,
    scopes: BTreeSet<String>,
}

impl Issuer {
    pub(crate) fn prepare(config: Config) -> Result<Self, NotPrepared> {
        let resources = config.resources;
        if resources.is_empty() {
            return Err(NotPrepared::NoResource);
        }
        if let Some(user) =
            config.users.iter().find(|u| config.clients.iter().any(|c| c.id == u.name))
        {
            return Err(NotPrepared::Namesakes(user.name.clone()));
        }
        let lifetime = config.lifetimes.access_token;
        if let Some(period) = config.rotate_every
            && period.saturating_mul(MAX_RETIRED) <= lifetime
        {
            return Err(NotPrepared::RotatesTooOften { period, lifetime });
        }
        let of_users = config.users.iter().flat_map(|user| &user.scopes).map(String::as_str);
        let mut scopes: BTreeSet<String> =
            config.clients.scopes().chain(of_users).map(str::to_owned).collect();
        scopes.extend(EVERY_USERS_SCOPES.map(str::to_owned));
        Ok(Self {
            identifier: config.issuer,
            resources,
            default_scopes: config.default_scopes.iter().map(String::as_str).collect(),
            keys: config.keys,
            grants: Grants::new(config.lifetimes.refresh_token, config.lifetimes.access_token),
            lifetimes: config.lifetimes,
            users: Arc::new(config.users),
            hashing: Arc::new(Semaphore::new(MAX_HASHING)),
            sessions: Expiring::new(MAX_SESSIONS),
            assertions: Expiring::new(MAX_ASSERTIONS),
            proofs: Expiring::new(MAX_PROOFS),
            registered: Expiring::new(MAX_REGISTERED),
            seal: Seal::generate()?,
            configured: config.clients.into_table(),
            documents: ClientDocuments::new(config.client_metadata)?,
            scopes,
        })
    }

    /// Every scope that anybody can be granted, sorted.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(String::as_str)
    }

    pub(crate) fn knows_scope(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }

    /// The client of this id: configured, registered, or described by the document at that URL.
    pub(crate) async fn client(&self, id: &str) -> Option<Arc<Client>> {
        if let Some(client) = self.configured.get(id) {
            return Some(Arc::clone(client));
        }
        if let Some(client) = self.registered.get(&Digest::of(id)) {
            return Some(client);
        }
        self.documents.client(id).await
    }

    /// RFC 8707 section 2: the named resources, each of which must be one of `served`, or the
    /// default.
    pub(crate) fn resources(
        parameters: &Parameters,
        served: &[String],
        default: &[String],
    ) -> Result<Vec<String>, Refusal> {
        let mut named: Vec<String> = Vec::new();
        for resource in parameters.all("resource") {
            if !served.iter().any(|one| one == resource) {
                return Err(Refusal::InvalidTarget(resource.to_owned()));
            }
            if !named.iter().any(|one| one == resource) {
                named.push(resource.to_owned());
            }
        }
        Ok(if named.is_empty() { default.to_vec() } else { named })
    }

    /// The resource for requests that name none.
    pub(crate) fn default_resource(&self) -> &[String] {
        self.resources.get(..1).unwrap_or_default()
    }

    /// An access token (RFC 9068 section 2.2) for a user's client, or for a client itself.
    pub(crate) fn access_token(&self, token: &AccessToken<'_>) -> Result<Value, Refusal> {
        let lifetime = self.lifetimes.access_token.as_secs();
        let now = seconds_since_epoch();
        let mut claims = json!({
            "iss": self.identifier,
            "sub": token.user.map_or(token.client_id, |user| user.name.as_str()),
            "aud": one_or_several(token.resources),
            "client_id": token.client_id,
            "iat": now,
            "exp": now.saturating_add(lifetime),
            "jti": token.jti,
            "scope": token.scopes.to_string(),
        });
        if let (Some(user), Some(claims)) = (token.user, claims.as_object_mut())
            && !user.groups.is_empty()
        {
            claims.insert("groups".to_owned(), json!(user.groups));
        }
        if let (Some(BoundKey(thumbprint)), Some(claims)) = (token.key, claims.as_object_mut()) {
            claims.insert("cnf".to_owned(), json!({ "jkt": thumbprint }));
        }
        let signed = self.keys.current().sign(&claims).map_err(|error| {
            tracing::error!(%error, "cannot sign a token");
            Refusal::Internal
        })?;
        tracing::info!(client_id = token.client_id, scope = %token.scopes, "token issued");
        Ok(json!({
            "access_token": signed,
            "token_type": if token.key.is_some() { "DPoP" } else { "Bearer" },
            "expires_in": lifetime,
            "scope": token.scopes.to_string(),
        }))
    }

    /// The claims of an access token of ours that is neither expired nor revoked.
    pub(crate) fn live_claims(&self, token: &str) -> Option<Value> {
        let claims = self.keys.verify(&self.identifier, token)?;
        let jti = claims.get("jti").and_then(Value::as_str)?;
        (!self.grants.is_revoked(jti)).then_some(claims)
    }
}

/// What goes into an access token.
#[derive(Debug)]
pub(crate) struct AccessToken<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) user: Option<&'a User>,
    pub(crate) scopes: &'a Scopes,
    pub(crate) resources: &'a [String],
    pub(crate) jti: String,
    /// The key that it is bound to.
    pub(crate) key: Option<&'a BoundKey>,
}

/// A `jti` for a new token.
pub(crate) fn new_jti() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn one_or_several(resources: &[String]) -> Value {
    match resources {
        [one] => json!(one),
        several => json!(several),
    }
}

fn seconds_since_epoch() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// `profile` opens the userinfo endpoint; `offline_access` is what many clients ask for to get a
/// refresh token, which they get anyway.
pub(crate) const EVERY_USERS_SCOPES: [&str; 2] = ["offline_access", "profile"];

/// A browser needs a password to get one.
const MAX_SESSIONS: usize = 10_000;
/// A client needs its key to add one.
const MAX_ASSERTIONS: usize = 100_000;
/// Anybody can add one; each lives for two minutes.
const MAX_PROOFS: usize = 100_000;
/// Anybody can add one: they live for a day, unless somebody consents to them.
const MAX_REGISTERED: usize = 1000;
const MAX_HASHING: usize = 2;

/// How long a registered client lives before anybody consented to it, and after.
pub(crate) const REGISTRATION: Duration = Duration::from_secs(24 * 3600);
pub(crate) const CONSENTED_REGISTRATION: Duration = Duration::from_secs(30 * 24 * 3600);
