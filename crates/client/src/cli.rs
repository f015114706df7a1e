//! The commands. What is asked for goes to standard output, everything else to standard error.

mod ask;
mod chat;
mod check;
mod connect;
mod login;
mod scenarios;
mod show;
mod terminal;
mod tools;

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::{
    config::{Config, Environment, Options},
    model::ModelName,
};

/// Talk to any LLM, and let it use the tools of an MCP server behind Cedargate
///
/// Models are named PROVIDER/MODEL. Keys are taken from the usual variables (OPENAI_API_KEY,
/// ANTHROPIC_API_KEY, GEMINI_API_KEY, OLLAMA_BASE_URL with OLLAMA_MODEL) or from the
/// configuration file. Without a key, `rehearsed/clerk` plays scripted choices: it is no model.
#[derive(Debug, Parser)]
#[command(name = "cedargate-chat", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Look at everything a conversation needs, and say what to do where something is missing
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Configuration file [default: ~/.config/cedargate/chat.toml, when it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The MCP endpoint, of Cedargate or of any protected server [default: that of `cargo run --release`]
    #[arg(long, global = true, value_name = "URL")]
    gate: Option<String>,
    /// The one certificate authority to trust for the gate and its authorization server
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A model; given more than once, the next is asked when one fails
    #[arg(long = "model", global = true, value_name = "PROVIDER/MODEL")]
    models: Vec<ModelName>,
    /// Where that model's provider is, for example http://127.0.0.1:8000/v1
    #[arg(long, global = true, value_name = "URL")]
    base_url: Option<String>,
    /// OAuth client id
    #[arg(long, global = true, value_name = "ID")]
    client_id: Option<String>,
    /// File with the OAuth client's secret
    #[arg(long, global = true, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// File with the OAuth client's private key (private_key_jwt)
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "client_secret_file")]
    client_key_file: Option<PathBuf>,
    /// A scope to ask for from the start; else what the gate names
    #[arg(long = "scope", global = true, value_name = "SCOPE")]
    scopes: Vec<String>,
    /// File in which tokens are shared with other processes
    #[arg(long, global = true, value_name = "FILE")]
    token_cache: Option<PathBuf>,
    /// Speak MCP 2025-11-25, `initialize` first
    #[arg(long, global = true)]
    legacy: bool,
    /// Print JSON for scripts
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask one thing and print the answer
    Ask(ask::Ask),
    /// Talk; Ctrl-C stops an answer, Ctrl-D ends
    Chat(chat::Chat),
    /// List the tools as models are offered them, and what a call will need
    Tools(tools::Tools),
    /// Play the same scenarios with every model and compare what was decided
    Scenarios(scenarios::Scenarios),
    /// Sign in with a browser, and keep the token in the token cache
    Login,
}

/// What the program says of its work: 0 done, 1 not done or not as expected, 2 asked for wrongly.
pub async fn run() -> ExitCode {
    start_log();
    let Arguments { command, check, common } = Arguments::parse();
    let json = common.json;
    let outcome = match config(common) {
        Ok(config) => dispatch(command, check, &config, json).await,
        Err(error) => {
            show::error(&format!("{error:#}"));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            show::error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(
    command: Option<Command>,
    check: bool,
    config: &Config,
    json: bool,
) -> anyhow::Result<ExitCode> {
    if check {
        return check::run(config, json).await;
    }
    match command {
        Some(Command::Ask(ask)) => ask.run(config, json).await,
        Some(Command::Chat(chat)) => chat.run(config).await,
        Some(Command::Tools(tools)) => tools.run(config, json).await,
        Some(Command::Scenarios(scenarios)) => scenarios.run(config, json).await,
        Some(Command::Login) => login::run(config).await,
        None => {
            show::error(
                "say what to do: `ask \"…\"`, `chat`, `tools`, `scenarios`, `login`, or --check",
            );
            Ok(ExitCode::from(2))
        }
    }
}

fn config(common: Common) -> anyhow::Result<Config> {
    let environment = Environment::of_this_process();
    // Never that of the folder one happens to be in: it says who is given keys.
    let usual = environment.user_folder().map(|folder| folder.join(USUAL_FILE));
    let file = common.config.or_else(|| usual.filter(|path| path.is_file()));
    let options = Options {
        gate: common.gate,
        ca: common.ca,
        models: common.models,
        client_id: common.client_id,
        client_secret_file: common.client_secret_file,
        client_key_file: common.client_key_file,
        scopes: common.scopes,
        base_url: common.base_url,
        token_cache: common.token_cache,
        legacy: common.legacy,
    };
    Ok(Config::load(file.as_deref(), &environment, options)?)
}

fn start_log() {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| QUIET.into());
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .init();
}

/// What a provider fails with is told once, by us.
const QUIET: &str = "error,genai=off";
const USUAL_FILE: &str = "cedargate/chat.toml";
const EXAMPLES: &str = "Examples, with `cargo run --release` of the repository serving:
  cedargate-chat --ca certs/ca.pem --client-id mcp-secure-client \\
      --client-secret-file target/demo/client-secret --check
  cedargate-chat … --model rehearsed/clerk ask \"Look up 'JOHNDOE123'\"
  cedargate-chat … --model openai/gpt-4.1 --model anthropic/claude-sonnet-4-5 chat";
