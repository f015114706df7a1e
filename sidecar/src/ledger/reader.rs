//! Reading a ledger, while a gate writes to it or not.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use super::{
    CHECKPOINTS, SEGMENT,
    entry::Placed,
    merkle::Hash,
    store::{UnusableLedger, placed},
};

/// Reads a ledger's file.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: SqliteConnection,
    /// The checkpoints that stand beside the file.
    beside: Vec<String>,
}

impl Reader {
    /// Opens the ledger in a folder.
    pub(crate) async fn open(directory: &Path) -> Result<Self, UnusableLedger> {
        let file = directory.join(SEGMENT);
        if !file.exists() {
            let cause = "there is none; a gate makes it when it starts".to_owned();
            return Err(UnusableLedger { path: file, cause });
        }
        let options = SqliteConnectOptions::new().filename(&file).busy_timeout(BUSY_TIMEOUT);
        // Of a file that is written to, whoever reads needs the index beside it.
        let options = options.read_only(true).disable_statement_logging();
        let connection = options.connect().await.map_err(UnusableLedger::of(&file))?;
        let text = std::fs::read_to_string(directory.join(CHECKPOINTS)).unwrap_or_default();
        Ok(Self { connection, beside: notes_in(&text) })
    }

    /// Up to so many entries from this number on, in order.
    pub(crate) async fn from(&mut self, seq: i64, most: u32) -> Result<Vec<Placed>, sqlx::Error> {
        let rows = sqlx::query("SELECT * FROM entries WHERE seq >= ? ORDER BY seq LIMIT ?")
            .bind(seq)
            .bind(most)
            .fetch_all(&mut self.connection)
            .await?;
        Ok(rows.iter().map(placed).collect())
    }

    /// Up to so many entries before this number, the latest first.
    pub(crate) async fn before(&mut self, seq: i64, most: u32) -> Result<Vec<Placed>, sqlx::Error> {
        let rows = sqlx::query("SELECT * FROM entries WHERE seq < ? ORDER BY seq DESC LIMIT ?")
            .bind(seq)
            .bind(most)
            .fetch_all(&mut self.connection)
            .await?;
        Ok(rows.iter().map(placed).collect())
    }

    /// What there is about one request.
    pub(crate) async fn about(&mut self, request: &str) -> Result<Vec<Placed>, sqlx::Error> {
        let rows: Vec<SqliteRow> =
            sqlx::query("SELECT * FROM entries WHERE request_id = ? ORDER BY seq")
                .bind(request)
                .fetch_all(&mut self.connection)
                .await?;
        Ok(rows.iter().map(placed).collect())
    }

    /// The hashes of all entries, in order.
    pub(crate) async fn hashes(&mut self) -> Result<Vec<Hash>, sqlx::Error> {
        super::store::hashes(&mut self.connection).await
    }

    /// Every signed note in the file and beside it.
    pub(crate) async fn notes(&mut self) -> Result<Vec<String>, sqlx::Error> {
        let mut notes: Vec<String> =
            sqlx::query_scalar("SELECT note FROM checkpoints ORDER BY size")
                .fetch_all(&mut self.connection)
                .await?;
        notes.extend(
            self.beside.iter().filter(|note| !notes.contains(note)).cloned().collect::<Vec<_>>(),
        );
        Ok(notes)
    }

    /// Whether the file itself is whole, in SQLite's words if it is not.
    pub(crate) async fn damage(&mut self) -> Result<Option<String>, sqlx::Error> {
        let said: Vec<String> =
            sqlx::query_scalar("PRAGMA quick_check(1)").fetch_all(&mut self.connection).await?;
        Ok(said.into_iter().find(|said| said != "ok"))
    }
}

/// Notes that stand one after the other, each with its signature and an empty line after it.
fn notes_in(text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let mut parts = text.split("\n\n");
    while let (Some(body), Some(signatures)) = (parts.next(), parts.next()) {
        notes.push(format!("{}\n\n{}\n", body.trim_start_matches('\n'), signatures.trim_end()));
    }
    notes
}

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
