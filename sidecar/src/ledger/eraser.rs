//! Erasing about whom entries are: their salts and what was committed to with them.

use std::{path::Path, time::Duration};

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{SEGMENT, store::UnusableLedger};

/// Erases, and leaves nothing of it in the file.
#[derive(Debug)]
pub(crate) struct Eraser {
    connection: SqliteConnection,
}

impl Eraser {
    pub(crate) async fn open(directory: &Path) -> Result<Self, UnusableLedger> {
        let file = directory.join(SEGMENT);
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .pragma("secure_delete", "ON")
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let connection = options.connect().await.map_err(UnusableLedger::of(&file))?;
        Ok(Self { connection })
    }

    /// Erases of all these entries or of none.
    pub(crate) async fn erase(&mut self, entries: &[i64]) -> Result<(), sqlx::Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        for seq in entries {
            sqlx::query("UPDATE entries SET salt = NULL, personal = NULL WHERE seq = ?")
                .bind(seq)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        // The log still holds what was written before.
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.connection).await?;
        Ok(())
    }
}

const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
