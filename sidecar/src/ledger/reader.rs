//! Reading a ledger, while a gate writes to it or not.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use super::{
    CHECKPOINTS,
    entry::Placed,
    merkle::{Hash, Leaves},
    segments::{Segment, segments},
    store::{Beginning, UnusableLedger, beginning, placed},
};

/// Reads the files of a ledger, one at a time.
#[derive(Debug)]
pub(crate) struct Reader {
    directory: PathBuf,
    segments: Vec<Segment>,
    /// The one that is open, and its place among them.
    open: (usize, SqliteConnection),
    /// The checkpoints that stand beside the files.
    beside: Vec<String>,
}

impl Reader {
    /// Opens the ledger in a folder.
    pub(crate) async fn open(directory: &Path) -> Result<Self, UnusableLedger> {
        let segments = segments(directory).map_err(UnusableLedger::of(directory))?;
        let Some(first) = segments.first() else {
            let cause = "there is none; a gate makes it when it starts".to_owned();
            return Err(UnusableLedger { path: directory.to_owned(), cause });
        };
        let connection = connect(&first.path).await.map_err(UnusableLedger::of(&first.path))?;
        let text = std::fs::read_to_string(directory.join(CHECKPOINTS)).unwrap_or_default();
        let directory = directory.to_owned();
        Ok(Self { directory, segments, open: (0, connection), beside: notes_in(&text) })
    }

    /// Where it begins; after the beginning of all things when older segments were removed.
    pub(crate) async fn beginning(&mut self) -> Result<Beginning, sqlx::Error> {
        beginning(self.segment(0).await?).await
    }

    /// Up to so many entries from this number on, in order; none when there are none.
    pub(crate) async fn from(&mut self, seq: i64, most: u32) -> Result<Vec<Placed>, sqlx::Error> {
        let mut place = self.place_of(seq);
        loop {
            let rows = sqlx::query("SELECT * FROM entries WHERE seq >= ? ORDER BY seq LIMIT ?")
                .bind(seq)
                .bind(most)
                .fetch_all(self.segment(place).await?)
                .await?;
            place += 1;
            if !rows.is_empty() || !self.has(place)? {
                return Ok(rows.iter().map(placed).collect());
            }
        }
    }

    /// Up to so many entries before this number, the latest first; none when there are none.
    pub(crate) async fn before(&mut self, seq: i64, most: u32) -> Result<Vec<Placed>, sqlx::Error> {
        let mut place = self.place_of(seq);
        loop {
            let rows = sqlx::query("SELECT * FROM entries WHERE seq < ? ORDER BY seq DESC LIMIT ?")
                .bind(seq)
                .bind(most)
                .fetch_all(self.segment(place).await?)
                .await?;
            match place.checked_sub(1) {
                Some(earlier) if rows.is_empty() => place = earlier,
                _ => return Ok(rows.iter().map(placed).collect()),
            }
        }
    }

    /// What there is about one request.
    pub(crate) async fn about(&mut self, request: &str) -> Result<Vec<Placed>, sqlx::Error> {
        let mut found = Vec::new();
        for place in 0..self.segments.len() {
            let rows: Vec<SqliteRow> =
                sqlx::query("SELECT * FROM entries WHERE request_id = ? ORDER BY seq")
                    .bind(request)
                    .fetch_all(self.segment(place).await?)
                    .await?;
            found.extend(rows.iter().map(placed));
        }
        Ok(found)
    }

    /// The leaves of its tree.
    pub(crate) async fn leaves(&mut self) -> Result<Leaves, sqlx::Error> {
        let before = self.beginning().await?.before;
        let mut known: Vec<Hash> = Vec::new();
        for place in 0..self.segments.len() {
            let rows: Vec<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM entries ORDER BY seq")
                .fetch_all(self.segment(place).await?)
                .await?;
            // One that is none is a hash of noughts and fits nothing.
            known.extend(rows.into_iter().map(|row| Hash::try_from(row).unwrap_or_default()));
        }
        Ok(Leaves::new(before, known))
    }

    /// Every signed note in the files and beside them.
    pub(crate) async fn notes(&mut self) -> Result<Vec<String>, sqlx::Error> {
        let mut notes: Vec<String> = Vec::new();
        for place in 0..self.segments.len() {
            let more: Vec<String> =
                sqlx::query_scalar("SELECT note FROM checkpoints ORDER BY size")
                    .fetch_all(self.segment(place).await?)
                    .await?;
            notes.extend(more);
        }
        notes.extend_from_slice(&self.beside);
        // What stands in several places stands there word for word.
        let mut seen = std::collections::HashSet::new();
        notes.retain(|note| seen.insert(note.clone()));
        Ok(notes)
    }

    /// What is wrong with the files themselves, in SQLite's words.
    pub(crate) async fn damage(&mut self) -> Result<Vec<String>, sqlx::Error> {
        let mut damage = Vec::new();
        for place in 0..self.segments.len() {
            let said: Vec<String> = sqlx::query_scalar("PRAGMA quick_check(1)")
                .fetch_all(self.segment(place).await?)
                .await?;
            let name = self.segments.get(place).map(Segment::name).unwrap_or_default();
            let said = said.into_iter().filter(|said| said != "ok");
            damage.extend(said.map(|said| format!("{name}: {said}")));
        }
        Ok(damage)
    }

    /// The place of the segment that holds this entry, or would.
    fn place_of(&self, seq: i64) -> usize {
        let begun = |segment: &Segment| i64::try_from(segment.first).is_ok_and(|it| it <= seq);
        self.segments.partition_point(begun).saturating_sub(1)
    }

    /// Whether there is a segment in this place; looks for new ones.
    fn has(&mut self, place: usize) -> Result<bool, sqlx::Error> {
        if place >= self.segments.len() {
            let last = self.segments.last().map(|segment| segment.first);
            let all = segments(&self.directory)?;
            self.segments.extend(all.into_iter().filter(|segment| Some(segment.first) > last));
        }
        Ok(place < self.segments.len())
    }

    /// The segment in this place, opened.
    async fn segment(&mut self, place: usize) -> Result<&mut SqliteConnection, sqlx::Error> {
        if self.open.0 != place
            && let Some(segment) = self.segments.get(place)
        {
            self.open = (place, connect(&segment.path).await?);
        }
        Ok(&mut self.open.1)
    }
}

async fn connect(file: &Path) -> Result<SqliteConnection, sqlx::Error> {
    // Of a file that is written to, whoever reads needs the index beside it.
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(BUSY_TIMEOUT);
    options.read_only(true).disable_statement_logging().connect().await
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
