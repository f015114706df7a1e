//! The command line: one file a subcommand, exit codes that mean something.
//!
//! 0 as asked · 1 failed while running, or a check or a test found something · 64 the arguments, the
//! configuration or the policies are at fault.

mod audit;
mod check;
mod explain;
mod import;
mod init;
mod matrix;
mod policy;
mod report;
mod run;
mod schema;
mod test;
mod tools;
mod trial_file;

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, ConfigError, LogFormat};

/// A gate of Cedar policies in front of any MCP server
///
/// Verifies the caller's access token, reads the one MCP message, asks Cedar whether this caller
/// may do this with these arguments, and only then forwards it.
///
/// New here? `cedargate init --upstream URL` makes a working directory for a server that runs.
#[derive(Debug, Parser)]
#[command(name = "cedargate", version, verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve, until SIGTERM or SIGINT
    ///
    /// Policy files are followed as they change; SIGHUP reloads them too. A set that does not
    /// validate is refused and the last good one stays in force. Example:
    ///
    ///   cedargate run --config cedargate.toml
    ///
    /// In front of a server that speaks over its standard streams, which is started then:
    ///
    ///   cedargate run --config cedargate.toml --stdio -- npx -y some-mcp-server
    #[command(verbatim_doc_comment)]
    Run(RunArguments),
    Check(check::CheckArguments),
    Init(init::InitArguments),
    Schema(schema::SchemaArguments),
    Tools(tools::ToolsArguments),
    Test(test::TestArguments),
    Explain(explain::ExplainArguments),
    Import(import::ImportArguments),
    Policy(policy::PolicyArguments),
    Audit(audit::AuditArguments),
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file (TOML); a variable `CEDARGATE_<SECTION>__<KEY>` overrides it
    #[arg(long, value_name = "FILE", default_value = "cedargate.toml", global = true)]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    server: StdioServer,
}

#[derive(Debug, clap::Args)]
struct StdioServer {
    /// Start the MCP server that follows `--` and speak with it over its standard streams, instead
    /// of reaching the one that the configuration names
    #[arg(long, requires = "server")]
    stdio: bool,
    /// The server's program and its arguments
    #[arg(last = true, requires = "stdio", value_name = "SERVER")]
    server: Vec<String>,
}

impl StdioServer {
    /// The server that is to be started instead of the one in the configuration.
    fn command(self) -> Option<Vec<String>> {
        self.stdio.then_some(self.server)
    }
}

/// Parses the process's arguments, does as they say, and yields the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to do if the terminal is gone.
            drop(error.print());
            return if error.use_stderr() { misused() } else { ExitCode::SUCCESS };
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error, ExitCode::FAILURE),
    };
    runtime.block_on(async {
        match arguments.command {
            Command::Run(run) => run::run(&run.file.config, run.server.command()).await,
            Command::Check(check) => check::check(check).await,
            Command::Init(init) => init::init(init).await,
            Command::Schema(schema) => schema::schema(schema).await,
            Command::Tools(tools) => tools::tools(tools).await,
            Command::Test(test) => test::test(test),
            Command::Explain(explain) => explain::explain(explain).await,
            Command::Import(import) => import::run(import),
            Command::Policy(policy) => policy::policy(policy),
            Command::Audit(audit) => audit::audit(audit).await,
        }
    })
}

/// Loads the configuration and starts the log as it says.
fn load(path: &Path, server: Option<Vec<String>>) -> Result<Config, ConfigError> {
    let config = Config::load_for(path, server)?;
    start_log("info,cedargate::decision=info", config.log_format);
    Ok(config)
}

/// Loads the configuration for a command that says itself what there is to say.
fn load_quietly(path: &Path, server: Option<Vec<String>>) -> Result<Config, ConfigError> {
    let config = Config::load_for(path, server)?;
    start_log("error", LogFormat::Text);
    Ok(config)
}

/// The same, with the log saying why something over the network did not work.
fn load_telling(path: &Path, server: Option<Vec<String>>) -> Result<Config, ConfigError> {
    let config = Config::load_for(path, server)?;
    start_log("warn", LogFormat::Text);
    Ok(config)
}

fn start_log(usual: &str, format: LogFormat) {
    let filter = match std::env::var("RUST_LOG") {
        // Decisions are on record whatever else is logged.
        Ok(wanted) => EnvFilter::new(format!("{wanted},cedargate::decision=info")),
        Err(_) => EnvFilter::new(usual),
    };
    let terminal = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(terminal)
        .with_env_filter(filter);
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    // A log that is there already belongs to whoever set it up.
    if json {
        drop(log.json().flatten_event(true).try_init());
    } else {
        drop(log.try_init());
    }
}

fn complain(error: &dyn std::error::Error, code: ExitCode) -> ExitCode {
    anstream::eprintln!("cedargate: {error}");
    code
}

/// EX_USAGE of sysexits(3): the arguments or what they name are at fault, not the machine.
fn misused() -> ExitCode {
    ExitCode::from(64)
}
