//! `cedargate-chat`: one prompt, one provider, the tools behind the gate.

use std::{io::IsTerminal as _, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::Parser;
use client::{
    agent::converse,
    model::{
        ModelName,
        provider::{ProvidedModel, Provider, Wire},
    },
    session::{Era, Session},
    token::{Credentials, TokenSource},
    trust::http_client,
};

/// Ask a model something and let it use the tools behind Cedargate
///
/// The provider's API key is read from OPENAI_API_KEY, the OAuth client's secret from a file.
#[derive(Debug, Parser)]
#[command(name = "cedargate-chat", version)]
struct Arguments {
    /// What to ask
    prompt: String,
    /// The gate's MCP endpoint
    #[arg(long, default_value = "https://127.0.0.1:8443/mcp")]
    gate: String,
    /// OAuth client id
    #[arg(long)]
    client_id: String,
    /// File with the OAuth client's secret
    #[arg(long, value_name = "FILE")]
    client_secret_file: PathBuf,
    /// Certificate authority of the gate and its authorization server; else the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Base URL of a provider in the OpenAI wire format
    #[arg(long, default_value = "https://api.openai.com/v1/")]
    base_url: String,
    /// The model
    #[arg(long, value_name = "PROVIDER/MODEL", default_value = "openai/gpt-4.1")]
    model: ModelName,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()),
        )
        .init();
    let secret = std::fs::read_to_string(&arguments.client_secret_file)
        .with_context(|| format!("cannot read `{}`", arguments.client_secret_file.display()))?;
    let credentials =
        Credentials { client_id: arguments.client_id, client_secret: secret.trim().to_owned() };
    let http = http_client(arguments.ca.as_deref())?;
    let tokens =
        Arc::new(TokenSource::discover(http.clone(), &arguments.gate, &credentials, &[]).await?);
    let session = Session::open(http, &arguments.gate, tokens, Era::Newest).await?;
    let provider = Provider {
        wire: Wire::OpenAi,
        base_url: arguments.base_url,
        api_key: std::env::var("OPENAI_API_KEY").unwrap_or_default(),
    };
    // The provider is reached over the system's trust, not the gate's authority.
    let model = ProvidedModel::new(http_client(None)?, &provider, arguments.model)?;
    let report = converse(&model, &session, &arguments.prompt).await?;
    for step in &report.steps {
        let mark = if step.succeeded { "ok" } else { "refused" };
        eprintln!("[{mark}] {} {}", step.call.tool, step.call.arguments);
    }
    println!("{}", report.answer);
    session.close().await;
    Ok(())
}
