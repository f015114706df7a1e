//! The command line: one file a subcommand, exit codes that mean something.
//!
//! 0 as asked · 1 failed while running · 64 the arguments or the configuration are at fault.

mod check;
mod run;

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
#[derive(Debug, Parser)]
#[command(name = "cedargate", version)]
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
    /// Read and check everything the configuration names, without serving
    Check(RunArguments),
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file (TOML); a variable `CEDARGATE_<SECTION>__<KEY>` overrides it
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Start the MCP server that follows `--` and speak with it over its standard streams, instead
    /// of reaching the one that the configuration names
    #[arg(long, requires = "server")]
    stdio: bool,
    /// The server's program and its arguments
    #[arg(last = true, requires = "stdio", value_name = "SERVER")]
    server: Vec<String>,
}

impl RunArguments {
    /// The configuration file, and the server that is to be started instead of the one in it.
    fn parts(self) -> (PathBuf, Option<Vec<String>>) {
        (self.file.config, self.stdio.then_some(self.server))
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
    match arguments.command {
        Command::Run(run) => {
            let (file, server) = run.parts();
            runtime.block_on(run::run(&file, server))
        }
        Command::Check(run) => {
            let (file, server) = run.parts();
            runtime.block_on(check::check(&file, server))
        }
    }
}

/// Loads the configuration and starts the log as it says.
fn load(path: &Path, server: Option<Vec<String>>) -> Result<Config, ConfigError> {
    let config = Config::load_for(path, server)?;
    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
    // Decisions are on record whatever else is logged.
    let filter = EnvFilter::new(format!("{wanted},cedargate::decision=info"));
    let terminal = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(terminal)
        .with_env_filter(filter);
    let json = match config.log_format {
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
    Ok(config)
}

fn complain(error: &dyn std::error::Error, code: ExitCode) -> ExitCode {
    eprintln!("cedargate: {error}");
    code
}

/// EX_USAGE of sysexits(3): the arguments or what they name are at fault, not the machine.
fn misused() -> ExitCode {
    ExitCode::from(64)
}
