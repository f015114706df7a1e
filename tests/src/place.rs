//! A folder with certificates, policies and configuration, and what is started from it.

use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use axum::Router;
use axum_server::tls_rustls::RustlsConfig;
use dev_authorization_server::{
    ClientDocumentHosts, Lifetimes, TestEndpoints,
    clients::{Client, ClientAuthentication, Clients, Standing, loopback_redirect_uris},
    keys::KeyRing,
    secret::Secret,
    users::{HashingCost, Users},
};
use dev_certificates::{AssertionKey, Identity, LocalAuthority};
use server::{CustomerServer, store::DemoRows};
use tokio::sync::watch;

use crate::{repository, stack::StackBuilder};

pub(crate) struct Place<'a> {
    pub(crate) home: &'a Path,
    pub(crate) authority: &'a LocalAuthority,
    pub(crate) stopped: watch::Receiver<()>,
}

/// What a test says of the gate's configuration; TOML where it is text of a section.
#[derive(Debug, Default)]
pub(crate) struct GateSettings {
    pub(crate) in_listener: String,
    pub(crate) in_resource: String,
    pub(crate) in_policies: String,
    /// Instead of the issuer that is started.
    pub(crate) issuer: Option<String>,
    pub(crate) in_issuer: String,
    /// Instead of the spy.
    pub(crate) upstream_url: Option<String>,
    /// Instead of the stack's own authority.
    pub(crate) upstream_ca: Option<PathBuf>,
    /// A program instead of what is at a URL.
    pub(crate) upstream_command: Option<Vec<String>>,
    /// Settings of the upstream.
    pub(crate) in_upstream: String,
    /// More sections.
    pub(crate) sections: String,
}

impl GateSettings {
    /// Where the upstream is: at its usual URL, at another, or a program.
    fn upstream_at(&self, usual: &str) -> String {
        if let Some(command) = &self.upstream_command {
            return format!("command = {command:?}");
        }
        let url = self.upstream_url.as_deref().unwrap_or(usual);
        let ca = self.upstream_ca.as_deref().unwrap_or(Path::new("ca.pem"));
        format!(
            "url = {url:?}\nca = {ca:?}\nidentity = \"assertion\"\n\
             assertion_key = \"assertion-key.pem\""
        )
    }
}

impl<'a> Place<'a> {
    pub(crate) fn new(
        home: &'a Path,
        authority: &'a LocalAuthority,
        stopped: watch::Receiver<()>,
    ) -> Self {
        Self { home, authority, stopped }
    }

    /// Resolves when the stack is dropped.
    pub(crate) fn stop(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stopped = self.stopped.clone();
        async move { while stopped.changed().await.is_ok() {} }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn write_identities(&self) {
        self.write("ca.pem", self.authority.certificate_pem());
        for name in ["gate", "upstream"] {
            let Identity { certificate_pem, key_pem } = self.authority.issue(name).unwrap();
            self.write(&format!("{name}.pem"), &certificate_pem);
            self.write(&format!("{name}-key.pem"), &key_pem);
        }
        let assertion = AssertionKey::generate().unwrap();
        self.write("assertion-key.pem", &assertion.key_pem);
        self.write("assertion-jwks.json", &assertion.jwks_json);
    }

    pub(crate) fn write_policies(&self, builder: &StackBuilder) {
        let StackBuilder { policies: instead, schema, lock, unguarded, .. } = builder;
        let shipped = repository().join("policies");
        for entry in std::fs::read_dir(shipped).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let wanted = match path.extension().and_then(|e| e.to_str()) {
                Some("cedarschema") => schema.is_none(),
                Some("cedar") if name == "guardrails.cedar" && *unguarded => false,
                Some("cedar") => instead.is_none(),
                Some("lock") => lock.is_none(),
                _ => false,
            };
            if wanted {
                let text = std::fs::read_to_string(&path).unwrap();
                self.write(&format!("policies/{name}"), &text);
            }
        }
        if let Some(text) = instead {
            self.write("policies/test.cedar", text);
        }
        for (name, text) in &builder.policy_files {
            self.write(&format!("policies/{name}"), text);
        }
        if let Some(text) = lock {
            self.write("policies/tools.lock", text);
        }
        if let Some(text) = schema {
            self.write("policies/schema.cedarschema", text);
        }
    }

    async fn tls(&self, name: &str) -> RustlsConfig {
        let identity = self.authority.issue(name).unwrap();
        let (certificate, key) = (identity.certificate_pem, identity.key_pem);
        RustlsConfig::from_pem(certificate.into_bytes(), key.into_bytes()).await.unwrap()
    }

    pub(crate) async fn start_issuer(&self, resource: &str, keys: KeyRing) -> SocketAddr {
        let listener = bind();
        let address = listener.local_addr().unwrap();
        let scopes: Vec<String> = SCOPES.iter().map(|&scope| scope.to_owned()).collect();
        let config = dev_authorization_server::Config {
            issuer: format!("https://{address}"),
            resources: vec![resource.to_owned(), "https://other.example.com/mcp".to_owned()],
            clients: Clients::new(vec![Client {
                id: CLIENT_ID.to_owned(),
                name: "Test client".to_owned(),
                authentication: ClientAuthentication::Secret(Secret::new(CLIENT_SECRET)),
                redirect_uris: loopback_redirect_uris().unwrap(),
                standing: Standing::Configured {
                    default_scopes: vec!["customer:read".to_owned()],
                    allowed_scopes: scopes,
                },
            }]),
            users: users(),
            default_scopes: vec!["customer:read".to_owned()],
            keys,
            rotate_every: None,
            lifetimes: Lifetimes { access_token: Duration::from_secs(300), ..Lifetimes::default() },
            client_metadata: ClientDocumentHosts::AlsoLoopback {
                authority_pem: self.authority.certificate_pem().to_owned(),
            },
            test_endpoints: TestEndpoints::Present,
        };
        let tls = self.tls("issuer").await;
        tokio::spawn(dev_authorization_server::run(config, listener, tls, self.stop()));
        address
    }

    pub(crate) async fn start_customer_server(
        &self,
        listener: TcpListener,
        issuer: &str,
        audience: &str,
    ) {
        let server = CustomerServer::prepare(server::Config {
            database: self.home.join("customers.sqlite"),
            demo_rows: DemoRows::Insert,
            assertion_jwks: self.home.join("assertion-jwks.json"),
            assertion_issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            allowed_hosts: Vec::new(),
        })
        .await
        .unwrap();
        let tls = self.tls("customer-server").await;
        tokio::spawn(server::run(server, listener, tls, self.stop()));
    }

    pub(crate) async fn start_other(&self, listener: TcpListener, router: Router) {
        let tls = self.tls("other").await;
        listener.set_nonblocking(true).unwrap();
        let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
        let stop = self.stop();
        tokio::spawn(async move {
            tokio::select! {
                outcome = server.serve(router.into_make_service()) => outcome.unwrap(),
                () = stop => {}
            }
        });
    }

    pub(crate) fn write_config(
        &self,
        gate: SocketAddr,
        issuer: &str,
        upstream: &str,
        settings: &GateSettings,
    ) -> PathBuf {
        let GateSettings {
            in_listener,
            in_resource,
            in_issuer,
            in_policies,
            in_upstream,
            sections,
            ..
        } = settings;
        let issuer = settings.issuer.as_deref().unwrap_or(issuer);
        let upstream = settings.upstream_at(upstream);
        let text = format!(
            r#"
            [listener]
            address = "{gate}"
            certificate = "gate.pem"
            key = "gate-key.pem"
            {in_listener}

            [resource]
            public_url = "https://{gate}/mcp"
            scopes_supported = {SCOPES:?}
            initial_scopes = ["customer:read"]
            {in_resource}

            [[issuers]]
            issuer = {issuer:?}
            {in_issuer}
            ca = "ca.pem"

            [policies]
            directory = "policies"
            {in_policies}

            [upstream]
            name = "customers"
            {upstream}
            {in_upstream}

            {sections}
            "#
        );
        self.write("gate.toml", &text)
    }
}

pub(crate) fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// The demo's users. Their hashes are cheap: tests sign in often.
fn users() -> Users {
    let people = Users::demo().map(|user| (user, Secret::new(PASSWORD)));
    Users::new(people.into(), HashingCost { memory_kib: 8, passes: 1 }).unwrap()
}

pub(crate) const PASSWORD: &str = "a password that only the tests know";
pub(crate) const CLIENT_ID: &str = "test-client";
pub(crate) const CLIENT_SECRET: &str = "a secret that only the tests know";
const SCOPES: [&str; 4] = ["customer:read", "ticket:create", "account:calculate", "security:read"];
