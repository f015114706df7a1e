//! The development authorization server as a program of its own.

use std::{io::IsTerminal as _, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use dev_authorization_server::{Config, RustlsConfig, clients::Clients, run, signing::SigningKey};

/// An OAuth 2.1 authorization server for development: three clients, random secrets, one machine
#[derive(Debug, Parser)]
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
    #[arg(long, default_value_t = 3600)]
    token_lifetime_seconds: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let arguments = Arguments::parse();
    let tls = RustlsConfig::from_pem_file(&arguments.certificate, &arguments.key)
        .await
        .with_context(|| {
            format!(
                "cannot read `{}` and `{}`; `cargo xtask certs` makes them",
                arguments.certificate.display(),
                arguments.key.display()
            )
        })?;
    let listener = std::net::TcpListener::bind(arguments.listen)
        .with_context(|| format!("cannot listen on `{}`", arguments.listen))?;
    let issuer = format!("https://{}", listener.local_addr()?);
    let clients = Clients::demo()?;
    println!("issuer {issuer}");
    for client in clients.iter() {
        println!(
            "client {}  secret {}  may ask for {}",
            client.id,
            client.secret,
            client.allowed_scopes.join(" ")
        );
    }
    let config = Config {
        issuer,
        resources: arguments.resource,
        clients,
        signing_key: SigningKey::generate()?,
        token_lifetime: Duration::from_secs(arguments.token_lifetime_seconds),
    };
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "cannot listen for the interrupt signal");
        }
    };
    Ok(run(config, listener, tls, interrupted).await?)
}
