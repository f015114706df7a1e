//! Whether a ledger is what it was: every entry, their order, and every checkpoint that was signed.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::{
    checkpoint::{Checkpoint, NotBelieved, Verifier},
    entry::Placed,
    merkle::{Hash, Tree},
    reader::Reader,
};

/// What was found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verification {
    pub(crate) entries: u64,
    /// How many stood before them and were removed for their age or size, which is on record.
    pub(crate) removed: u64,
    /// Of how many nobody can say any more about whom they were.
    pub(crate) erased: u64,
    /// Signed checkpoints that are right.
    pub(crate) checkpoints: u64,
    /// The size of the tree that is vouched for; what came later is not signed yet.
    pub(crate) signed: u64,
    pub(crate) root: String,
    pub(crate) faults: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "fault")]
pub(crate) enum Fault {
    /// The file is damaged.
    Damaged { what: String },
    /// An entry is not as it was recorded.
    Altered { seq: i64, request: Option<String>, what: String },
    /// Entries are missing.
    Removed { first: i64, last: i64 },
    /// A checkpoint cannot be believed.
    Checkpoint { what: String },
    /// Between these two sizes something is not what was signed.
    NotAsSigned { after: u64, up_to: u64 },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged { what } => write!(f, "the file is damaged: {what}"),
            Self::Altered { seq, request, what } => {
                let request = request.as_deref().unwrap_or("of no request that can be read");
                write!(f, "entry {seq} ({request}) was altered: {what}")
            }
            Self::Removed { first, last } if first == last => {
                write!(f, "entry {first} was removed")
            }
            Self::Removed { first, last } => write!(f, "entries {first} to {last} were removed"),
            Self::Checkpoint { what } => write!(f, "a checkpoint is not believed: {what}"),
            Self::NotAsSigned { after, up_to } => write!(
                f,
                "entries {after} to {} are not those that were signed",
                up_to.saturating_sub(1)
            ),
        }
    }
}

/// Goes through a whole ledger. Without a verifier no checkpoint is believed.
pub(crate) async fn verify(
    reader: &mut Reader,
    verifier: Option<&Verifier>,
    mut progress: impl FnMut(u64),
) -> Result<Verification, sqlx::Error> {
    let mut found = Verification::default();
    found.faults.extend(reader.damage().await?.into_iter().map(|what| Fault::Damaged { what }));
    // Read before the entries: what is signed meanwhile is about entries not looked at.
    let mut signed = believed(&reader.notes().await?, verifier, &mut found.faults);
    let mut tree = reader.beginning().await?.before;
    let first = tree.size();
    // What was signed of entries that are gone cannot be held against anything.
    signed = signed.split_off(&first);
    if first > 0 && !signed.contains_key(&first) {
        found.faults.push(Fault::NotAsSigned { after: 0, up_to: first });
    }
    compare(&tree, &mut signed, &mut found);
    loop {
        let next = i64::try_from(tree.size()).unwrap_or(i64::MAX);
        let page = reader.from(next, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for entry in page {
            look(&entry, &mut tree, &mut found);
            compare(&tree, &mut signed, &mut found);
        }
        progress(tree.size());
    }
    let end = i64::try_from(tree.size()).unwrap_or(i64::MAX);
    if let Some(last) = signed.keys().next_back().and_then(|size| i64::try_from(*size).ok()) {
        found.faults.push(Fault::Removed { first: end, last: last - 1 });
    }
    if found.removed < first {
        found.faults.push(Fault::Removed {
            first: i64::try_from(found.removed).unwrap_or(i64::MAX),
            last: i64::try_from(first - 1).unwrap_or(i64::MAX),
        });
    }
    found.root = HEXLOWER.encode(&tree.root());
    Ok(found)
}

/// The roots that were signed, by size.
fn believed(
    notes: &[String],
    verifier: Option<&Verifier>,
    faults: &mut Vec<Fault>,
) -> BTreeMap<u64, Vec<Hash>> {
    let mut signed: BTreeMap<u64, Vec<Hash>> = BTreeMap::new();
    for note in notes {
        match verifier.ok_or(NotBelieved::Unsigned).and_then(|verifier| verifier.open(note)) {
            Ok(Checkpoint { size, root, .. }) if size > 0 => {
                signed.entry(size).or_default().push(root);
            }
            Ok(_) => {}
            Err(what) => faults.push(Fault::Checkpoint { what: what.to_string() }),
        }
    }
    signed
}

fn look(entry: &Placed, tree: &mut Tree, found: &mut Verification) {
    let expected = i64::try_from(tree.size()).unwrap_or(i64::MAX);
    if entry.seq > expected {
        found.faults.push(Fault::Removed { first: expected, last: entry.seq - 1 });
        (expected..entry.seq).for_each(|_| tree.push(Hash::default()));
    }
    if let Err(altered) = entry.require_unaltered() {
        let request = entry.whole().get("request_id").and_then(|id| id.as_str()).map(str::to_owned);
        let what = altered.to_string();
        found.faults.push(Fault::Altered { seq: entry.seq, request, what });
    }
    tree.push(Hash::try_from(entry.hash.as_slice()).unwrap_or_default());
    found.entries += 1;
    let removed = entry.removed_up_to().map_or(0, |last| last + 1);
    found.removed = found.removed.max(removed);
    found.erased += u64::from(entry.is_erased());
}

/// Holds the tree against what was signed at its size. After the first difference all are different.
fn compare(tree: &Tree, signed: &mut BTreeMap<u64, Vec<Hash>>, found: &mut Verification) {
    let Some(roots) = signed.remove(&tree.size()) else { return };
    let is_broken = found.faults.iter().any(|fault| matches!(fault, Fault::NotAsSigned { .. }));
    if roots.iter().all(|root| *root == tree.root()) {
        found.checkpoints += 1;
        found.signed = tree.size();
    } else if !is_broken {
        found.faults.push(Fault::NotAsSigned { after: found.signed, up_to: tree.size() });
    }
}

const PAGE: u32 = 2_000;
