//! `cedargate audit erase`.

use std::process::ExitCode;

use serde_json::json;

use super::{LedgerOptions, unreadable};
use crate::{
    cli::report::{self, styled},
    ledger::{eraser::Eraser, reader::Reader},
};

/// Erase about whom entries are, for good: address, subject, client, arguments
///
/// What was decided, when and why stays, and so does the tree: `audit verify` still holds.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct EraseArguments {
    /// Of this principal: as policies call it, or the `sub` of its token
    #[arg(long)]
    principal: String,
    /// Do it; without this it is only said how many entries there are
    #[arg(long)]
    yes: bool,
}

pub(super) async fn erase(
    ledger: &LedgerOptions,
    arguments: EraseArguments,
) -> Result<ExitCode, String> {
    let directory = ledger.directory()?;
    let mut reader = Reader::open(&directory).await.map_err(|e| e.to_string())?;
    let (mut found, mut next) = (Vec::new(), 0);
    loop {
        let page = reader.from(next, PAGE).await.map_err(unreadable)?;
        let Some(last) = page.last() else { break };
        next = last.seq + 1;
        let is_theirs = |name: &str, entry: &serde_json::Map<String, serde_json::Value>| {
            entry.get(name).and_then(|value| value.as_str()) == Some(&arguments.principal)
        };
        found.extend(page.iter().filter(|entry| !entry.is_erased()).filter_map(|entry| {
            let whole = entry.whole();
            (is_theirs("principal", &whole) || is_theirs("subject", &whole)).then_some(entry.seq)
        }));
    }
    if arguments.yes {
        let mut eraser = Eraser::open(&directory).map_err(|e| e.to_string())?;
        eraser.erase(&found).await.map_err(|e| e.to_string())?;
    }
    if ledger.json {
        report::json(&json!({ "entries": found.len(), "erased": arguments.yes }));
    } else if arguments.yes {
        anstream::println!("{} {} entries", styled(report::GOOD, "erased"), found.len());
    } else {
        anstream::println!(
            "{} entries would lose whom they were about; `--yes` does it",
            found.len()
        );
    }
    Ok(ExitCode::SUCCESS)
}

const PAGE: u32 = 1_000;
