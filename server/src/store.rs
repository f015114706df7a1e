//! Customers and tickets in SQLite.
//!
//! What goes wrong here is told to operators in the log and to callers as [`StoreError`] without
//! a word of SQL.

mod customer;
mod ticket;

use std::{path::Path, time::Duration};

use sqlx::{
    SqlitePool,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub use customer::Customer;
pub use ticket::{NewTicket, Priority, Ticket};

/// Whether the demo customers are put into the store when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoRows {
    /// Put them in where they are missing.
    Insert,
    /// Leave the store as it is.
    Leave,
}

/// The open store; clones share one pool.
#[derive(Debug, Clone)]
pub struct Store {
    pool: SqlitePool,
}

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No customer has this id.
    #[error("no customer `{0}`")]
    NoSuchCustomer(String),
    /// The database refused or failed; the cause is for the log alone.
    #[error("the customer store failed")]
    Failed(#[source] sqlx::Error),
    /// A migration does not apply: the file is not ours, or is newer than this program.
    #[error("its schema cannot be brought up to date: {0}")]
    Migration(#[from] MigrateError),
    /// The file cannot be opened.
    #[error("{0}")]
    Unopenable(sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(cause: sqlx::Error) -> Self {
        Self::Failed(cause)
    }
}

impl Store {
    /// Opens the file at `path`, making it when it does not exist, and applies the migrations.
    ///
    /// A committed ticket survives a crash of the process and of the machine: write-ahead log with
    /// a sync at every commit.
    pub async fn open(path: &Path, demo_rows: DemoRows) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_with(options)
            .await
            .map_err(StoreError::Unopenable)?;
        sqlx::migrate!("../migrations/sqlite").run(&pool).await?;
        if demo_rows == DemoRows::Insert {
            sqlx::raw_sql(include_str!("store/demo_rows.sql")).execute(&pool).await?;
        }
        Ok(Self { pool })
    }

    /// Whether the store answers.
    pub async fn is_healthy(&self) -> bool {
        match sqlx::query("select 1").execute(&self.pool).await {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(%error, "the customer store does not answer");
                false
            }
        }
    }
}

/// SQLite has one writer; readers beside it need few connections.
const CONNECTIONS: u32 = 4;
/// A caller waits at most this long for the one writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
impl Store {
    /// Takes the tables away under the running store.
    pub(crate) async fn break_for_test(&self) {
        sqlx::raw_sql("drop table ticket; drop table customer").execute(&self.pool).await.unwrap();
    }
}
