//! Issuer, gate, spy and upstream, all of them the real thing.

mod builder;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use client::token::{OAuthClient, Options, TokenError, TokenSource};
use dev_authorization_server::{keys::KeyRing, signing::SigningKey};
use dev_certificates::LocalAuthority;
use http::HeaderMap;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sidecar::{Config, DecisionRecord, Gate};
use tempfile::TempDir;
use tokio::sync::{broadcast, mpsc, watch};

use crate::{
    caller::Caller,
    place::{CLIENT_ID, CLIENT_SECRET, PASSWORD, Place, bind},
    spy::Spy,
};
pub use builder::StackBuilder;

/// Everything that [`Stack::start`] started; stopped when dropped.
pub struct Stack {
    home: TempDir,
    gate: SocketAddr,
    issuer: SocketAddr,
    upstream: SocketAddr,
    http: reqwest::Client,
    signing_key: SigningKey,
    issuer_keys: KeyRing,
    authority: LocalAuthority,
    stopped: watch::Receiver<()>,
    spy: Spy,
    decisions: mpsc::UnboundedReceiver<Arc<DecisionRecord>>,
    sent: AtomicUsize,
    finished: bool,
    /// Dropped, it tells every part to stop.
    _running: watch::Sender<()>,
}

/// A client's id and secret.
#[derive(Debug)]
pub struct Credentials {
    /// `client_id`.
    pub client_id: String,
    /// `client_secret`.
    pub client_secret: String,
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl Stack {
    /// The usual stack: the customer server with demo rows, the repository's policies.
    pub async fn start() -> Self {
        StackBuilder::default().start().await
    }

    /// The key with which the issuers of all stacks sign.
    pub fn shared_signing_key() -> SigningKey {
        signing_key()
    }

    /// A stack that differs.
    pub fn with() -> StackBuilder {
        StackBuilder::default()
    }

    async fn bring_up(builder: StackBuilder) -> Self {
        start_log();
        let home = tempfile::tempdir().unwrap();
        let authority = LocalAuthority::generate().unwrap();
        let (running, stopped) = watch::channel(());
        let place = Place::new(home.path(), &authority, stopped.clone());

        let gate_listener = bind();
        let gate = gate_listener.local_addr().unwrap();
        let resource = format!("https://{gate}/mcp");
        place.write_identities();
        place.write_policies(&builder);

        let signing_key = signing_key();
        let issuer_keys = KeyRing::new(signing_key.clone());
        let issuer = place.start_issuer(&resource, issuer_keys.clone()).await;
        let upstream_listener = bind();
        let upstream = upstream_listener.local_addr().unwrap();
        let spy = Spy::start(&authority, upstream).await;
        let audience = format!("https://{}/mcp", spy.address());
        match builder.upstream {
            None if builder.settings.upstream_command.is_some() => {}
            None => place.start_customer_server(upstream_listener, &resource, &audience).await,
            Some(router) => place.start_other(upstream_listener, router).await,
        }
        let issuer_url = format!("https://{issuer}");
        let config = place.write_config(gate, &issuer_url, &audience, &builder.settings);
        let gate_ready = Gate::prepare(&Config::load(&config).unwrap()).await.unwrap();
        let decisions = kept(gate_ready.decisions());
        tokio::spawn(sidecar::run(gate_ready, gate_listener, place.stop()));

        let http = client::trust::http_client(Some(&home.path().join("ca.pem"))).unwrap();
        Self {
            home,
            gate,
            issuer,
            upstream,
            http,
            signing_key,
            issuer_keys,
            authority,
            stopped,
            spy,
            decisions,
            sent: AtomicUsize::new(0),
            finished: false,
            _running: running,
        }
    }

    /// The gate's MCP endpoint, which is also its resource identifier.
    pub fn resource(&self) -> String {
        format!("https://{}/mcp", self.gate)
    }

    /// The gate's address.
    pub fn gate(&self) -> SocketAddr {
        self.gate
    }

    /// The issuer identifier.
    pub fn issuer(&self) -> String {
        format!("https://{}", self.issuer)
    }

    /// The upstream itself, past the gate and the spy.
    pub fn upstream(&self) -> String {
        format!("https://{}/mcp", self.upstream)
    }

    /// The stack's files: certificates, policies, configuration, store.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// An HTTP client that trusts the stack.
    pub fn http(&self) -> reqwest::Client {
        self.http.clone()
    }

    /// Serves a router over TLS, as a neighbour of the stack's that its parts trust.
    pub async fn serve(&self, listener: std::net::TcpListener, router: Router) {
        let (home, stopped) = (self.home.path(), self.stopped.clone());
        Place::new(home, &self.authority, stopped).start_other(listener, router).await;
    }

    /// A certificate of the stack's authority, and its key, PEM.
    pub fn issue(&self, name: &str) -> (String, String) {
        let identity = self.authority.issue(name).unwrap();
        (identity.certificate_pem, identity.key_pem)
    }

    /// The spy between gate and upstream.
    pub fn spy(&self) -> &Spy {
        &self.spy
    }

    /// The issuer's keys, to be rotated.
    pub fn issuer_keys(&self) -> &KeyRing {
        &self.issuer_keys
    }

    /// The issuer's signing key, until it is rotated.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    /// The id and secret of the one client, which may ask for every scope.
    pub fn credentials(&self) -> Credentials {
        Credentials { client_id: CLIENT_ID.to_owned(), client_secret: CLIENT_SECRET.to_owned() }
    }

    /// How that client gets tokens with these scopes.
    pub fn token_options(&self, scopes: &[&str]) -> Options {
        let client = OAuthClient::with_secret(CLIENT_ID, CLIENT_SECRET);
        Options::new(client).with_scopes(scopes)
    }

    /// Tokens for the gate. The first look at it leaves a decision that nobody counted.
    pub async fn tokens(&self, options: Options) -> Result<TokenSource, TokenError> {
        TokenSource::discover(self.http(), &self.resource(), options).await
    }

    /// The password of the issuer's users, `demo_user` and `admin_user`.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Claims of a good access token for these scopes.
    pub fn claims(&self, scopes: &str) -> Value {
        let now = jsonwebtoken::get_current_timestamp();
        json!({
            "iss": self.issuer(),
            "sub": "alice",
            "aud": self.resource(),
            "client_id": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "jti": format!("test-{now}"),
            "scope": scopes,
        })
    }

    /// A caller with a good token for these scopes.
    pub fn caller(&self, scopes: &str) -> Caller<'_> {
        let token = self.signing_key.sign(&self.claims(scopes)).unwrap();
        Caller { stack: self, http: self.http(), token: Some(token), headers: HeaderMap::new() }
    }

    /// A caller with this token.
    pub fn bearing(&self, token: &str) -> Caller<'_> {
        Caller {
            stack: self,
            http: self.http(),
            token: Some(token.to_owned()),
            headers: HeaderMap::new(),
        }
    }

    /// A caller without a token.
    pub fn stranger(&self) -> Caller<'_> {
        Caller { stack: self, http: self.http(), token: None, headers: HeaderMap::new() }
    }

    /// Counts a request that is sent to the MCP endpoint by other means than a [`Caller`].
    pub fn count_request(&self) {
        self.sent.fetch_add(1, Ordering::SeqCst);
    }

    /// The decision on the latest request.
    pub async fn latest_decision(&mut self) -> Arc<DecisionRecord> {
        let mut latest = None;
        for _ in 0..self.sent.swap(0, Ordering::SeqCst) {
            latest = Some(self.next_decision().await);
        }
        latest.expect("a decision on record")
    }

    /// A good assertion of the gate's for its upstream, with `change` made to its claims.
    pub fn assertion(&self, typ: &str, change: impl FnOnce(&mut Value)) -> String {
        let pem = std::fs::read(self.home().join("assertion-key.pem")).unwrap();
        let key = EncodingKey::from_ed_pem(&pem).unwrap();
        self.assertion_signed_by(&key, typ, change)
    }

    /// The same under another key of the same name.
    pub fn assertion_signed_by(
        &self,
        key: &EncodingKey,
        typ: &str,
        change: impl FnOnce(&mut Value),
    ) -> String {
        let jwks = std::fs::read(self.home().join("assertion-jwks.json")).unwrap();
        let jwks: Value = serde_json::from_slice(&jwks).unwrap();
        let now = jsonwebtoken::get_current_timestamp();
        let mut claims = json!({
            "iss": self.resource(),
            "aud": format!("https://{}/mcp", self.spy.address()),
            "sub": "alice",
            "subject_issuer": self.issuer(),
            "client_id": CLIENT_ID,
            "iat": now,
            "exp": now + 60,
        });
        change(&mut claims);
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        header.kid = jwks.pointer("/keys/0/kid").and_then(Value::as_str).map(str::to_owned);
        jsonwebtoken::encode(&header, &claims, key).unwrap()
    }

    async fn next_decision(&mut self) -> Arc<DecisionRecord> {
        let next = tokio::time::timeout(Duration::from_secs(15), self.decisions.recv()).await;
        next.expect("a decision in time").expect("the gate is there")
    }

    /// The decisions on what clients sent that nobody counted.
    pub async fn take_decisions(&mut self) -> Vec<Arc<DecisionRecord>> {
        // Of connections that broke off half-way the record may come a little later.
        tokio::time::sleep(10 * SETTLED).await;
        std::iter::from_fn(|| self.decisions.try_recv().ok()).collect()
    }

    /// Forgets what a session of its own sent, which nobody counted.
    pub async fn forget_decisions(&mut self) {
        self.take_decisions().await;
    }

    /// Asserts one decision record for each request that was sent.
    pub async fn finish(mut self) {
        self.finished = true;
        for _ in 0..self.sent.swap(0, Ordering::SeqCst) {
            self.next_decision().await;
        }
        tokio::time::sleep(SETTLED).await;
        let surplus = self.decisions.try_recv();
        assert!(surplus.is_err(), "one record more than requests: {surplus:?}");
    }
}

/// Takes decisions out of the gate's short backlog as they are made.
fn kept(
    mut made: broadcast::Receiver<Arc<DecisionRecord>>,
) -> mpsc::UnboundedReceiver<Arc<DecisionRecord>> {
    let (keep, kept) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(record) = made.recv().await {
            if keep.send(record).is_err() {
                return;
            }
        }
    });
    kept
}

/// Longer than a record takes from the gate to the test.
const SETTLED: Duration = Duration::from_millis(30);

impl Drop for Stack {
    fn drop(&mut self) {
        assert!(
            self.finished || std::thread::panicking(),
            "a test must end with `stack.finish().await`, which counts the decision records"
        );
    }
}

/// One RSA key for all stacks of a test run: making one takes a while, and none of them leaves.
fn signing_key() -> SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate().unwrap()).clone()
}

fn start_log() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        let filter =
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into());
        tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().init();
    });
}
