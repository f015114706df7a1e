//! `cedargate audit prove` and `check-proof`.

use std::{io::Read as _, path::Path, process::ExitCode};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{LedgerOptions, query::plain, unreadable};
use crate::{
    cli::report::{self, styled},
    ledger::{
        checkpoint::Verifier,
        entry::Placed,
        merkle::{Hash, Leaves, is_consistent, is_included},
        reader::Reader,
    },
};

/// What shows that an entry is in a signed tree (RFC 9162 section 2.1.3).
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Proof {
    /// The leaf as it is hashed.
    leaf: String,
    /// Hexadecimal; absent when whom it was about has been erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    personal: Option<String>,
    index: u64,
    /// The hashes beside the way to the root, hexadecimal, from the leaf on.
    path: Vec<String>,
    /// The signed note.
    checkpoint: String,
}

/// What shows that a signed tree has grown into another (RFC 9162 section 2.1.4).
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Growth {
    /// The earlier signed note.
    from: String,
    /// The later one.
    to: String,
    path: Vec<String>,
}

/// What can be checked.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Checkable {
    Inclusions(Vec<Proof>),
    Growth(Growth),
}

pub(super) async fn prove_growth(ledger: &LedgerOptions, since: u64) -> Result<ExitCode, String> {
    let directory = ledger.directory()?;
    let mut reader = Reader::open(&directory).await.map_err(|e| e.to_string())?;
    let leaves = reader.leaves().await.map_err(unreadable)?;
    let notes = reader.notes().await.map_err(unreadable)?;
    let origin = notes.first().and_then(|note| note.lines().next());
    let verifier = ledger.verifier(&directory, origin)?;
    let mut signed: Vec<(u64, &String)> =
        notes.iter().filter_map(|note| Some((verifier.open(note).ok()?.size, note))).collect();
    signed.sort_unstable();
    let from = signed.iter().find(|(size, _)| *size == since).ok_or_else(|| {
        format!("no checkpoint of {since} entries was signed; `audit verify` and `checkpoints.txt` know the sizes")
    })?;
    let to = signed.last().ok_or("no checkpoint was signed yet")?;
    let path = leaves.consistency_proof(since, to.0).ok_or(
        "there is nothing to prove: some of these entries are missing, or were removed for their age",
    )?;
    let path = path.iter().map(|hash| HEXLOWER.encode(hash)).collect();
    report::json(&Growth { from: from.1.clone(), to: to.1.clone(), path });
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn prove(ledger: &LedgerOptions, request: &str) -> Result<ExitCode, String> {
    let directory = ledger.directory()?;
    let mut reader = Reader::open(&directory).await.map_err(|e| e.to_string())?;
    let entries = reader.about(request).await.map_err(unreadable)?;
    if entries.is_empty() {
        return Err(format!("there is no request `{request}` on record"));
    }
    let leaves = reader.leaves().await.map_err(unreadable)?;
    let notes = reader.notes().await.map_err(unreadable)?;
    let origin = notes.first().and_then(|note| note.lines().next());
    let verifier = ledger.verifier(&directory, origin)?;
    let mut proofs = Vec::new();
    for entry in entries {
        proofs.push(proof_of(entry, &leaves, &notes, &verifier)?);
    }
    report::json(&proofs);
    Ok(ExitCode::SUCCESS)
}

fn proof_of(
    entry: Placed,
    leaves: &Leaves,
    notes: &[String],
    verifier: &Verifier,
) -> Result<Proof, String> {
    entry.require_unaltered().map_err(|altered| format!("entry {}: {altered}", entry.seq))?;
    let index = u64::try_from(entry.seq).map_err(|e| e.to_string())?;
    let signed = |note: &str| {
        let signed = verifier.open(note).ok().filter(|signed| signed.size > index)?;
        (leaves.root_of(signed.size) == Some(signed.root)).then_some(signed.size)
    };
    let covering = notes.iter().find_map(|note| Some((note, signed(note)?)));
    let (note, size) = covering.ok_or_else(|| {
        format!("entry {index} is in no signed checkpoint yet: try again in some seconds")
    })?;
    let path = leaves.inclusion_proof(index, size).unwrap_or_default();
    Ok(Proof {
        leaf: entry.leaf,
        salt: entry.salt.as_deref().map(|salt| HEXLOWER.encode(salt)),
        personal: entry.personal,
        index,
        path: path.iter().map(|hash| HEXLOWER.encode(hash)).collect(),
        checkpoint: note.clone(),
    })
}

pub(super) fn check(ledger: &LedgerOptions, path: &Path) -> Result<ExitCode, String> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text),
        _ => std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.map_err(|e| format!("`{}` cannot be read: {e}", path.display()))?;
    let key = ledger.key.as_ref().ok_or("`--key` says whose signature is believed")?;
    let verifier = Verifier::parse(key).ok_or("`--key` is no key of a ledger")?;
    let proof: Checkable = serde_json::from_str(&text)
        .map_err(|e| format!("`{}` is no proof: {e}", path.display()))?;
    let (shown, outcomes): (Vec<String>, Vec<Result<(), String>>) = match &proof {
        Checkable::Inclusions(proofs) => {
            proofs.iter().map(|proof| (described(proof), require(proof, &verifier))).unzip()
        }
        Checkable::Growth(growth) => {
            let to = growth.to.lines().nth(1).unwrap_or_default();
            (vec![format!("has only grown, to {to} entries")], vec![has_grown(growth, &verifier)])
        }
    };
    let wrong: Vec<&String> =
        outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    let good = wrong.is_empty() && !outcomes.is_empty();
    if ledger.json {
        report::json(&json!({ "good": good, "faults": wrong }));
    } else {
        wrong.iter().for_each(|what| anstream::println!("{} {what}", styled(report::BAD, "no")));
        for what in shown.iter().filter(|_| good) {
            anstream::println!("{} {what}", styled(report::GOOD, "proved"));
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// In a proof anybody may have written anything.
fn described(proof: &Proof) -> String {
    plain(&format!("{} {}", proof.leaf, proof.personal.as_deref().unwrap_or("(erased)")))
}

fn has_grown(growth: &Growth, verifier: &Verifier) -> Result<(), String> {
    let open = |note: &str| verifier.open(note).map_err(|e| format!("checkpoint: {e}"));
    let (from, to) = (open(&growth.from)?, open(&growth.to)?);
    let path = hashes_of(&growth.path).ok_or("the proof is malformed")?;
    if is_consistent((from.size, &from.root), (to.size, &to.root), &path) {
        Ok(())
    } else {
        Err("the later tree does not hold the earlier one".to_owned())
    }
}

fn hashes_of(path: &[String]) -> Option<Vec<Hash>> {
    path.iter().map(|hash| Hash::try_from(HEXLOWER.decode(hash.as_bytes()).ok()?).ok()).collect()
}

fn require(proof: &Proof, verifier: &Verifier) -> Result<(), String> {
    let checkpoint = verifier.open(&proof.checkpoint).map_err(|e| format!("checkpoint: {e}"))?;
    let malformed = || "the proof is malformed".to_owned();
    let entry = Placed {
        seq: i64::try_from(proof.index).map_err(|_| malformed())?,
        leaf: proof.leaf.clone(),
        salt: proof
            .salt
            .as_deref()
            .map(|salt| HEXLOWER.decode(salt.as_bytes()).map_err(|_| malformed()))
            .transpose()?,
        personal: proof.personal.clone(),
        hash: crate::ledger::merkle::leaf_hash(proof.leaf.as_bytes()).to_vec(),
    };
    entry.require_unaltered().map_err(|altered| altered.to_string())?;
    let path = hashes_of(&proof.path).ok_or_else(malformed)?;
    let leaf = entry.leaf_hash();
    if is_included(leaf, proof.index, checkpoint.size, &path, &checkpoint.root) {
        Ok(())
    } else {
        Err("the entry is not in the tree that was signed".to_owned())
    }
}
