//! The command line: arguments -> issuer -> exit code.
//!
//! 0 as asked · 1 failed while running · 64 the arguments or what they name are at fault.

use std::{
    io::{IsTerminal as _, Write as _},
    net::{SocketAddr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;

use crate::{
    ClientDocumentHosts, Config, Lifetimes, RustlsConfig, ServeError, TestEndpoints,
    clients::Clients,
    keys::KeyRing,
    run,
    secret::Secret,
    signing::SigningKey,
    users::{HashingCost, User, Users},
};

/// An OAuth 2.1 authorization server for development: three clients, two users, one machine
///
/// Point an MCP client at a gate whose issuer this is, and it finds the rest by itself: it registers
/// or names the URL of its metadata document, sends you to the login page, and gets tokens by code
/// and PKCE. Or ask for one as a configured client:
///
///   curl --cacert certs/ca.pem -u CLIENT:SECRET -d grant_type=client_credentials ISSUER/token
///
/// Secrets and passwords are made anew at every start and told on standard output, or in a file.
#[derive(Debug, Parser)]
#[command(name = "dev-authorization-server", version, verbatim_doc_comment)]
struct Arguments {
    /// Address to listen on; loopback only
    #[arg(long, default_value = "127.0.0.1:8444")]
    listen: SocketAddr,
    /// Resource identifier to issue tokens for; may be repeated, the first is the default
    #[arg(long, required = true)]
    resource: Vec<String>,
    /// TLS certificate chain, PEM
    #[arg(long, default_value = "certs/authorization-server.pem")]
    certificate: PathBuf,
    /// TLS private key, PEM
    #[arg(long, default_value = "certs/authorization-server-key.pem")]
    key: PathBuf,
    /// Lifetime of an access token, in seconds
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=86400))]
    token_lifetime_seconds: u64,
    /// Replace the signing key this often, such as 30m; the old one stays published for the
    /// lifetime of a token
    #[arg(long, value_parser = humantime::parse_duration)]
    rotate_every: Option<Duration>,
    /// Read passwords from this file, one `user=password` a line, instead of making some up
    #[arg(long)]
    passwords: Option<PathBuf>,
    /// Write secrets and passwords to this new file, for its owner alone, instead of printing them
    #[arg(long)]
    secrets_file: Option<PathBuf>,
    /// For tests: fetch client metadata documents from loopback too, from hosts of this authority
    #[arg(long, value_name = "CA_FILE")]
    allow_loopback_client_metadata: Option<PathBuf>,
    /// For tests: serve `POST /test/rotate-keys` to anybody
    #[arg(long)]
    test_endpoints: bool,
}

/// EX_USAGE: the configuration is at fault, not the machine.
const BAD_CONFIGURATION: u8 = 64;

/// Parses the process's arguments, serves, and yields the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to do if the terminal is gone.
            drop(error.print());
            return match error.use_stderr() {
                true => ExitCode::from(BAD_CONFIGURATION),
                false => ExitCode::SUCCESS,
            };
        }
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let failed = |error: anyhow::Error, code: u8| {
        eprintln!("dev-authorization-server: {error:#}");
        ExitCode::from(code)
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(error.into(), 1),
    };
    runtime.block_on(async {
        let (config, listener, tls) = match prepare(arguments).await {
            Ok(prepared) => prepared,
            Err(error) => return failed(error, BAD_CONFIGURATION),
        };
        match run(config, listener, tls, stop_signal()).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error @ ServeError::Io(_)) => failed(error.into(), 1),
            Err(error) => failed(error.into(), BAD_CONFIGURATION),
        }
    })
}

async fn prepare(arguments: Arguments) -> anyhow::Result<(Config, TcpListener, RustlsConfig)> {
    let tls = RustlsConfig::from_pem_file(&arguments.certificate, &arguments.key)
        .await
        .with_context(|| {
            format!(
                "cannot read `{}` and `{}`; `cargo xtask certs` makes them",
                arguments.certificate.display(),
                arguments.key.display()
            )
        })?;
    let client_metadata = match &arguments.allow_loopback_client_metadata {
        None => ClientDocumentHosts::Public,
        Some(path) => ClientDocumentHosts::AlsoLoopback { authority_pem: read(path)? },
    };
    let people = passwords(arguments.passwords.as_deref())?;
    let listener = TcpListener::bind(arguments.listen)
        .with_context(|| format!("cannot listen on `{}`", arguments.listen))?;
    let issuer = format!("https://{}", listener.local_addr()?);
    let clients = Clients::demo()?;
    tell(&announcement(&issuer, &clients, &people), arguments.secrets_file.as_deref())?;
    let config = Config {
        issuer,
        resources: arguments.resource,
        default_scopes: vec!["customer:read".to_owned()],
        clients,
        users: Users::new(people, HashingCost::default())?,
        keys: KeyRing::new(SigningKey::generate()?),
        rotate_every: arguments.rotate_every,
        lifetimes: Lifetimes {
            access_token: Duration::from_secs(arguments.token_lifetime_seconds),
            ..Lifetimes::default()
        },
        client_metadata,
        test_endpoints: match arguments.test_endpoints {
            true => TestEndpoints::Present,
            false => TestEndpoints::Absent,
        },
    };
    Ok((config, listener, tls))
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// The demo's users, each with the password that the file has, or a random one without a file.
fn passwords(file: Option<&Path>) -> anyhow::Result<Vec<(User, Secret)>> {
    let given = file.map(read).transpose()?;
    let of = |user: &User| match &given {
        None => Ok(Secret::generate()?),
        Some(lines) => lines
            .lines()
            .filter_map(|line| line.split_once('='))
            .find(|(name, password)| *name == user.name && !password.is_empty())
            .map(|(_, password)| Secret::new(password))
            .with_context(|| format!("the file of passwords has none for `{}`", user.name)),
    };
    Users::demo().into_iter().map(|user| of(&user).map(|password| (user, password))).collect()
}

/// What somebody needs to know to use the server. Passwords from a file are told as well: whoever
/// starts the server has that file.
fn announcement(issuer: &str, clients: &Clients, people: &[(User, Secret)]) -> String {
    let mut text = format!("issuer {issuer}\n");
    for (id, secret) in clients.secrets() {
        let scopes = clients.scopes_of(id).join(" ");
        text.push_str(&format!("client {id}  secret {}  may ask for {scopes}\n", secret.expose()));
    }
    for (user, password) in people {
        let (name, scopes) = (&user.name, user.scopes.join(" "));
        text.push_str(&format!(
            "user {name}  password {}  can grant {scopes}\n",
            password.expose()
        ));
    }
    text
}

fn tell(text: &str, file: Option<&Path>) -> anyhow::Result<()> {
    match file {
        None => std::io::stdout().write_all(text.as_bytes()).context("cannot print the secrets"),
        Some(path) => std::fs::OpenOptions::new()
            .write(true)
            // A file of somebody else's making could be read by them.
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write the secrets to `{}`", path.display())),
    }
}

/// Resolves at SIGTERM or SIGINT.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "cannot listen for signals; stop me with SIGKILL");
            std::future::pending::<()>().await;
        }
    }
}
