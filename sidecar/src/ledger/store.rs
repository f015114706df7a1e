//! A segment of the ledger in a file: entries in the order in which they were made, appended in
//! groups. SQLite refuses to change or remove one; whom it was about can be erased.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};

use super::{
    entry::{Entry, Placed},
    merkle::{Hash, Tree},
};
use crate::config::Durability;

/// Appends to a file.
#[derive(Debug)]
pub(crate) struct Store {
    connection: SqliteConnection,
    tree: Tree,
}

/// Why a file of the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the ledger `{path}`: {cause}")]
pub struct UnusableLedger {
    pub(super) path: PathBuf,
    pub(super) cause: String,
}

impl UnusableLedger {
    pub(super) fn of(path: &Path) -> impl Fn(sqlx::Error) -> Self {
        move |cause| Self { path: path.to_owned(), cause: cause.to_string() }
    }
}

impl Store {
    /// Opens the file at `path` to append to it, or makes it.
    pub(crate) async fn open(path: &Path, durability: Durability) -> Result<Self, UnusableLedger> {
        let unusable = UnusableLedger::of(path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(match durability {
                // What a write-ahead log was given survives the process, if not the machine.
                Durability::Process => SqliteSynchronous::Off,
                Durability::Power => SqliteSynchronous::Full,
            })
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let mut connection = options.connect().await.map_err(&unusable)?;
        sqlx::raw_sql(LAYOUT).execute(&mut connection).await.map_err(&unusable)?;
        let tree = Tree::over(&hashes(&mut connection).await.map_err(&unusable)?);
        Ok(Self { connection, tree })
    }

    /// The tree over all entries.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Appends these or none of them, at most [`MAX_GROUP`].
    pub(crate) async fn append(&mut self, entries: Vec<Entry>) -> Result<(), sqlx::Error> {
        let first = i64::try_from(self.tree.size()).unwrap_or(i64::MAX);
        let mut tree = self.tree.clone();
        let rows = entries.len().next_power_of_two();
        let mut insert = sqlx::query(AssertSqlSafe(insertion(rows)));
        for (seq, entry) in (first..).zip(entries) {
            let Placed { seq, leaf, salt, personal, hash } = entry.placed(seq);
            tree.push(Hash::try_from(hash.as_slice()).unwrap_or_default());
            insert = insert.bind(seq).bind(leaf).bind(salt).bind(personal).bind(hash);
        }
        // One statement is a transaction of its own. What is not bound is nothing.
        insert.execute(&mut self.connection).await?;
        self.tree = tree;
        Ok(())
    }

    /// Keeps a signed checkpoint.
    pub(crate) async fn keep_checkpoint(&mut self, note: &str) -> Result<(), sqlx::Error> {
        let size = i64::try_from(self.tree.size()).unwrap_or(i64::MAX);
        sqlx::query("INSERT OR REPLACE INTO checkpoints (size, note) VALUES (?, ?)")
            .bind(size)
            .bind(note)
            .execute(&mut self.connection)
            .await
            .map(drop)
    }

    /// The last checkpoint that was kept.
    pub(crate) async fn last_checkpoint(&mut self) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1")
            .fetch_optional(&mut self.connection)
            .await
    }

    /// The tree over the first so many entries; `None` when there are fewer.
    pub(crate) async fn tree_of(&mut self, size: u64) -> Result<Option<Tree>, sqlx::Error> {
        let hashes = hashes(&mut self.connection).await?;
        let first = usize::try_from(size).ok().and_then(|size| hashes.get(..size));
        Ok(first.map(Tree::over))
    }

    /// Everything is in the file itself, and nobody has it open any more.
    pub(crate) async fn close(mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.connection).await?;
        self.connection.close().await
    }
}

/// What appends up to so many entries. SQLite keeps a program for each that it is given, so they are
/// for powers of two, and rows of nothing are left out.
fn insertion(rows: usize) -> String {
    let values = ["(?, ?, ?, ?, ?)"].repeat(rows).join(", ");
    format!(
        "INSERT INTO entries (seq, leaf, salt, personal, hash) \
         SELECT * FROM (VALUES {values}) WHERE column1 IS NOT NULL"
    )
}

/// The hashes of all entries, in order. One that is none is a hash of noughts and fits nothing.
pub(super) async fn hashes(connection: &mut SqliteConnection) -> Result<Vec<Hash>, sqlx::Error> {
    let rows: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT hash FROM entries ORDER BY seq").fetch_all(connection).await?;
    Ok(rows.into_iter().map(|row| Hash::try_from(row).unwrap_or_default()).collect())
}

/// An entry as it stands in its row; damaged values are as if they were not there.
pub(super) fn placed(row: &SqliteRow) -> Placed {
    Placed {
        seq: row.try_get("seq").unwrap_or(-1),
        leaf: row.try_get("leaf").unwrap_or_default(),
        salt: row.try_get("salt").ok().flatten(),
        personal: row.try_get("personal").ok().flatten(),
        hash: row.try_get("hash").unwrap_or_default(),
    }
}

/// How many entries one statement appends; each takes five of its variables.
pub(crate) const MAX_GROUP: usize = 512;
/// For whoever erases or reads meanwhile.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const LAYOUT: &str = r#"
CREATE TABLE IF NOT EXISTS entries (
    seq        INTEGER PRIMARY KEY,
    leaf       TEXT NOT NULL,
    salt       BLOB,
    personal   TEXT,
    hash       BLOB NOT NULL,
    request_id TEXT GENERATED ALWAYS AS (
        CASE WHEN substr(leaf, 1, 15) = '{"request_id":"' THEN substr(leaf, 16, 36) END
    ) VIRTUAL
) STRICT;
CREATE INDEX IF NOT EXISTS entries_by_request ON entries (request_id);
CREATE TABLE IF NOT EXISTS checkpoints (
    size INTEGER PRIMARY KEY,
    note TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS entries_stay BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'entries of a ledger are not removed'); END;
CREATE TRIGGER IF NOT EXISTS entries_are_not_changed BEFORE UPDATE OF seq, leaf, hash ON entries
BEGIN SELECT RAISE(ABORT, 'entries of a ledger are not changed'); END;
CREATE TRIGGER IF NOT EXISTS entries_are_erased_alone BEFORE UPDATE OF salt, personal ON entries
WHEN NEW.salt IS NOT NULL OR NEW.personal IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'whom an entry of a ledger is about can be erased and not changed'); END;
"#;
