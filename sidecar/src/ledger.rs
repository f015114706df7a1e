//! On record: one [`DecisionRecord`] for every request, written before anything leaves.
//!
//! For now a record is a structured log event of the target `cedargate::decision`; subscribers in
//! the same process get it as a value.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::{
    authz::{Authorized, Shadow},
    message::{Envelope, Form, Message},
    rejection::{Asked, Rejection},
    token::Claims,
};

/// What was decided about one request, for whom, and why. Holds no token and no argument.
#[derive(Debug, Clone, Serialize)]
pub struct DecisionRecord {
    /// Unique, ordered by time (UUID version 7); also in the response's `x-request-id`.
    pub request_id: Uuid,
    /// When the request arrived.
    pub at: Timestamp,
    /// Where it came from.
    pub peer: SocketAddr,
    /// What was decided.
    pub decision: Decision,
    /// `permitted`, `abandoned`, or the reason code of the refusal.
    pub reason: &'static str,
    /// Ids of the policies that decided.
    pub policies: Vec<String>,
    /// Which state of schema, policies, lock and entities decided; once one was asked.
    pub policy_version: Option<String>,
    /// Ids of the policies in the shadow that would have decided.
    pub shadow_policies: Vec<String>,
    /// Whether the decision would have been another if they were enforced.
    pub shadow_flips: bool,
    /// `iss` of the verified token.
    pub issuer: Option<String>,
    /// `sub` of the verified token.
    pub subject: Option<String>,
    /// `client_id` of the verified token.
    pub client_id: Option<String>,
    /// `jti` of the verified token.
    pub token_id: Option<String>,
    /// The MCP method.
    pub method: Option<String>,
    /// The tool's or prompt's name, or the resource's URI.
    pub target: Option<String>,
    /// From the request's arrival to its decision, in microseconds.
    pub decided_after_us: u64,
}

/// The outcome for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Forwarded.
    Allow,
    /// Refused, or given up before it was decided.
    Deny,
}

impl Decision {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// Writes records.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    subscribers: broadcast::Sender<Arc<DecisionRecord>>,
}

/// A record being made. Dropped unwritten, it writes itself: a caller that hangs up half-way is on
/// record too.
#[derive(Debug)]
pub(crate) struct OpenRecord {
    ledger: Ledger,
    started: Instant,
    record: DecisionRecord,
    asked: Asked,
    written: bool,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { subscribers: broadcast::Sender::new(SUBSCRIBER_BACKLOG) }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<DecisionRecord>> {
        self.subscribers.subscribe()
    }

    pub(crate) fn begin(&self, peer: SocketAddr) -> OpenRecord {
        OpenRecord {
            ledger: self.clone(),
            started: Instant::now(),
            record: DecisionRecord {
                request_id: Uuid::now_v7(),
                at: Timestamp::now(),
                peer,
                decision: Decision::Deny,
                reason: ABANDONED,
                policies: Vec::new(),
                policy_version: None,
                shadow_policies: Vec::new(),
                shadow_flips: false,
                issuer: None,
                subject: None,
                client_id: None,
                token_id: None,
                method: None,
                target: None,
                decided_after_us: 0,
            },
            asked: Asked::default(),
            written: false,
        }
    }

    fn write(&self, record: &DecisionRecord) {
        let shadow = Some(record.shadow_policies.join(" ")).filter(|ids| !ids.is_empty());
        tracing::info!(
            target: "cedargate::decision",
            {
                request.id = %record.request_id,
                request.peer = %record.peer,
                token.iss = record.issuer,
                token.sub = record.subject,
                token.client_id = record.client_id,
                token.jti = record.token_id,
                mcp.method = record.method,
                mcp.target = record.target,
                decision.outcome = record.decision.as_str(),
                decision.reason = record.reason,
                decision.policies = record.policies.join(" "),
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

impl OpenRecord {
    pub(crate) fn request_id(&self) -> Uuid {
        self.record.request_id
    }

    /// To what a refusal has to answer.
    pub(crate) fn asked(&self) -> &Asked {
        &self.asked
    }

    pub(crate) fn caller(&mut self, claims: &Claims) {
        self.record.issuer = Some(claims.iss().to_owned());
        self.record.subject = Some(claims.sub().to_owned());
        self.record.client_id = Some(claims.client_id().to_owned());
        self.record.token_id = claims.jti().map(str::to_owned);
    }

    pub(crate) fn envelope(&mut self, envelope: &Envelope) {
        let form = match envelope.id() {
            _ if envelope.is_answer() => Form::Response,
            Some(_) => Form::Request,
            None => Form::Notification,
        };
        self.asked.form = Some(form);
        self.asked.id = envelope.id().filter(|_| form == Form::Request).cloned();
        self.asked.modern = envelope.claims_modern();
        // As written; whatever is refused from here on is refused under these names.
        self.record.method = envelope.method().map(shortened);
        self.record.target = envelope.name_or_uri().map(shortened);
    }

    pub(crate) fn message(&mut self, message: &Message) {
        self.record.method = Some(message.method().name.to_owned());
        self.record.target = message.target_name().map(shortened);
        self.asked.modern = message.era().is_modern();
        self.asked.calls_a_tool = message.method().calls_a_tool();
    }

    /// Notes which policies are asked, and what those in the shadow say.
    pub(crate) fn decided_under(&mut self, version: &str, shadow: Option<Shadow>) {
        self.record.policy_version = Some(version.to_owned());
        if let Some(Shadow { policies, flips }) = shadow {
            self.record.shadow_policies = policies;
            self.record.shadow_flips = flips;
        }
    }

    /// Puts a permitted request on record; only then may it leave.
    pub(crate) fn permitted(&mut self, authorized: &Authorized<Message>) {
        self.record.decision = Decision::Allow;
        self.record.policies = authorized.determining_policies().to_vec();
        self.write(PERMITTED);
    }

    /// Puts a refusal on record. What goes wrong after a permitted request has left is no decision
    /// any more and is logged as the upstream's.
    pub(crate) fn refused(&mut self, rejection: &Rejection) {
        if self.written {
            let (request_id, reason) = (self.record.request_id, rejection.reason());
            tracing::warn!({ request.id = %request_id, reason }, "the upstream's answer was not relayed");
            return;
        }
        self.record.policies = rejection.policies().to_vec();
        self.write(rejection.reason());
    }

    fn write(&mut self, reason: &'static str) {
        self.record.reason = reason;
        let elapsed = self.started.elapsed().as_micros();
        self.record.decided_after_us = u64::try_from(elapsed).unwrap_or(u64::MAX);
        self.ledger.write(&self.record);
        self.written = true;
    }
}

/// A caller's own words, cut to a length that fits a log.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_RECORDED_CHARACTERS).collect()
}

impl Drop for OpenRecord {
    fn drop(&mut self) {
        if !self.written {
            self.write(ABANDONED);
        }
    }
}

/// As long as any honest name, and most URIs.
const MAX_RECORDED_CHARACTERS: usize = 256;
const PERMITTED: &str = "permitted";
const ABANDONED: &str = "abandoned";
/// A slow subscriber loses the oldest records, not the gate its time.
const SUBSCRIBER_BACKLOG: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

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
