//! Erasing about whom entries are: their salts and what was committed to with them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    segments::{Segment, segments},
    store::UnusableLedger,
};

/// Erases, and leaves nothing of it in the files.
#[derive(Debug)]
pub(crate) struct Eraser {
    segments: Vec<Segment>,
}

impl Eraser {
    pub(crate) fn open(directory: &Path) -> Result<Self, UnusableLedger> {
        let segments = segments(directory).map_err(UnusableLedger::of(directory))?;
        Ok(Self { segments })
    }

    /// Erases of each of these entries; those of one segment all or none.
    pub(crate) async fn erase(&mut self, entries: &[i64]) -> Result<(), UnusableLedger> {
        let mut left = entries.to_vec();
        // From the last to the first, each takes those that are its own.
        for segment in self.segments.iter().rev() {
            let first = i64::try_from(segment.first).unwrap_or(i64::MAX);
            let (own, earlier) = left.into_iter().partition(|seq| *seq >= first);
            left = earlier;
            let erased = erase_in(&segment.path, own).await;
            erased.map_err(UnusableLedger::of(&segment.path))?;
        }
        Ok(())
    }
}

async fn erase_in(file: &PathBuf, entries: Vec<i64>) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let options = SqliteConnectOptions::new()
        .filename(file)
        .pragma("secure_delete", "ON")
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    let mut connection: SqliteConnection = options.connect().await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for seq in entries {
        sqlx::query("UPDATE entries SET salt = NULL, personal = NULL WHERE seq = ?")
            .bind(seq)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    // The log still holds what was written before.
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    connection.close().await
}

const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
