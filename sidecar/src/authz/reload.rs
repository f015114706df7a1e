//! Policies that follow their files: a changed set is loaded whole and swapped in, a broken one
//! is refused loudly while the last good one goes on serving.

use std::{
    collections::BTreeSet,
    path::{self, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{
    signal::unix,
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};

use super::{policies::Policies, problems::PolicyError, source};
use crate::{config::Config, telemetry::Counter};

/// The policies in force.
#[derive(Debug)]
pub(crate) struct PolicyStore {
    config: Config,
    current: ArcSwap<Policies>,
    /// Of the files just before they were loaded for the first time.
    first_fingerprint: u64,
    /// Whether the files say something else that could not be loaded.
    stale: AtomicBool,
    /// When those in force were loaded.
    loaded_at: ArcSwap<Instant>,
    reloads: Counter,
    refused_reloads: Counter,
}

impl PolicyStore {
    /// Loads the policies for the first time.
    pub(crate) fn load(config: &Config) -> Result<Self, PolicyError> {
        let (loaded, first_fingerprint) = load_at_rest(config);
        let current = ArcSwap::from_pointee(loaded?);
        Ok(Self {
            config: config.clone(),
            current,
            first_fingerprint,
            stale: AtomicBool::new(false),
            loaded_at: ArcSwap::from_pointee(Instant::now()),
            reloads: Counter::default(),
            refused_reloads: Counter::default(),
        })
    }

    /// The snapshot in force; one request uses one from start to end.
    pub(crate) fn current(&self) -> Arc<Policies> {
        self.current.load_full()
    }

    /// Whether the files say something else than what is in force.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// How long ago those in force were loaded.
    pub(crate) fn age(&self) -> Duration {
        self.loaded_at.load().elapsed()
    }

    /// How many reloads there were since the start, and how many that were refused.
    pub(crate) fn reloads(&self) -> (u64, u64) {
        (self.reloads.get(), self.refused_reloads.get())
    }

    /// Follows the files for as long as it is polled. SIGHUP reloads too.
    pub(crate) async fn follow_files(&self) {
        let changed = Arc::new(Notify::new());
        let mut hangup = match unix::signal(unix::SignalKind::hangup()) {
            Ok(hangup) => Some(hangup),
            Err(error) => {
                tracing::warn!(%error, "cannot listen for SIGHUP");
                None
            }
        };
        let mut seen = self.first_fingerprint;
        let mut asked = false;
        loop {
            // Made anew each time: a folder that was replaced is another folder to the system.
            // And made before looking, so that no change falls between the two.
            let watcher = self.watcher(Arc::clone(&changed));
            let now = self.look().await.unwrap_or(seen);
            if asked || now != seen {
                seen = now;
                self.reload(asked).await;
            }
            let look_after = match &watcher {
                Ok(_) => LOOK_EVERY,
                Err(error) => {
                    tracing::warn!(%error, "policy files cannot be watched, only looked at");
                    LOOK_SOON
                }
            };
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                }
            };
            asked = tokio::select! {
                () = changed.notified() => false,
                () = tokio::time::sleep(look_after) => false,
                () = hung_up => true,
            };
            settle(&changed).await;
        }
    }

    /// What the files say now; `None` where looking failed.
    async fn look(&self) -> Option<u64> {
        let files = self.config.policies.clone();
        tokio::task::spawn_blocking(move || source::fingerprint(&files)).await.ok()
    }

    /// What was seen of tools is forgotten when somebody `asked` for it, and not for an edit of a file.
    async fn reload(&self, asked: bool) {
        let config = self.config.clone();
        let loaded = tokio::task::spawn_blocking(move || load_at_rest(&config).0).await;
        let refused = match loaded {
            Ok(Ok(policies)) => {
                let summary = policies.summary().clone();
                if !asked {
                    policies.remember_changes(&self.current.load());
                }
                self.current.store(Arc::new(policies));
                self.loaded_at.store(Arc::new(Instant::now()));
                self.reloads.one_more();
                self.stale.store(false, Ordering::Release);
                let (policies, files, version) = (summary.policies, summary.files, summary.version);
                tracing::info!(policies, files, version, "policies reloaded");
                summary.warnings.iter().for_each(|warning| tracing::warn!(warning));
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        self.refused_reloads.one_more();
        self.stale.store(true, Ordering::Release);
        tracing::error!(error = refused, "policies NOT reloaded, the last good set stays in force");
    }

    /// Watches folders, not files: editors and Kubernetes replace files by renaming. And the
    /// folders above them, for a deployment replaces the folder itself or a link to it.
    fn watcher(&self, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
        let directory = path::absolute(&self.config.policies.directory)?;
        let files = &self.config.policies;
        let singles: Vec<PathBuf> = [&files.schema, &files.lock, &files.entities]
            .into_iter()
            .map(path::absolute)
            .collect::<Result<_, _>>()?;
        let mut folders = BTreeSet::from([directory.clone()]);
        let below = singles.iter().chain([&directory]);
        folders.extend(below.filter_map(|path| path.parent().map(Path::to_path_buf)));
        let above = singles.iter().filter_map(|path| path.parent()?.parent());
        folders.extend(above.map(Path::to_path_buf));
        // A lock or a file of entities need not be there, nor its folder.
        folders.retain(|folder| folder.is_dir());
        let concerns = move |path: &PathBuf| {
            path.starts_with(&directory) || singles.iter().any(|single| single.starts_with(path))
        };
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // What the watcher complains of, and what names nothing, may have been a change.
                let of_others = event.is_ok_and(|event| {
                    matches!(event.kind, EventKind::Access(_))
                        || !event.paths.is_empty() && !event.paths.iter().any(&concerns)
                });
                if !of_others {
                    changed.notify_one();
                }
            })?;
        for folder in folders {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    }
}

/// What the files say, read while nobody wrote to them; and which state of theirs that is.
fn load_at_rest(config: &Config) -> (Result<Policies, PolicyError>, u64) {
    let mut before = source::fingerprint(&config.policies);
    for _ in 0..ATTEMPTS {
        let loaded = Policies::load(config);
        let after = source::fingerprint(&config.policies);
        if before == after {
            return (loaded, before);
        }
        before = after;
        std::thread::sleep(SETTLE);
    }
    let what = "did not come to rest: files changed while they were read, time and again";
    (Err(PolicyError::new(&config.policies.directory, what)), before)
}

/// Editors and deployments write in several steps: waits until they are done, but not for ever.
async fn settle(changed: &Notify) {
    let at_most = Instant::now() + SETTLE_AT_MOST;
    while timeout_at(at_most, timeout(SETTLE, changed.notified())).await.is_ok_and(|o| o.is_ok()) {}
}

/// Longer than an editor takes to write, shorter than a person takes to try.
const SETTLE: Duration = Duration::from_millis(300);
/// Whoever writes more often than that is not done.
const ATTEMPTS: usize = 10;
const SETTLE_AT_MOST: Duration = Duration::from_secs(5);
/// Where changes come without an event: network file systems, a folder that was away for a while.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// While there is nothing to watch: the folder is being replaced, say.
const LOOK_SOON: Duration = Duration::from_secs(1);
