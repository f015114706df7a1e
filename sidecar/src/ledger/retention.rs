//! How long a ledger is kept: sealed segments that are too old, or too many, are removed; that they
//! were is on record before they are gone.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::ConnectOptions as _;

use super::{
    segments::{Segment, segments},
    store::beginning,
};
use crate::config::Retention;

/// A sealed segment that is kept no longer.
#[derive(Debug)]
pub(super) struct Expired {
    pub(super) segment: Segment,
    /// The number of the entry after its last.
    pub(super) end: u64,
    pub(super) why: Why,
}

/// Why a segment is kept no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Why {
    /// Its last entry is older than anything is to be.
    Age,
    /// There is more than there is to be.
    Size,
}

/// What a ledger no longer keeps at this time, the oldest first. Never its last segment.
pub(super) async fn expired(
    directory: &Path,
    retention: Retention,
    now: Timestamp,
) -> Result<Vec<Expired>, sqlx::Error> {
    if retention == Retention::default() {
        return Ok(Vec::new());
    }
    let segments = segments(directory)?;
    let mut expired = Vec::new();
    let mut bytes: u64 = segments.iter().map(bytes_of).sum();
    for pair in segments.windows(2) {
        let [segment, next] = pair else { continue };
        let too_old = match retention.keep_for {
            Some(keep_for) => now.duration_since(began(next).await?).unsigned_abs() > keep_for,
            None => false,
        };
        let too_much = retention.keep_bytes.is_some_and(|most| bytes > most.get());
        let why = match (too_old, too_much) {
            (true, _) => Why::Age,
            (false, true) => Why::Size,
            // What came later is not older.
            (false, false) => break,
        };
        bytes -= bytes_of(segment).min(bytes);
        expired.push(Expired { segment: segment.clone(), end: next.first, why });
    }
    Ok(expired)
}

fn bytes_of(segment: &Segment) -> u64 {
    std::fs::metadata(&segment.path).map_or(0, |file| file.len())
}

/// When a segment began, which is when the one before it was sealed.
async fn began(segment: &Segment) -> Result<Timestamp, sqlx::Error> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&segment.path);
    let mut connection = options.read_only(true).disable_statement_logging().connect().await?;
    Ok(beginning(&mut connection).await?.at)
}
