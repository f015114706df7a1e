//! On record: one [`DecisionRecord`] for every request, written before anything leaves.
//!
//! For now a record is a structured log event of the target `cedargate::decision`; subscribers in
//! the same process get it as a value.

mod record;

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::broadcast;

pub(crate) use record::OpenRecord;
pub use record::{Decision, DecisionRecord};

/// Writes records.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    subscribers: broadcast::Sender<Arc<DecisionRecord>>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { subscribers: broadcast::Sender::new(SUBSCRIBER_BACKLOG) }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<DecisionRecord>> {
        self.subscribers.subscribe()
    }

    pub(crate) fn begin(&self, peer: SocketAddr) -> OpenRecord {
        OpenRecord::new(self.clone(), peer)
    }

    fn write(&self, record: &DecisionRecord) {
        let shadow = Some(record.shadow_policies.join(" ")).filter(|ids| !ids.is_empty());
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
                decision.policy_version = record.policy_version,
                decision.shadow_policies = shadow,
                decision.shadow_flips = shadow.is_some().then_some(record.shadow_flips),
                decision.duration_us = record.decided_after_us
            },
            "decided"
        );
        // Nobody needs to listen.
        drop(self.subscribers.send(Arc::new(record.clone())));
    }
}

/// A slow subscriber loses the oldest records, not the gate its time.
const SUBSCRIBER_BACKLOG: usize = 1024;

#[cfg(test)]
mod tests {
    use super::{record::ABANDONED, *};
    use crate::rejection::Rejection;

    #[test]
    fn a_record_that_is_dropped_unwritten_writes_itself_once() {
        let ledger = Ledger::new();
        let mut records = ledger.subscribe();
        drop(ledger.begin(([127, 0, 0, 1], 1).into()));
        let record = records.try_recv().unwrap();
        assert_eq!((record.decision, record.reason), (Decision::Deny, ABANDONED));
        let mut open = ledger.begin(([127, 0, 0, 1], 1).into());
        open.refused(&Rejection::NoToken);
        drop(open);
        assert_eq!(records.try_recv().unwrap().reason, "no-token");
        assert!(records.try_recv().is_err(), "one record for each request");
    }
}
