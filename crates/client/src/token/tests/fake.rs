//! A resource and its issuer in one, on loopback, that say what a test wants and remember what they
//! were asked.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};

use crate::token::{Secret, dpop::ProofKey};

/// What the token endpoint was asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) form: BTreeMap<String, String>,
    pub(super) headers: HeaderMap,
}

type Answer = (u16, Value);
type AnswerTo = dyn Fn(usize, &Asked) -> Answer + Send + Sync;

pub(super) struct Fake {
    pub(super) address: SocketAddr,
    state: Arc<Told>,
}

struct Told {
    documents: Mutex<BTreeMap<String, (u16, String)>>,
    challenge: Mutex<String>,
    answer: Box<AnswerTo>,
    asked: Mutex<Vec<Asked>>,
    /// Held while a test wants the token endpoint to be slow.
    open: tokio::sync::Semaphore,
}

impl Fake {
    /// Gives opaque tokens, each another.
    pub(super) async fn start() -> Self {
        Self::answering(|n, asked| (200, bearer(n, asked))).await
    }

    pub(super) async fn answering(
        answer: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Told {
            documents: Mutex::default(),
            challenge: Mutex::new("Bearer".to_owned()),
            answer: Box::new(answer),
            asked: Mutex::default(),
            open: tokio::sync::Semaphore::new(1000),
        });
        let router = Router::new().fallback(answered).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let fake = Self { address, state };
        fake.tell("/.well-known/oauth-protected-resource/mcp", fake.resource_metadata());
        fake.tell("/.well-known/oauth-authorization-server", fake.issuer_metadata());
        fake
    }

    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn mcp(&self) -> String {
        format!("{}/mcp", self.origin())
    }

    pub(super) fn resource_metadata(&self) -> Value {
        json!({ "resource": self.mcp(), "authorization_servers": [self.origin()] })
    }

    pub(super) fn issuer_metadata(&self) -> Value {
        let at = |path: &str| format!("{}/{path}", self.origin());
        json!({
            "issuer": self.origin(),
            "token_endpoint": at("token"),
            "authorization_endpoint": at("authorize"),
            "registration_endpoint": at("register"),
            "jwks_uri": at("jwks"),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"],
            "authorization_response_iss_parameter_supported": true,
            "dpop_signing_alg_values_supported": ["ES256"],
        })
    }

    pub(super) fn tell(&self, path: &str, document: Value) {
        self.tell_text(path, 200, &document.to_string());
    }

    pub(super) fn tell_text(&self, path: &str, status: u16, text: &str) {
        self.state.documents.lock().unwrap().insert(path.to_owned(), (status, text.to_owned()));
    }

    pub(super) fn hide(&self, path: &str) {
        self.state.documents.lock().unwrap().remove(path);
    }

    pub(super) fn challenge(&self, challenge: &str) {
        *self.state.challenge.lock().unwrap() = challenge.to_owned();
    }

    /// What the token endpoint was asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// Keeps the token endpoint from answering until what is returned is dropped.
    pub(super) async fn held_up(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.state.open.acquire_many(1000).await.unwrap()
    }

    /// Publishes `key` as the issuer's.
    pub(super) fn publish(&self, key: &ProofKey) {
        let public = jsonwebtoken::jwk::Jwk::from_encoding_key(
            &encoding(key.written()),
            jsonwebtoken::Algorithm::ES256,
        );
        self.tell("/jwks", json!({ "keys": [{ "kty": "what" }, public.unwrap()] }));
    }
}

/// An opaque token for what was asked.
pub(super) fn bearer(n: usize, asked: &Asked) -> Value {
    let scope = asked.form.get("scope").cloned().unwrap_or_default();
    json!({ "access_token": format!("token-{n}"), "token_type": "Bearer", "expires_in": 3600, "scope": scope })
}

/// A written key, to sign with.
pub(super) fn encoding(written: &Secret) -> jsonwebtoken::EncodingKey {
    let der = data_encoding::BASE64.decode(written.expose().as_bytes()).unwrap();
    jsonwebtoken::EncodingKey::from_ec_der(&der)
}

async fn answered(
    State(told): State<Arc<Told>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if method == Method::POST && uri.path() == "/token" {
        let form = url::form_urlencoded::parse(&body).into_owned().collect();
        let asked = Asked { form, headers };
        let n = {
            let mut all = told.asked.lock().unwrap();
            all.push(asked.clone());
            all.len()
        };
        drop(told.open.acquire().await.unwrap());
        let (status, answer) = (told.answer)(n, &asked);
        let headers =
            [("dpop-nonce", format!("nonce-{n}")), ("content-type", "application/json".to_owned())];
        return (StatusCode::from_u16(status).unwrap(), headers, answer.to_string())
            .into_response();
    }
    if uri.path() == "/mcp" {
        let challenge = told.challenge.lock().unwrap().clone();
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response();
    }
    match told.documents.lock().unwrap().get(uri.path()) {
        Some((status, text)) if (300..400).contains(status) => {
            let to = [("location", text.clone())];
            (StatusCode::from_u16(*status).unwrap(), to).into_response()
        }
        Some((status, text)) => {
            let json = [("content-type", "application/json")];
            (StatusCode::from_u16(*status).unwrap(), json, text.clone()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
