//! Spans and metrics on their way to a collector, on tasks of their own: nobody waits for them, and
//! a collector that is away costs a line of log a minute.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::{
    collector::{Collector, NotTaken},
    measures::Counter,
    otlp::Source,
    readings,
};
use crate::{
    config::{Exported, TelemetryConfig},
    enforce::Enforcer,
};

/// What has been exported.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    pub(super) traces: Exchanges,
    pub(super) metrics: Exchanges,
}

/// Exchanges about one signal.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    pub(super) taken: Counter,
    pub(super) failed: Counter,
}

/// Exports what it is given once it is started.
#[derive(Debug)]
pub(crate) struct Exporter {
    collector: Collector,
    config: TelemetryConfig,
    spans: mpsc::Receiver<[Option<Span>; 2]>,
}

/// Tasks that export, until they are stopped.
#[derive(Debug)]
pub(crate) struct Exporting {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    timeout: Duration,
}

/// One signal's way to the collector.
struct Way {
    collector: Collector,
    path: &'static str,
    enforcer: Arc<Enforcer>,
    source: Source,
    /// When it was last told that something is lost.
    warned: Option<Instant>,
}

impl Exporter {
    pub(super) fn new(
        collector: Collector,
        config: TelemetryConfig,
        spans: mpsc::Receiver<[Option<Span>; 2]>,
    ) -> Self {
        Self { collector, config, spans }
    }

    /// Starts to export.
    pub(crate) fn start(self, enforcer: &Arc<Enforcer>) -> Exporting {
        let Self { collector, config, spans } = self;
        let stop = watch::Sender::new(false);
        let source = Source::new(&config.resource);
        let way = |path| Way {
            collector: collector.clone(),
            path,
            enforcer: Arc::clone(enforcer),
            source: source.clone(),
            warned: None,
        };
        let mut tasks = Vec::new();
        if config.signals.traces == Exported::Yes {
            tasks.push(tokio::spawn(way("v1/traces").send_spans(spans, stop.subscribe())));
        }
        if config.signals.metrics == Exported::Yes {
            let every = config.metrics_interval;
            tasks.push(tokio::spawn(way("v1/metrics").send_metrics(every, stop.subscribe())));
        }
        Exporting { stop, tasks, timeout: config.timeout }
    }
}

impl Exporting {
    /// Sends what is left, as far as there is time.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        let aborts: Vec<_> = self.tasks.iter().map(JoinHandle::abort_handle).collect();
        let ended = futures::future::join_all(self.tasks);
        if tokio::time::timeout(self.timeout, ended).await.is_err() {
            tracing::warn!("the collector did not take the last spans and metrics in time");
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}

impl Way {
    async fn send_spans(
        mut self,
        mut ended: mpsc::Receiver<[Option<Span>; 2]>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        let mut soon = interval(SPANS_EVERY);
        soon.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let room = MAX_BATCH - batch.len();
            let stopping = tokio::select! {
                _ = ended.recv_many(&mut batch, room) => {
                    if batch.len() < MAX_BATCH { continue; }
                    false
                }
                _ = soon.tick() => false,
                // Who would have said so being gone means the same.
                _ = stop.changed() => true,
            };
            self.send_batch(&mut batch).await;
            while stopping && !ended.is_empty() {
                ended.recv_many(&mut batch, MAX_BATCH).await;
                self.send_batch(&mut batch).await;
            }
            if stopping {
                return;
            }
        }
    }

    async fn send_batch(&mut self, batch: &mut Vec<[Option<Span>; 2]>) {
        if !batch.is_empty() {
            let spans = batch.drain(..).flatten().flatten().collect();
            let body = self.source.spans(spans).encode_to_vec();
            self.send(body).await;
        }
    }

    async fn send_metrics(mut self, every: Duration, mut stop: watch::Receiver<bool>) {
        let mut due = interval(every);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first is at once, when there is nothing to tell yet.
        due.tick().await;
        loop {
            let stopping = tokio::select! {
                _ = due.tick() => false,
                _ = stop.changed() => true,
            };
            let body = self.source.metrics(&readings::read(&self.enforcer)).encode_to_vec();
            self.send(body).await;
            if stopping {
                return;
            }
        }
    }

    /// Sends it, once. What is not taken is lost, but for metrics, which are told as sums.
    async fn send(&mut self, body: Vec<u8>) {
        let exports = &self.enforcer.telemetry.exports;
        let counts = if self.path == "v1/traces" { &exports.traces } else { &exports.metrics };
        match self.collector.post(self.path, body).await {
            Ok(()) => counts.taken.one_more(),
            Err(fault) => {
                counts.failed.one_more();
                self.warn(&fault);
            }
        }
    }

    fn warn(&mut self, fault: &NotTaken) {
        if self.warned.is_none_or(|warned| warned.elapsed() >= WARN_EVERY) {
            let path = self.path;
            tracing::warn!(path, %fault, "the collector takes no telemetry; requests are not affected");
            self.warned = Some(Instant::now());
        }
    }
}

/// Requests whose spans wait for the collector: some megabytes.
pub(super) const MAX_WAITING: usize = 2_048;
/// Some hundred kilobytes.
const MAX_BATCH: usize = 256;
const SPANS_EVERY: Duration = Duration::from_secs(1);
const WARN_EVERY: Duration = Duration::from_secs(60);
