//! A segment of the ledger in a file: entries in the order in which they were made, appended in
//! groups. SQLite refuses to change or remove one; whom it was about can be erased.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::TryStreamExt as _;
use jiff::Timestamp;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};

use super::{
    checkpoint::Verifier,
    entry::{Entry, Placed},
    merkle::{Hash, Tree},
    segments::{self, Segment},
};
use crate::config::Durability;

/// Appends to a segment.
#[derive(Debug)]
pub(crate) struct Store {
    connection: SqliteConnection,
    segment: Segment,
    began: Timestamp,
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
    pub(super) fn of<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> Self + use<E> {
        let path = path.to_owned();
        move |cause| Self { path: path.clone(), cause: cause.to_string() }
    }
}

/// Where a segment begins.
#[derive(Debug, Clone)]
pub(crate) struct Beginning {
    /// The tree over everything before it.
    pub(crate) before: Tree,
    pub(crate) at: Timestamp,
}

impl Store {
    /// Makes the segment that goes on after `before`, which `note` vouches for if it holds anything.
    /// It is there as a whole or not at all.
    pub(crate) async fn begin(
        directory: &Path,
        durability: Durability,
        before: Tree,
        note: Option<&str>,
    ) -> Result<Self, UnusableLedger> {
        let segment = Segment::of(directory, before.size());
        let path = segment.path.with_extension("db.new");
        let unusable = UnusableLedger::of(&path);
        // Of a gate that ended while it made one.
        segments::remove(&path).map_err(UnusableLedger::of(&path))?;
        let options = options(&path, durability).create_if_missing(true);
        let mut connection = options.connect().await.map_err(&unusable)?;
        sqlx::raw_sql(LAYOUT).execute(&mut connection).await.map_err(&unusable)?;
        let began = Timestamp::now();
        let size = i64::try_from(before.size()).unwrap_or(i64::MAX);
        sqlx::query("INSERT INTO segment (first, roots, began) VALUES (?, ?, ?)")
            .bind(size)
            .bind(before.full().concat())
            .bind(began.to_string())
            .execute(&mut connection)
            .await
            .map_err(&unusable)?;
        if let Some(note) = note {
            keep(&mut connection, size, note).await.map_err(&unusable)?;
        }
        close(connection).await.map_err(&unusable)?;
        let placed = std::fs::rename(&path, &segment.path)
            .and_then(|()| File::open(directory))
            .and_then(|folder| folder.sync_all());
        placed.map_err(UnusableLedger::of(&segment.path))?;
        let connection = self::options(&segment.path, durability).connect().await;
        let connection = connection.map_err(UnusableLedger::of(&segment.path))?;
        Ok(Self { connection, segment, began, tree: before })
    }

    /// Opens a segment to append to it, unless it is not what was signed last.
    pub(crate) async fn open(
        segment: Segment,
        durability: Durability,
        verifier: &Verifier,
    ) -> Result<Self, UnusableLedger> {
        let unusable = UnusableLedger::of(&segment.path);
        let options = options(&segment.path, durability);
        let mut connection = options.connect().await.map_err(&unusable)?;
        let beginning = beginning(&mut connection).await.map_err(&unusable)?;
        let altered = |cause: String| UnusableLedger { path: segment.path.clone(), cause };
        let signed = match last_checkpoint(&mut connection).await.map_err(&unusable)? {
            Some(note) => Some(verifier.open(&note).map_err(|e| {
                altered(format!(
                    "its last checkpoint is not believed: {e}; see `cedargate audit verify`"
                ))
            })?),
            None => None,
        };
        let (size, root) = signed.map_or((0, Tree::default().root()), |it| (it.size, it.root));
        let first = beginning.before.size();
        let mut tree = beginning.before;
        let (mut as_signed, mut is_whole) = (tree.size() == size && tree.root() == root, true);
        let mut rows =
            sqlx::query("SELECT seq, hash FROM entries ORDER BY seq").fetch(&mut connection);
        while let Some(row) = rows.try_next().await.map_err(&unusable)? {
            let (seq, hash): (i64, Vec<u8>) =
                (row.try_get(0).unwrap_or(-1), row.try_get(1).unwrap_or_default());
            if u64::try_from(seq) != Ok(tree.size()) {
                is_whole = false;
                break;
            }
            tree.push(Hash::try_from(hash).unwrap_or_default());
            as_signed |= tree.size() == size && tree.root() == root;
        }
        drop(rows);
        if !as_signed || !is_whole || first != segment.first {
            return Err(altered(format!(
                "its first {size} entries are not those that were signed; see `cedargate audit verify`, and move it away to begin a new one"
            )));
        }
        Ok(Self { connection, segment, began: beginning.at, tree })
    }

    /// The tree over all entries.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// When its segment began, unless nothing is in it.
    pub(crate) fn began(&self) -> Option<Timestamp> {
        Some(self.began).filter(|_| self.tree.size() > self.segment.first)
    }

    /// How large its file is, but for what is still in the log beside it.
    pub(crate) fn bytes(&self) -> u64 {
        std::fs::metadata(&self.segment.path).map_or(0, |file| file.len())
    }

    /// Appends these or none of them, at most two [`MAX_GROUP`]s.
    pub(crate) async fn append(&mut self, entries: &[Entry]) -> Result<(), sqlx::Error> {
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
        keep(&mut self.connection, size, note).await
    }

    /// Everything is in the file itself, and nobody has it open any more.
    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        close(self.connection).await
    }
}

fn options(path: &Path, durability: Durability) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match durability {
            // What a write-ahead log was given survives the process, if not the machine.
            Durability::Process => SqliteSynchronous::Off,
            Durability::Power => SqliteSynchronous::Full,
        })
        .pragma("cache_size", CACHE)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

async fn keep(connection: &mut SqliteConnection, size: i64, note: &str) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT OR REPLACE INTO checkpoints (size, note) VALUES (?, ?)")
        .bind(size)
        .bind(note)
        .execute(connection)
        .await
        .map(drop)
}

async fn last_checkpoint(connection: &mut SqliteConnection) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1")
        .fetch_optional(connection)
        .await
}

/// Where the segment begins of which this is the file.
pub(super) async fn beginning(connection: &mut SqliteConnection) -> Result<Beginning, sqlx::Error> {
    let row = sqlx::query("SELECT first, roots, began FROM segment").fetch_one(connection).await?;
    let (first, roots): (i64, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
    let began: String = row.try_get(2)?;
    let damaged = || sqlx::Error::Protocol("where it begins cannot be read".to_owned());
    let full = roots.as_chunks().0.to_vec();
    let size = u64::try_from(first).map_err(|_| damaged())?;
    let before = Tree::resumed(size, full).filter(|_| roots.len().is_multiple_of(32));
    Ok(Beginning { before: before.ok_or_else(damaged)?, at: began.parse().map_err(|_| damaged())? })
}

async fn close(mut connection: SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    connection.close().await
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
/// Half a mebibyte: what is appended is not read again.
const CACHE: &str = "-512";

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
CREATE TABLE IF NOT EXISTS segment (
    first INTEGER NOT NULL,
    roots BLOB NOT NULL,
    began TEXT NOT NULL
) STRICT;
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
