//! Writes entries in groups: whoever waits while one group is written is in the next.

use std::{fs::File, io::Write as _, sync::Arc, time::Duration};

use jiff::Timestamp;

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    checkpoint::Signer,
    entry::Entry,
    last_store,
    measures::Measures,
    retention::expired,
    store::{MAX_GROUP, Store},
};
use crate::config::LedgerConfig;

/// The way to the writer.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    entries: mpsc::Sender<Waiting>,
    measures: Arc<Measures>,
}

/// An entry, and who wants to know when it is written.
#[derive(Debug)]
struct Waiting {
    entry: Entry,
    written: Option<oneshot::Sender<bool>>,
}

/// What could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotWritten;

/// The one that writes.
#[derive(Debug)]
struct Writing {
    store: Option<Store>,
    signer: Signer,
    config: LedgerConfig,
    /// What could not be written and has nobody who waits for it: written first when that is possible
    /// again.
    owed: Vec<Entry>,
    /// When it was looked last what is to be kept no longer.
    tidied: Option<Instant>,
    /// The size of the tree at the last checkpoint, and when that was.
    signed: (u64, Instant),
    measures: Arc<Measures>,
    /// Keeps others out.
    _held: File,
}

impl Writer {
    /// Starts writing to a store.
    pub(super) fn start(
        store: Store,
        signer: Signer,
        config: LedgerConfig,
        held: File,
        measures: Arc<Measures>,
    ) -> Self {
        let (entries, waiting) = mpsc::channel(MAX_WAITING);
        let signed = (store.tree().size(), Instant::now());
        let writing = Writing {
            store: Some(store),
            signer,
            config,
            owed: Vec::new(),
            tidied: None,
            signed,
            measures: Arc::clone(&measures),
            _held: held,
        };
        tokio::spawn(writing.write(waiting));
        Self { entries, measures }
    }

    /// Appends an entry and waits until it is as safe as was asked for.
    pub(super) async fn append(&self, entry: Entry) -> Result<(), NotWritten> {
        let (written, outcome) = oneshot::channel();
        // Without waiting, so that what was sent is written whether or not its caller stays.
        let waiting = Waiting { entry, written: Some(written) };
        self.entries.try_send(waiting).map_err(|_| {
            self.measures.lost.one_more();
            NotWritten
        })?;
        let appended =
            async { if outcome.await.unwrap_or(false) { Ok(()) } else { Err(NotWritten) } };
        tokio::time::timeout(PATIENCE, appended).await.unwrap_or(Err(NotWritten))
    }

    /// How many entries wait.
    pub(super) fn waiting(&self) -> usize {
        self.entries.max_capacity() - self.entries.capacity()
    }

    /// Appends an entry for which nobody waits; `false` when it is lost.
    pub(super) fn append_soon(&self, entry: Entry) -> bool {
        let sent = self.entries.try_send(Waiting { entry, written: None }).is_ok();
        if !sent {
            self.measures.lost.one_more();
            tracing::error!("an entry of the ledger is lost: too many wait to be written");
        }
        sent
    }
}

impl Writing {
    /// Until nobody is left who could write anything.
    async fn write(mut self, mut waiting: mpsc::Receiver<Waiting>) {
        let mut group = Vec::with_capacity(MAX_GROUP);
        loop {
            let until = self.signed.1 + self.config.checkpoint_interval;
            tokio::select! {
                count = waiting.recv_many(&mut group, MAX_GROUP) => {
                    if count == 0 {
                        break;
                    }
                    in_company(&mut group, &mut waiting).await;
                    self.append(&mut group).await;
                }
                () = tokio::time::sleep_until(until) => {}
            }
            if self.is_time_to_sign() {
                if !self.owed.is_empty() {
                    self.append(&mut group).await;
                }
                self.sign().await;
                self.seal_if_due().await;
                self.remove_expired().await;
            }
        }
        self.sign().await;
        self.close().await;
    }

    async fn close(&mut self) {
        if let Some(store) = self.store.take()
            && let Err(error) = store.close().await
        {
            tracing::error!(%error, "the ledger was not closed");
        }
    }

    async fn append(&mut self, group: &mut Vec<Waiting>) {
        let mut entries = std::mem::take(&mut self.owed);
        let owed = entries.len();
        let (more, written): (Vec<Entry>, Vec<_>) =
            group.drain(..).map(|waiting| (waiting.entry, waiting.written)).unzip();
        entries.extend(more);
        let began = Instant::now();
        let outcome = match self.store().await {
            Some(store) => store.append(&entries).await.map_err(|e| e.to_string()),
            None => Err("it cannot be opened".to_owned()),
        };
        if let Err(error) = &outcome {
            tracing::error!(error, entries = entries.len(), "the ledger cannot be written");
            // Whether a part of it was is found out when it is opened anew.
            self.store = None;
            let waited_for = written.iter().map(Option::is_some);
            let is_owed = std::iter::repeat_n(true, owed).chain(waited_for.map(|waits| !waits));
            let still = entries.drain(..).zip(is_owed).filter(|(_, is_owed)| *is_owed);
            self.owed = still.map(|(entry, _)| entry).take(MAX_GROUP).collect();
            self.measures.failed(owed + written.len() - self.owed.len(), began.elapsed());
        } else {
            self.measures.wrote(entries.len(), began.elapsed());
        }
        for waiting in written.into_iter().flatten() {
            // Who has gone does not need to know.
            let _gone = waiting.send(outcome.is_ok());
        }
    }

    /// The store, opened anew after it failed.
    async fn store(&mut self) -> Option<&mut Store> {
        if self.store.is_none() {
            match last_store(&self.config, &self.signer.verifier()).await {
                Ok(store) => {
                    tracing::info!("the ledger can be written again");
                    self.store = Some(store);
                }
                Err(error) => tracing::error!(%error, "the ledger cannot be opened"),
            }
        }
        self.store.as_mut()
    }

    fn is_time_to_sign(&self) -> bool {
        let size = self.store.as_ref().map_or(self.signed.0, |store| store.tree().size());
        let new = size.saturating_sub(self.signed.0);
        let late = self.signed.1.elapsed() >= self.config.checkpoint_interval;
        new >= self.config.checkpoint_every.get() || late
    }

    /// Begins another segment when this one is large or old. What is sealed is signed.
    async fn seal_if_due(&mut self) {
        let Some(store) = &self.store else { return };
        let Some(began) = store.began() else { return };
        let age = Timestamp::now().duration_since(began).unsigned_abs();
        let is_due =
            store.bytes() >= self.config.segment_bytes.get() || age >= self.config.segment_age;
        if !is_due || self.signed.0 != store.tree().size() {
            return;
        }
        let (tree, size) = (store.tree().clone(), store.tree().size());
        let note = self.signer.note(&tree);
        self.close().await;
        let (directory, durability) = (&self.config.directory, self.config.durability);
        match Store::begin(directory, durability, tree, Some(&note)).await {
            Ok(store) => {
                tracing::info!(entries = size, "a segment of the ledger is sealed");
                self.store = Some(store);
                self.tidied = None;
            }
            // The one that was to be sealed is gone on with.
            Err(error) => tracing::error!(%error, "no segment of the ledger was begun"),
        }
    }

    /// Removes what is to be kept no longer, once that is on record.
    async fn remove_expired(&mut self) {
        if self.tidied.is_some_and(|tidied| tidied.elapsed() < TIDY_EVERY) {
            return;
        }
        self.tidied = Some(Instant::now());
        let Some(store) = &mut self.store else { return };
        let (directory, now) = (&self.config.directory, Timestamp::now());
        let expired = match expired(directory, self.config.retention, now).await {
            Ok(expired) => expired,
            Err(error) => {
                return tracing::error!(%error, "what the ledger keeps no longer is not known");
            }
        };
        for expired in expired {
            let name = expired.segment.name();
            if let Err(error) = store.append(&[Entry::of_removal(&expired, now)]).await {
                tracing::error!(%error, name, "a segment stays: its removal is not on record");
                self.store = None;
                return;
            }
            match expired.segment.remove() {
                Ok(()) => {
                    tracing::info!(name, why = ?expired.why, "a segment of the ledger is removed")
                }
                Err(error) => {
                    tracing::error!(%error, name, "a segment of the ledger was not removed")
                }
            }
        }
    }

    /// Signs what the tree is, unless that has been signed: into the ledger, a file beside it, and
    /// the log. A ledger that could not be written is tried so, for nobody else may ask it to.
    async fn sign(&mut self) {
        let Some(store) = self.store().await else {
            self.signed.1 = Instant::now();
            return;
        };
        let size = store.tree().size();
        if size == 0 {
            self.measures.written_again();
        }
        if size == self.signed.0 && self.measures.is_writable() {
            self.signed.1 = Instant::now();
            self.measures.all_signed();
            return;
        }
        let Some(store) = self.store.as_mut() else { return };
        let note = self.signer.note(store.tree());
        match store.keep_checkpoint(&note).await {
            Ok(()) => self.measures.written_again(),
            Err(error) => tracing::error!(%error, "a checkpoint was not kept"),
        }
        self.signed = (size, Instant::now());
        self.measures.all_signed();
        let beside = self.config.directory.join(CHECKPOINTS);
        let appended = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(beside)
            .and_then(|mut file| file.write_all(format!("{note}\n").as_bytes()));
        if let Err(error) = appended {
            tracing::error!(%error, "a checkpoint was not written beside the ledger");
        }
        tracing::info!(target: "cedargate::checkpoint", size, note, "the ledger is signed");
    }
}

/// Lets more entries join: those of requests that run already, and while nobody waits for any of
/// them, those of the next [`COMPANY`].
async fn in_company(group: &mut Vec<Waiting>, waiting: &mut mpsc::Receiver<Waiting>) {
    tokio::task::yield_now().await;
    let until = Instant::now() + COMPANY;
    let mut looked_at = 0;
    loop {
        while group.len() < MAX_GROUP
            && let Ok(more) = waiting.try_recv()
        {
            group.push(more);
        }
        let is_awaited = group.iter().skip(looked_at).any(|one| one.written.is_some());
        looked_at = group.len();
        if is_awaited || looked_at >= MAX_GROUP {
            return;
        }
        let room = MAX_GROUP - looked_at;
        match tokio::time::timeout_at(until, waiting.recv_many(group, room)).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// All checkpoints, one after the other, for whoever copies them to somewhere else.
pub(crate) const CHECKPOINTS: &str = "checkpoints.txt";
/// Several groups; who comes later is refused while the ledger is stuck.
const MAX_WAITING: usize = 8 * MAX_GROUP;
/// How long an outcome may wait for a decision to be written with.
const COMPANY: Duration = Duration::from_millis(10);
const TIDY_EVERY: Duration = Duration::from_secs(3_600);
/// Longer than a disk hesitates.
const PATIENCE: Duration = Duration::from_secs(10);
