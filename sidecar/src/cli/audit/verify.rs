//! `cedargate audit verify`.

use std::{io::IsTerminal as _, process::ExitCode};

use serde_json::json;

use super::{LedgerOptions, query::plain, unreadable};
use crate::{
    cli::report::{self, styled},
    ledger::{reader::Reader, verification},
};

pub(super) async fn verify(ledger: &LedgerOptions) -> Result<ExitCode, String> {
    let directory = ledger.directory()?;
    let mut reader = Reader::open(&directory).await.map_err(|e| e.to_string())?;
    let notes = reader.notes().await.map_err(unreadable)?;
    let origin = notes.first().and_then(|note| note.lines().next());
    // Of a ledger that has just begun nothing is signed yet.
    let verifier = match origin {
        None => None,
        Some(_) => Some(ledger.verifier(&directory, origin)?),
    };
    let watched = std::io::stderr().is_terminal();
    let progress = |entries| {
        if watched {
            eprint!("\r{entries} entries");
        }
    };
    let found =
        verification::verify(&mut reader, verifier.as_ref(), progress).await.map_err(unreadable)?;
    if watched {
        eprint!("\r");
    }
    let good = found.faults.is_empty();
    let key = verifier.map(|verifier| verifier.to_string());
    if ledger.json {
        report::json(&json!({ "good": good, "key": key, "found": found }));
    } else {
        // What stands in an altered entry may be anything.
        for fault in found.faults.iter().map(|fault| plain(&fault.to_string())) {
            anstream::println!("{} {fault}", styled(report::BAD, "no"));
        }
        let verdict = if good {
            styled(report::GOOD, "as recorded")
        } else {
            styled(report::BAD, "NOT as recorded")
        };
        anstream::println!(
            "{verdict}: {} entries ({} erased), {} signed checkpoints, the last of {} entries",
            found.entries,
            found.erased,
            found.checkpoints,
            found.signed
        );
        if found.removed > 0 {
            anstream::println!(
                "{} entries before them were removed, as was configured and is on record",
                found.removed
            );
        }
        let key = key.as_deref().unwrap_or("(nothing is signed yet)");
        anstream::println!("root {}\nkey  {key}", found.root);
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
