//! The command line: arguments -> prepared server -> exit code.
//!
//! 0 as asked · 1 failed while running · 64 the arguments or what they name are at fault.

use std::{io::IsTerminal as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use crate::{Config, CustomerServer, RustlsConfig, run, store::DemoRows};
use anyhow::Context as _;
use clap::Parser;

/// A protected customer MCP server on SQLite; serves only what Cedargate vouches for
#[derive(Debug, Parser)]
#[command(name = "customer-mcp-server", version)]
struct Arguments {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8445")]
    listen: SocketAddr,
    /// SQLite file; made when it does not exist
    #[arg(long, default_value = "customers.sqlite")]
    database: PathBuf,
    /// Put the demo customers into the store
    #[arg(long)]
    demo_rows: bool,
    /// TLS certificate chain, PEM
    #[arg(long, default_value = "certs/customer-server.pem")]
    certificate: PathBuf,
    /// TLS private key, PEM
    #[arg(long, default_value = "certs/customer-server-key.pem")]
    key: PathBuf,
    /// JWK set with Cedargate's public assertion key
    #[arg(long, default_value = "certs/assertion-jwks.json")]
    assertion_jwks: PathBuf,
    /// Who must have signed the assertion: Cedargate's resource identifier
    #[arg(long, default_value = "https://127.0.0.1:8443/mcp")]
    assertion_issuer: String,
    /// For whom the assertion must be: this server's URL, as Cedargate knows it
    #[arg(long, default_value = "https://127.0.0.1:8445/mcp")]
    audience: String,
    /// Host header to answer to, beside the loopback names; may be repeated
    #[arg(long)]
    allowed_host: Vec<String>,
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
            return if error.use_stderr() {
                ExitCode::from(BAD_CONFIGURATION)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| "info,rmcp=warn".into()),
        )
        .init();
    let failed = |error: anyhow::Error, code: u8| {
        eprintln!("customer-mcp-server: {error:#}");
        ExitCode::from(code)
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(error.into(), 1),
    };
    runtime.block_on(async {
        let (server, listener, tls) = match prepare(arguments).await {
            Ok(prepared) => prepared,
            Err(error) => return failed(error, BAD_CONFIGURATION),
        };
        match run(server, listener, tls, stop_signal()).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(error.into(), 1),
        }
    })
}

async fn prepare(
    arguments: Arguments,
) -> anyhow::Result<(CustomerServer, std::net::TcpListener, RustlsConfig)> {
    let tls = RustlsConfig::from_pem_file(&arguments.certificate, &arguments.key)
        .await
        .with_context(|| {
            format!(
                "cannot read the TLS identity `{}` and `{}` (`cargo xtask certs` makes one)",
                arguments.certificate.display(),
                arguments.key.display()
            )
        })?;
    let listener = std::net::TcpListener::bind(arguments.listen)
        .with_context(|| format!("cannot listen on `{}`", arguments.listen))?;
    let server = CustomerServer::prepare(Config {
        database: arguments.database,
        demo_rows: if arguments.demo_rows { DemoRows::Insert } else { DemoRows::Leave },
        assertion_jwks: arguments.assertion_jwks,
        assertion_issuer: arguments.assertion_issuer,
        audience: arguments.audience,
        allowed_hosts: arguments.allowed_host,
    })
    .await?;
    tracing::info!(address = %listener.local_addr()?, "serving MCP at /mcp");
    Ok((server, listener, tls))
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
