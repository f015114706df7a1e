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

use super::{
    policies::Policies,
    source::{self, PolicyError},
};
use crate::config::Config;

/// The policies in force.
#[derive(Debug)]
pub(crate) struct PolicyStore {
    config: Config,
    current: ArcSwap<Policies>,
    /// Of the files just before they were loaded for the first time.
    first_fingerprint: u64,
    /// Whether the files say something else that could not be loaded.
    stale: AtomicBool,
}

impl PolicyStore {
    /// Loads the policies for the first time.
    pub(crate) fn load(config: &Config) -> Result<Self, PolicyError> {
        let first_fingerprint = source::fingerprint(&config.policies);
        let current = ArcSwap::from_pointee(Policies::load(config)?);
        Ok(Self {
            config: config.clone(),
            current,
            first_fingerprint,
            stale: AtomicBool::new(false),
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
                self.reload().await;
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

    async fn reload(&self) {
        let config = self.config.clone();
        let loaded = tokio::task::spawn_blocking(move || Policies::load(&config)).await;
        let refused = match loaded {
            Ok(Ok(policies)) => {
                let summary = policies.summary().clone();
                self.current.store(Arc::new(policies));
                self.stale.store(false, Ordering::Release);
                let (policies, files) = (summary.policies, summary.files);
                tracing::info!(policies, files, "policies reloaded");
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        self.stale.store(true, Ordering::Release);
        tracing::error!(error = refused, "policies NOT reloaded, the last good set stays in force");
    }

    /// Watches folders, not files: editors and Kubernetes replace files by renaming. And the
    /// folders above them, for a deployment replaces the folder itself or a link to it.
    fn watcher(&self, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
        let directory = path::absolute(&self.config.policies.directory)?;
        let schema = path::absolute(&self.config.policies.schema)?;
        let mut folders = BTreeSet::from([directory.clone()]);
        let below = [&schema].into_iter().chain([&directory]);
        folders.extend(below.filter_map(|path| path.parent().map(Path::to_path_buf)));
        folders.extend(schema.parent().and_then(Path::parent).map(Path::to_path_buf));
        let concerns =
            move |path: &PathBuf| path.starts_with(&directory) || schema.starts_with(path);
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

/// Editors and deployments write in several steps: waits until they are done, but not for ever.
async fn settle(changed: &Notify) {
    let at_most = Instant::now() + SETTLE_AT_MOST;
    while timeout_at(at_most, timeout(SETTLE, changed.notified())).await.is_ok_and(|o| o.is_ok()) {}
}

/// Longer than an editor takes to write, shorter than a person takes to try.
const SETTLE: Duration = Duration::from_millis(300);
const SETTLE_AT_MOST: Duration = Duration::from_secs(5);
/// Where changes come without an event: network file systems, a folder that was away for a while.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// While there is nothing to watch: the folder is being replaced, say.
const LOOK_SOON: Duration = Duration::from_secs(1);
