//! On record: one [`DecisionRecord`] for every request, written before anything leaves.
//!
//! A record is an entry in a file that can only grow, a leaf of a Merkle tree whose root is signed
//! now and then, a structured log event of the target `cedargate::decision`, and a value for
//! subscribers in this process.

pub(crate) mod checkpoint;
mod decision;
pub(crate) mod entry;
pub(crate) mod eraser;
mod kept;
mod measures;
pub(crate) mod merkle;
mod outcome;
pub(crate) mod reader;
mod record;
mod retention;
mod segments;
pub(crate) mod store;
pub(crate) mod verification;
mod writer;

use std::{
    fs::File,
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tokio::sync::broadcast;
use uuid::Uuid;

pub use checkpoint::UnusableLedgerKey;
pub use decision::{Decision, DecisionRecord};
pub(crate) use record::OpenRecord;
pub use store::UnusableLedger;

use crate::{
    authz::Summary,
    config::LedgerConfig,
    telemetry::{CallersTrace, Flight, Telemetry},
    watch::{About, Finding, SeenIn, Watch, WatchConfig, Webhook},
};
use checkpoint::{Signer, Verifier};
use entry::Entry;
pub(crate) use measures::Measures;
use merkle::Tree;
pub(crate) use outcome::OpenOutcome;
use segments::segments;
use store::Store;
pub(crate) use writer::CHECKPOINTS;
use writer::{NotWritten, Writer};

/// Writes records.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    subscribers: broadcast::Sender<Arc<DecisionRecord>>,
    /// Nothing until it is opened.
    writer: Arc<OnceLock<Writer>>,
    /// The last version of the policies of which it is on record what it is.
    announced: Arc<ArcSwapOption<String>>,
    /// Looks at every record.
    watch: Arc<Watch>,
    /// Where findings are posted, too.
    webhook: Option<Arc<Webhook>>,
    telemetry: Arc<Telemetry>,
    measures: Arc<Measures>,
}

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Its folder cannot be made or is in use.
    #[error("cannot use `{path}` (`ledger.directory`) for the ledger: {cause}")]
    Folder {
        /// The folder.
        path: std::path::PathBuf,
        /// What was wrong.
        cause: io::Error,
    },
    /// Its key cannot be used.
    #[error(transparent)]
    Key(#[from] UnusableLedgerKey),
    /// Its file cannot be used.
    #[error(transparent)]
    File(#[from] UnusableLedger),
}

impl Ledger {
    /// A ledger that keeps nothing until it is opened.
    pub(crate) fn new(watch: WatchConfig) -> Self {
        let subscribers = broadcast::Sender::new(SUBSCRIBER_BACKLOG);
        Self {
            subscribers,
            writer: Arc::default(),
            announced: Arc::default(),
            watch: Arc::new(Watch::new(watch)),
            webhook: None,
            telemetry: Arc::default(),
            measures: Arc::default(),
        }
    }

    /// The same, which posts findings.
    pub(crate) fn posting(self, webhook: Option<Webhook>) -> Self {
        Self { webhook: webhook.map(Arc::new), ..self }
    }

    /// The same, whose requests are counted there.
    pub(crate) fn counted_by(self, telemetry: Arc<Telemetry>) -> Self {
        Self { telemetry, ..self }
    }

    /// How it does.
    pub(crate) fn measures(&self) -> &Measures {
        &self.measures
    }

    /// How many entries wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.writer.get().map_or(0, Writer::waiting)
    }

    /// Opens the files of the gate that is known as `origin`, or begins them.
    pub(crate) async fn open(
        &self,
        config: &LedgerConfig,
        origin: &str,
    ) -> Result<(), LedgerError> {
        let held = hold(&config.directory)
            .map_err(|cause| LedgerError::Folder { path: config.directory.clone(), cause })?;
        let signer = Signer::open(&config.directory.join(KEY), origin)?;
        let store = last_store(config, &signer.verifier()).await?;
        let verifier = signer.verifier().to_string();
        tracing::info!(entries = store.tree().size(), verifier, "the ledger is open");
        let measures = Arc::clone(&self.measures);
        let writer = Writer::start(store, signer, config.clone(), held, measures);
        // Once opened it stays so.
        drop(self.writer.set(writer));
        Ok(())
    }

    /// Whether anything is kept.
    fn is_open(&self) -> bool {
        self.writer.get().is_some()
    }

    /// Puts an entry into the file.
    async fn keep(&self, entry: impl FnOnce() -> Entry) -> Result<(), NotWritten> {
        match self.writer.get() {
            Some(writer) => writer.append(entry()).await,
            None => Ok(()),
        }
    }

    /// The same when nobody waits for it.
    fn append_soon(&self, entry: impl FnOnce() -> Entry) {
        if let Some(writer) = self.writer.get() {
            // It says itself what it loses.
            let _lost = writer.append_soon(entry());
        }
    }

    /// Puts on record what a version of the policies is, before the first decision under it.
    pub(crate) fn announce(&self, policies: &Summary) {
        let Some(writer) = self.writer.get() else { return };
        let known = self.announced.load();
        if known.as_ref().is_some_and(|known| **known == policies.version) {
            return;
        }
        if writer.append_soon(Entry::of_policies(policies, Timestamp::now())) {
            self.announced.store(Some(Arc::new(policies.version.clone())));
        }
    }

    /// What looks at every record.
    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    pub(crate) fn webhook(&self) -> Option<&Webhook> {
        self.webhook.as_deref()
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<DecisionRecord>> {
        self.subscribers.subscribe()
    }

    pub(crate) fn begin(&self, peer: SocketAddr, trace: Option<CallersTrace>) -> OpenRecord {
        let flight = Flight::new(Arc::clone(&self.telemetry), trace);
        OpenRecord::new(self.clone(), peer, flight)
    }

    fn tell(&self, record: &DecisionRecord) {
        let shadow = Some(record.shadow_policies.join(" ")).filter(|ids| !ids.is_empty());
        let limits: Vec<String> = record.limits.iter().map(ToString::to_string).collect();
        let limits = Some(limits.join(" ")).filter(|limits| !limits.is_empty());
        let required = Some(record.required_scopes.join(" ")).filter(|scopes| !scopes.is_empty());
        tracing::info!(
            target: "cedargate::decision",
            {
                request.id = %record.request_id,
                request.peer = %record.peer,
                token.iss = record.issuer,
                token.sub = record.subject,
                token.client_id = record.client_id,
                token.jti = record.token_id,
                trace.id = record.trace_id,
                claimed.provider = record.provider,
                claimed.model = record.model,
                mcp.method = record.method,
                mcp.target = record.target,
                decision.outcome = record.decision.as_str(),
                decision.reason = record.reason,
                decision.policies = record.policies.join(" "),
                decision.required_scopes = required,
                decision.limits = limits,
                decision.policy_version = record.policy_version,
                decision.shadow_policies = shadow,
                decision.shadow_flips = shadow.is_some().then_some(record.shadow_flips),
                decision.duration_us = record.decided_after_us
            },
            "decided"
        );
        if self.subscribers.receiver_count() > 0 {
            // Whoever listened may just have gone.
            drop(self.subscribers.send(Arc::new(record.clone())));
        }
        self.watch.observe(record).iter().for_each(|finding| self.raise(finding));
    }

    /// Looks for credentials in what passes.
    pub(crate) fn look_for_credentials(
        &self,
        about: impl FnOnce() -> About,
        request_id: Uuid,
        what: (&[u8], SeenIn),
    ) {
        let now = Timestamp::now();
        let found = self.watch.look_for_credentials(about, request_id, what, now);
        found.iter().for_each(|finding| self.raise(finding));
    }

    /// Puts on record that a list showed another definition of a tool than the accepted one.
    pub(crate) fn definition_changed(&self, tool: &str, request_id: Uuid) {
        let found = self.watch.definition_changed(tool, request_id, Timestamp::now());
        found.iter().for_each(|finding| self.raise(finding));
    }

    /// Puts a finding on record.
    fn raise(&self, finding: &Finding) {
        tracing::warn!(
            target: "cedargate::finding",
            {
                finding.id = %finding.id,
                finding.detector = finding.detector.code(),
                finding.severity = ?finding.severity,
                finding.about = ?finding.about,
                finding.expires = %finding.expires,
            },
            "{}", finding.explanation
        );
        self.telemetry.noticed(finding);
        self.append_soon(|| Entry::of_finding(finding));
        if let Some(webhook) = &self.webhook {
            webhook.offer(finding);
        }
    }
}

/// Makes the folder, for its owner alone, and keeps other gates out of it.
fn hold(directory: &Path) -> io::Result<File> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let lock = directory.join(LOCK);
    let file = File::options().create(true).append(true).mode(0o600).open(lock)?;
    file.try_lock().map_err(|_| io::Error::other("another gate writes to it"))?;
    Ok(file)
}

/// Whether a gate could write to this ledger, in words. Makes nothing that is not there.
pub(crate) async fn look(config: &LedgerConfig, origin: &str) -> Result<String, LedgerError> {
    let directory = &config.directory;
    let shown = directory.display();
    if !directory.exists() {
        return Ok(format!("the ledger `{shown}` is made at the first start"));
    }
    let unusable = |cause| LedgerError::Folder { path: directory.clone(), cause };
    let lock = File::options().append(true).open(directory.join(LOCK));
    match lock.map(|lock| lock.try_lock()) {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return Ok(format!("a gate writes to the ledger `{shown}`")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(format!("the ledger `{shown}` is begun at the first start"));
        }
        Err(error) => return Err(unusable(error)),
    }
    if !directory.join(KEY).exists() || segments(directory).map_err(unusable)?.is_empty() {
        return Ok(format!("the ledger `{shown}` is begun at the first start"));
    }
    let signer = Signer::open(&directory.join(KEY), origin)?;
    let store = last_store(config, &signer.verifier()).await?;
    let entries = store.tree().size();
    store.close().await.map_err(UnusableLedger::of(directory))?;
    Ok(format!("the ledger `{shown}` holds {entries} entries and can be written"))
}

/// The last segment, or the first one of a ledger that begins.
async fn last_store(config: &LedgerConfig, verifier: &Verifier) -> Result<Store, UnusableLedger> {
    let segments = segments(&config.directory).map_err(UnusableLedger::of(&config.directory))?;
    match segments.into_iter().next_back() {
        Some(last) => Store::open(last, config.durability, verifier).await,
        None => Store::begin(&config.directory, config.durability, Tree::default(), None).await,
    }
}

/// What signs checkpoints.
pub(crate) const KEY: &str = "signing-key.der";
const LOCK: &str = "lock";
/// A slow subscriber loses the oldest records, not the gate its time.
const SUBSCRIBER_BACKLOG: usize = 1024;

#[cfg(test)]
mod tests;
