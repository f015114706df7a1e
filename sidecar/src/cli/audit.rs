//! `cedargate audit`: what is on record, and whether it is what was recorded.

mod erase;
mod proof;
mod query;
mod tail;
mod verify;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;

use super::{ConfigFile, load_quietly, report};
pub(super) use query::plain;

use crate::ledger::{
    KEY,
    checkpoint::{Signer, Verifier},
    reader::Reader,
};

/// Read the ledger: what was decided, for whom and why; prove it; erase whom it was about
///
/// Works while a gate writes to it. Examples:
///
///   cedargate audit tail                                the latest decisions, and those that follow
///   cedargate audit query --tool pay --decision deny    find them
///   cedargate audit show 0198…                          all that is known of one request
///   cedargate audit verify                              exit code 1 if anything was altered
///   cedargate audit prove 0198… > proof.json            for whoever has the key, without the ledger
///   cedargate audit prove --since 1000 > proof.json     that the ledger of then has only grown
///   cedargate audit check-proof proof.json --key KEY
///   cedargate audit erase --principal alice             the tree stays whole
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct AuditArguments {
    #[command(flatten)]
    ledger: LedgerOptions,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Args)]
struct LedgerOptions {
    #[command(flatten)]
    file: ConfigFile,
    /// The ledger's folder, instead of the one that the configuration names
    #[arg(long, value_name = "FOLDER", global = true)]
    ledger: Option<PathBuf>,
    /// The key that its checkpoints are signed with, as `audit verify` prints it, instead of the one
    /// that lies beside the ledger
    #[arg(long, value_name = "KEY", global = true)]
    key: Option<String>,
    /// Say it in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    Tail(tail::TailArguments),
    Query(query::QueryArguments),
    /// Show everything that is known of one request
    Show {
        /// The request's id: `x-request-id` of its answer
        request: String,
    },
    /// Verify every entry, their order and every signed checkpoint; exit code 1 if something is wrong
    Verify,
    /// Prove, as JSON for whoever has the key, that a request is on record
    Prove {
        /// The request's id
        #[arg(required_unless_present = "since")]
        request: Option<String>,
        /// Instead, that nothing of what a signed checkpoint of so many entries covered has changed
        #[arg(long, value_name = "ENTRIES", conflicts_with = "request")]
        since: Option<u64>,
    },
    /// Check what `prove` printed; needs no ledger but `--key`
    CheckProof {
        /// The file with the proof; `-` for the standard input
        proof: PathBuf,
    },
    Erase(erase::EraseArguments),
    /// Write all entries as they are kept, one JSON object a line
    Export,
}

pub(super) async fn audit(arguments: AuditArguments) -> ExitCode {
    let AuditArguments { ledger, what } = arguments;
    let as_json = ledger.json;
    let done = match what {
        What::Tail(wanted) => tail::tail(&ledger, wanted).await,
        What::Query(wanted) => query::query(&ledger, wanted).await,
        What::Show { request } => query::show(&ledger, &request).await,
        What::Verify => verify::verify(&ledger).await,
        What::Prove { request: Some(request), .. } => proof::prove(&ledger, &request).await,
        What::Prove { since, .. } => proof::prove_growth(&ledger, since.unwrap_or(0)).await,
        What::CheckProof { proof } => proof::check(&ledger, &proof),
        What::Erase(wanted) => erase::erase(&ledger, wanted).await,
        What::Export => query::export(&ledger).await,
    };
    done.unwrap_or_else(|what| report::fault(&what, as_json))
}

impl LedgerOptions {
    fn directory(&self) -> Result<PathBuf, String> {
        match &self.ledger {
            Some(directory) => Ok(directory.clone()),
            None => {
                let config = load_quietly(&self.file.config, None).map_err(|e| {
                    format!("{e}; `--ledger FOLDER` reads a ledger without a configuration")
                })?;
                Ok(config.ledger.directory)
            }
        }
    }

    async fn reader(&self) -> Result<Reader, String> {
        Reader::open(&self.directory()?).await.map_err(|e| e.to_string())
    }

    /// The key as given, or the one beside the ledger.
    fn verifier(&self, directory: &Path, origin_of: Option<&str>) -> Result<Verifier, String> {
        if let Some(key) = &self.key {
            return Verifier::parse(key).ok_or_else(|| {
                "`--key` is no key of a ledger; `cedargate audit verify` prints it".to_owned()
            });
        }
        let path = directory.join(KEY);
        if !path.exists() {
            return Err(format!("`{}` is not there: give the key with `--key`", path.display()));
        }
        let origin = origin_of.ok_or("no checkpoint was signed yet: there is nothing to verify")?;
        Ok(Signer::open(&path, origin).map_err(|e| e.to_string())?.verifier())
    }
}

/// What reading a ledger comes to when the file fails.
fn unreadable(error: sqlx::Error) -> String {
    format!("the ledger cannot be read: {error}")
}
