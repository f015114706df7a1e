//! Generators that a developer runs by hand and CI runs to compare.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use dev_certificates::directory::{self, Existing, Outcome};

/// Generators for the Cedargate workspace
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Make the local CA, the leaf certificates and the assertion key in `certs/`
    ///
    /// What is there is kept until it is within a week of expiring.
    Certs {
        /// Where to put them
        #[arg(long, default_value_os_t = default_directory())]
        directory: PathBuf,
        /// Make everything anew, also what is still good
        #[arg(long)]
        force: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Certs { directory, force } => {
            let existing = if force { Existing::Replace } else { Existing::Keep };
            let report = directory::ensure(&directory, existing)
                .with_context(|| format!("cannot prepare `{}`", directory.display()))?;
            for (file, outcome) in report {
                println!("{:9} {}", word(outcome), directory.join(file).display());
            }
        }
    }
    Ok(())
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Kept => "kept",
        Outcome::Created => "created",
        Outcome::Renewed => "renewed",
        Outcome::Replaced => "replaced",
    }
}

fn default_directory() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    workspace.unwrap_or(Path::new(".")).join("certs")
}
