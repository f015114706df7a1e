//! Tokens that say nothing by themselves: their issuer is asked (RFC 7662), and its answer is held
//! to the same rules as a token's claims.

use std::{path::PathBuf, sync::Arc, time::Duration};

use moka::sync::Cache;
use reqwest::header;
use tokio::sync::Semaphore;

use super::{
    claims::{Claims, says_it_is_another},
    issuer_http::{IssuerHttp, UnusableIssuer, answer_to},
    known::TokenDigest,
};
use crate::{
    config::{IntrospectionConfig, IssuerConfig, TokenRules},
    message::json::{Json, Object},
    rejection::Rejection,
};

/// Asks one issuer about its tokens.
pub(super) struct Introspection {
    issuer: String,
    config: IntrospectionConfig,
    secret: String,
    http: IssuerHttp,
    /// What an issuer has confirmed counts for a short while.
    confirmed: Cache<TokenDigest, Arc<Claims>>,
    /// And what it has denied for a shorter one, so that nobody is used against it.
    denied: Cache<TokenDigest, ()>,
    open: Semaphore,
}

impl Introspection {
    pub(super) fn new(
        issuer: &IssuerConfig,
        config: &IntrospectionConfig,
    ) -> Result<Self, UnusableIssuer> {
        let unreadable = |path: PathBuf, cause: String| UnusableIssuer::Secret {
            issuer: issuer.identifier.clone(),
            path,
            cause,
        };
        let file = &config.client_secret_file;
        let secret = std::fs::read_to_string(file)
            .map_err(|cause| unreadable(file.clone(), cause.to_string()))?;
        let secret = secret.trim_end().to_owned();
        if secret.is_empty() {
            return Err(unreadable(file.clone(), "it is empty".to_owned()));
        }
        Ok(Self {
            issuer: issuer.identifier.clone(),
            config: config.clone(),
            secret,
            http: IssuerHttp::new(issuer)?,
            confirmed: Cache::builder()
                .max_capacity(MAX_TOKENS)
                .time_to_live(config.cache_for)
                .build(),
            denied: Cache::builder().max_capacity(MAX_TOKENS).time_to_live(DENIED_FOR).build(),
            open: Semaphore::new(MAX_QUESTIONS),
        })
    }

    /// The claims that the issuer confirms for `token`.
    pub(super) async fn claims_of(
        &self,
        token: &str,
        digest: &TokenDigest,
        rules: &TokenRules,
        audience: &str,
    ) -> Result<Arc<Claims>, Rejection> {
        if let Some(claims) = self.confirmed.get(digest).filter(|claims| claims.is_current()) {
            return Ok(claims);
        }
        if self.denied.contains_key(digest) {
            return Err(Rejection::Inactive);
        }
        let answer = self.ask(token).await?;
        let completed = self.completed(answer).inspect_err(|rejection| {
            if *rejection == Rejection::Inactive {
                self.denied.insert(*digest, ());
            }
        })?;
        let claims = Arc::new(Claims::read(&completed, rules, audience)?.of_token(token));
        if !self.config.cache_for.is_zero() {
            self.confirmed.insert(*digest, Arc::clone(&claims));
        }
        Ok(claims)
    }

    /// RFC 7662 section 2.1.
    async fn ask(&self, token: &str) -> Result<Object, Rejection> {
        let place = tokio::time::timeout(WAIT_AT_MOST, self.open.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(Rejection::Overloaded);
        };
        let unavailable = |fault: String| {
            tracing::warn!(issuer = self.issuer, fault, "cannot ask the issuer about a token");
            Rejection::IntrospectionUnavailable
        };
        let request = self
            .http
            .post(&self.config.url)
            // RFC 6749 section 2.3.1: both are form-encoded before they are joined.
            .basic_auth(form_encoded(&self.config.client_id), Some(form_encoded(&self.secret)))
            .header(header::ACCEPT, "application/json")
            .form(&[("token", token), ("token_type_hint", "access_token")]);
        let answer = answer_to(request, MAX_ANSWER_BYTES).await;
        let body = answer.map_err(|fault| unavailable(fault.to_string()))?;
        match Json::read_answer(&body) {
            Ok(Json::Object(answer)) => Ok(answer),
            _ => Err(unavailable("its answer is not a JSON object".to_owned())),
        }
    }

    /// The answer as claims: only `active` is required of it by RFC 7662 section 2.2, but what the
    /// gate decides by must be there.
    fn completed(&self, mut answer: Object) -> Result<Object, Rejection> {
        match answer.get("active") {
            Some(Json::Bool(true)) => {}
            Some(Json::Bool(false)) => return Err(Rejection::Inactive),
            _ => return Err(Rejection::MalformedClaims),
        }
        match answer.get("iss") {
            None => answer.set("iss", Json::from(self.issuer.as_str())),
            Some(iss) if iss.as_str() == Some(&self.issuer) => {}
            Some(_) => return Err(Rejection::UnknownIssuer),
        }
        // RFC 9068 section 2.2: where no resource owner is involved, the subject is the client.
        if let (None, Some(Json::String(client))) = (answer.get("sub"), answer.get("client_id")) {
            let client = Json::from(client.as_str());
            answer.set("sub", client);
        }
        if answer.get("iat").is_none() {
            // Not now: whatever is revoked or refused by age would stay good for ever.
            answer.set("iat", Json::whole(0));
        }
        let kind = answer.get("token_type").map(|kind| kind.as_str().unwrap_or_default());
        let is_access = |kind: &str| {
            ["bearer", "dpop", "access_token"].iter().any(|known| kind.eq_ignore_ascii_case(known))
        };
        // A refresh token is active too, and its `token_type` may say nothing.
        if kind.is_some_and(|kind| !is_access(kind)) || says_it_is_another(&answer) {
            return Err(Rejection::WrongTokenType);
        }
        Ok(answer)
    }
}

fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Below a kilobyte each.
const MAX_TOKENS: u64 = 10_000;
/// Callers that may wait for the issuer at the same time.
const MAX_QUESTIONS: usize = 64;
const WAIT_AT_MOST: Duration = Duration::from_secs(2);
const DENIED_FOR: Duration = Duration::from_secs(2);
const MAX_ANSWER_BYTES: usize = 64 * 1024;
