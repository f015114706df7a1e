//! Where decisions are kept, how safely, and for how long.

use std::{
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::raw::Problems;

/// Where decisions are kept.
#[derive(Debug, Clone)]
pub(crate) struct LedgerConfig {
    pub(crate) directory: PathBuf,
    pub(crate) durability: Durability,
    /// After so many entries they are signed, or after so long.
    pub(crate) checkpoint_every: NonZeroU64,
    pub(crate) checkpoint_interval: Duration,
    /// A file of this size, or begun so long ago, is sealed and another one begun.
    pub(crate) segment_bytes: NonZeroU64,
    pub(crate) segment_age: Duration,
    pub(crate) retention: Retention,
}

/// What an entry survives before its request is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Durability {
    /// The end of the gate: the operating system has it.
    #[default]
    Process,
    /// The end of the machine: it is on disk.
    Power,
}

/// How long sealed files are kept; for ever, unless something else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Retention {
    pub(crate) keep_for: Option<Duration>,
    pub(crate) keep_bytes: Option<NonZeroU64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLedger {
    directory: PathBuf,
    durability: Durability,
    checkpoint_every: NonZeroU64,
    #[serde(with = "humantime_serde")]
    checkpoint_interval: Duration,
    segment_bytes: NonZeroU64,
    #[serde(with = "humantime_serde")]
    segment_age: Duration,
    #[serde(with = "humantime_serde")]
    keep_for: Option<Duration>,
    keep_bytes: Option<NonZeroU64>,
}

impl Default for RawLedger {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("ledger"),
            durability: Durability::default(),
            checkpoint_every: NonZeroU64::new(1_000).unwrap_or(NonZeroU64::MIN),
            checkpoint_interval: Duration::from_secs(10),
            // About a hundred thousand entries, which are looked at when a gate starts.
            segment_bytes: NonZeroU64::new(128 * 1024 * 1024).unwrap_or(NonZeroU64::MIN),
            segment_age: Duration::from_secs(31 * 24 * 3_600),
            keep_for: None,
            keep_bytes: None,
        }
    }
}

pub(super) fn ledger(raw: RawLedger, folder: &Path, problems: &mut Problems) -> LedgerConfig {
    if raw.segment_age < LEAST_AGE {
        problems.add("ledger.segment_age", "must be at least a minute");
    }
    if raw.keep_for.is_some_and(|keep_for| keep_for < raw.segment_age) {
        problems.add(
            "ledger.keep_for",
            "must not be less than `ledger.segment_age`: whole files are removed",
        );
    }
    if raw.keep_bytes.is_some_and(|most| most < raw.segment_bytes) {
        problems.add(
            "ledger.keep_bytes",
            "must not be less than `ledger.segment_bytes`: whole files are removed",
        );
    }
    LedgerConfig {
        directory: folder.join(raw.directory),
        durability: raw.durability,
        checkpoint_every: raw.checkpoint_every,
        // Not all the time, if somebody asks for none.
        checkpoint_interval: raw.checkpoint_interval.max(LEAST_INTERVAL),
        segment_bytes: raw.segment_bytes,
        segment_age: raw.segment_age,
        retention: Retention { keep_for: raw.keep_for, keep_bytes: raw.keep_bytes },
    }
}

const LEAST_INTERVAL: Duration = Duration::from_millis(100);
const LEAST_AGE: Duration = Duration::from_secs(60);
