//! The stage: certificates, issuer, customer server, gate and rehearsed model, all on loopback.

use std::{
    future::pending,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use client::{
    model::{
        Model, ModelName,
        provider::{BaseUrl, PlainHttp, ProvidedModel, Provider, Wire},
    },
    rehearsed,
    session::{Era, Session},
    token::{OAuthClient, Options, TokenSource},
    trust::http_client,
};
use dev_authorization_server::{
    ClientDocumentHosts, Lifetimes, RustlsConfig, TestEndpoints,
    clients::Clients,
    keys::KeyRing,
    secret::Secret,
    signing::SigningKey,
    users::{HashingCost, Users},
};
use dev_certificates::directory::{self, Existing, Outcome, file};
use server::{CustomerServer, store::DemoRows};
use sidecar::{Config, DecisionRecord, Gate};
use tokio::sync::broadcast;

/// Which ports to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ports {
    /// 8443 gate, 8444 authorization server, 8445 customer server, 8446 rehearsed model
    Fixed,
    /// Any that are free
    Auto,
}

/// Where the demo's own files are.
pub(crate) struct Home {
    pub(crate) path: PathBuf,
    /// Removes the folder at the end, when it is a temporary one.
    _temporary: Option<tempfile::TempDir>,
}

/// Folders of the repository that the demo uses.
pub(crate) struct Directories {
    pub(crate) policies: PathBuf,
    pub(crate) certs: PathBuf,
}

/// Everything is up.
pub(crate) struct Stage {
    pub(crate) gate: String,
    pub(crate) issuer: String,
    pub(crate) server: String,
    pub(crate) model_url: String,
    pub(crate) certificates: &'static str,
    pub(crate) policies: PathBuf,
    pub(crate) policy_summary: String,
    pub(crate) ca: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) credentials: Credentials,
    pub(crate) signing_key: SigningKey,
    pub(crate) http: reqwest::Client,
    pub(crate) model: Arc<dyn Model>,
    decisions: broadcast::Receiver<Arc<DecisionRecord>>,
}

/// The demo's OAuth client.
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    client_secret: String,
}

impl Credentials {
    /// How this client gets tokens with these scopes.
    pub(crate) fn options(&self, scopes: &[&str]) -> Options {
        let client = OAuthClient::with_secret(&self.client_id, &self.client_secret);
        Options::new(client).with_scopes(scopes)
    }
}

impl Home {
    /// A temporary folder for one play, else `target/demo`, where the files stay for a look.
    pub(crate) fn new(once: bool) -> anyhow::Result<Self> {
        if once {
            let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
            return Ok(Self { path: folder.path().to_owned(), _temporary: Some(folder) });
        }
        let path = workspace().join("target/demo");
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make `{}`", path.display()))?;
        Ok(Self { path, _temporary: None })
    }
}

impl Stage {
    /// Brings everything up, or says what is in the way.
    pub(crate) async fn set(
        directories: &Directories,
        home: &Home,
        ports: Ports,
    ) -> anyhow::Result<Self> {
        let certs = std::path::absolute(&directories.certs)?;
        let report = directory::ensure(&certs, Existing::Keep)?;
        let kept = report.iter().all(|(_, outcome)| *outcome == Outcome::Kept);
        let [gate, issuer, server, model] = listeners(ports)?;
        let url =
            |listener: &TcpListener| anyhow::Ok(format!("https://{}", listener.local_addr()?));
        let (gate_url, issuer_url, server_url) =
            (format!("{}/mcp", url(&gate)?), url(&issuer)?, format!("{}/mcp", url(&server)?));

        let signing_key = SigningKey::generate()?;
        let clients = Clients::demo()?;
        let credentials = first_credentials(&clients).context("the demo has no client")?;
        write_secret(&home.path.join("client-secret"), &credentials.client_secret)?;
        let (users, keys) = (users(&home.path)?, KeyRing::new(signing_key.clone()));
        let config = issuer_config(&issuer_url, &gate_url, clients, users, keys);
        start_issuer(issuer, &certs, config).await?;
        start_server(server, &certs, &home.path, &gate_url, &server_url).await?;

        let config = write_config(
            home,
            &certs,
            &directories.policies,
            [gate.local_addr()?.to_string().as_str(), &issuer_url, &server_url],
        )?;
        let ready = Gate::prepare(&Config::load(&config)?).await?;
        let (decisions, policy_summary) = (ready.decisions(), ready.summary());
        tokio::spawn(sidecar::run(ready, gate, pending()));

        let model_url = format!("http://{}/v1/", model.local_addr()?);
        let ca = certs.join(file::AUTHORITY);
        Ok(Self {
            http: http_client(Some(&ca))?,
            model: start_model(model, &model_url)?,
            gate: gate_url,
            issuer: issuer_url,
            server: server_url,
            model_url,
            certificates: if kept { "as they were" } else { "made anew" },
            policies: directories.policies.clone(),
            policy_summary,
            ca,
            home: home.path.clone(),
            credentials,
            signing_key,
            decisions,
        })
    }

    /// A session with the gate whose token has these scopes.
    pub(crate) async fn session(&self, scopes: &[&str]) -> anyhow::Result<Session> {
        let options = self.credentials.options(scopes);
        let tokens = TokenSource::discover(self.http.clone(), &self.gate, options).await?;
        Ok(Session::open(self.http.clone(), &self.gate, Arc::new(tokens), Era::Newest).await?)
    }

    /// The decisions since the last time, without those on clients that asked where to get a token.
    pub(crate) fn new_decisions(&mut self) -> Vec<Arc<DecisionRecord>> {
        let new = std::iter::from_fn(|| self.decisions.try_recv().ok());
        new.filter(|record| record.reason != "no-token").collect()
    }

    /// The next decision.
    pub(crate) async fn next_decision(&mut self) -> Option<Arc<DecisionRecord>> {
        loop {
            match self.decisions.recv().await {
                Ok(record) => return Some(record),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// The repository from which the demo was built.
pub(crate) fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Gate, authorization server, customer server, model.
fn listeners(ports: Ports) -> anyhow::Result<[TcpListener; 4]> {
    let mut taken = Vec::new();
    let mut bind = |what: &str, port: u16| {
        let port = if ports == Ports::Auto { 0 } else { port };
        let bound = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)));
        bound.inspect_err(|error| taken.push(format!("{port} ({what}): {error}"))).ok()
    };
    let bound = [
        bind("gate", 8443),
        bind("authorization server", 8444),
        bind("customer server", 8445),
        bind("rehearsed model", 8446),
    ];
    match bound {
        [Some(gate), Some(issuer), Some(server), Some(model)] => Ok([gate, issuer, server, model]),
        _ => bail!(
            "these ports of 127.0.0.1 cannot be had: {}; free them, or run with `--ports auto`",
            taken.join(", ")
        ),
    }
}

async fn tls(certs: &Path, certificate: &str, key: &str) -> anyhow::Result<RustlsConfig> {
    RustlsConfig::from_pem_file(certs.join(certificate), certs.join(key))
        .await
        .with_context(|| format!("cannot use `{}`", certs.join(certificate).display()))
}

fn first_credentials(clients: &Clients) -> Option<Credentials> {
    let (id, secret) = clients.secrets().next()?;
    let (client_id, client_secret) = (id.to_owned(), secret.expose().to_owned());
    Some(Credentials { client_id, client_secret })
}

/// The two users, with passwords that are told to nobody but the file.
fn users(home: &Path) -> anyhow::Result<Users> {
    let mut people = Vec::new();
    let mut lines = String::new();
    for user in Users::demo() {
        let password = Secret::generate()?;
        lines.push_str(&format!("{}={}\n", user.name, password.expose()));
        people.push((user, password));
    }
    write_secret(&home.join("passwords"), &lines)?;
    Ok(Users::new(people, HashingCost::default())?)
}

fn issuer_config(
    issuer: &str,
    resource: &str,
    clients: Clients,
    users: Users,
    keys: KeyRing,
) -> dev_authorization_server::Config {
    dev_authorization_server::Config {
        issuer: issuer.to_owned(),
        resources: vec![resource.to_owned()],
        clients,
        users,
        default_scopes: vec!["customer:read".to_owned()],
        keys,
        rotate_every: None,
        lifetimes: Lifetimes::default(),
        client_metadata: ClientDocumentHosts::Public,
        test_endpoints: TestEndpoints::Absent,
    }
}

async fn start_issuer(
    listener: TcpListener,
    certs: &Path,
    config: dev_authorization_server::Config,
) -> anyhow::Result<()> {
    let tls = tls(certs, file::AUTHORIZATION_SERVER, file::AUTHORIZATION_SERVER_KEY).await?;
    tokio::spawn(dev_authorization_server::run(config, listener, tls, pending()));
    Ok(())
}

async fn start_server(
    listener: TcpListener,
    certs: &Path,
    home: &Path,
    gate: &str,
    audience: &str,
) -> anyhow::Result<()> {
    let server = CustomerServer::prepare(server::Config {
        database: home.join("customers.sqlite"),
        demo_rows: DemoRows::Insert,
        assertion_jwks: certs.join(file::ASSERTION_JWKS),
        assertion_issuer: gate.to_owned(),
        audience: audience.to_owned(),
        allowed_hosts: Vec::new(),
    })
    .await?;
    let tls = tls(certs, file::CUSTOMER_SERVER, file::CUSTOMER_SERVER_KEY).await?;
    tokio::spawn(server::run(server, listener, tls, pending()));
    Ok(())
}

fn start_model(listener: TcpListener, base_url: &str) -> anyhow::Result<Arc<dyn Model>> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let script = rehearsed::router(rehearsed::Script::built_in());
    tokio::spawn(async move { axum::serve(listener, script).await });
    let provider = Provider::at(Wire::OpenAi, BaseUrl::parse(base_url, PlainHttp::Loopback)?);
    let name: ModelName = rehearsed::MODEL.parse()?;
    Ok(Arc::new(ProvidedModel::new(http_client(None)?, &provider, name)?))
}

/// The same configuration that `cedargate run --config` takes.
fn write_config(
    home: &Home,
    certs: &Path,
    policies: &Path,
    [listen, issuer, server]: [&str; 3],
) -> anyhow::Result<PathBuf> {
    let policies = std::path::absolute(policies)?;
    let quoted = |path: PathBuf| format!("{:?}", path.display().to_string());
    let in_certs = |name: &str| quoted(certs.join(name));
    let (ca, certificate, key, assertion_key) = (
        in_certs(file::AUTHORITY),
        in_certs(file::GATE),
        in_certs(file::GATE_KEY),
        in_certs(file::ASSERTION_KEY),
    );
    let text = format!(
        r#"# Written by the demo at every start.
[listener]
address = "{listen}"
certificate = {certificate}
key = {key}

[resource]
public_url = "https://{listen}/mcp"
scopes_supported = ["customer:read", "ticket:create", "account:calculate", "security:read"]
initial_scopes = ["customer:read"]

[[issuers]]
issuer = "{issuer}"
ca = {ca}

[policies]
directory = {policies}

[upstream]
name = "customers"
url = "{server}"
ca = {ca}
identity = "assertion"
assertion_key = {assertion_key}
"#,
        policies = quoted(policies),
    );
    let path = home.path.join("cedargate.toml");
    std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}

/// A file that only its owner reads, put in place whole.
fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    let folder = path.parent().context("a file has a folder")?;
    let put = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, secret.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    put().with_context(|| format!("cannot write `{}`", path.display()))
}
