//! Policies that follow their files: a changed set is loaded whole and swapped in, a broken one
//! is refused loudly while the last good one goes on serving.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{signal::unix, sync::Notify};

use super::{policies::Policies, source::PolicyError};
use crate::config::Config;

/// The policies in force.
#[derive(Debug)]
pub(crate) struct PolicyStore {
    config: Config,
    current: ArcSwap<Policies>,
}

impl PolicyStore {
    /// Loads the policies for the first time.
    pub(crate) fn load(config: &Config) -> Result<Self, PolicyError> {
        let current = ArcSwap::from_pointee(Policies::load(config)?);
        Ok(Self { config: config.clone(), current })
    }

    /// The snapshot in force; one request uses one from start to end.
    pub(crate) fn current(&self) -> Arc<Policies> {
        self.current.load_full()
    }

    /// Follows the files for as long as it is polled. SIGHUP reloads too.
    pub(crate) async fn follow_files(&self) {
        let changed = Arc::new(Notify::new());
        let watcher = self.watcher(Arc::clone(&changed));
        if let Err(error) = &watcher {
            tracing::warn!(%error, "policy files are not watched; send SIGHUP after an edit");
        }
        let mut hangup = match unix::signal(unix::SignalKind::hangup()) {
            Ok(hangup) => Some(hangup),
            Err(error) => {
                tracing::warn!(%error, "cannot listen for SIGHUP");
                None
            }
        };
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed.notified() => {}
                () = hung_up => {}
            }
            // Editors and deployments write in several steps; wait until they are done.
            while tokio::time::timeout(SETTLE, changed.notified()).await.is_ok() {}
            self.reload().await;
        }
    }

    async fn reload(&self) {
        let config = self.config.clone();
        match tokio::task::spawn_blocking(move || Policies::load(&config)).await {
            Ok(Ok(policies)) => {
                let summary = policies.summary().clone();
                self.current.store(Arc::new(policies));
                let (policies, files) = (summary.policies, summary.files);
                tracing::info!(policies, files, "policies reloaded");
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "policies NOT reloaded, the last good set stays in force");
            }
            Err(error) => {
                tracing::error!(%error, "policies NOT reloaded, the last good set stays in force");
            }
        }
    }

    /// Watches folders, not files: editors and Kubernetes replace files by renaming.
    fn watcher(&self, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                if event.is_ok_and(|e| !matches!(e.kind, EventKind::Access(_))) {
                    changed.notify_one();
                }
            })?;
        let directory = self.config.policies.directory.clone();
        watcher.watch(&directory, RecursiveMode::NonRecursive)?;
        let of_schema = self.config.policies.schema.parent();
        if let Some(folder) = of_schema.filter(|folder| *folder != directory) {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    }
}

/// Longer than an editor takes to write, shorter than a person takes to try.
const SETTLE: Duration = Duration::from_millis(300);
