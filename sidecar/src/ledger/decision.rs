//! What was decided about one request.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    limits::LimitState,
    telemetry::{ABANDONED, StepTimes},
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
    /// Whether nothing but policies that look at `context.risk` refused it.
    pub for_risk: bool,
    /// `iss` of the verified token.
    pub issuer: Option<String>,
    /// `sub` of the verified token.
    pub subject: Option<String>,
    /// `client_id` of the verified token.
    pub client_id: Option<String>,
    /// `jti` of the verified token.
    pub token_id: Option<String>,
    /// What policies call the caller, once one was asked.
    pub principal: Option<String>,
    /// The zone of the verified token.
    pub zone: Option<String>,
    /// For which model's provider the client says that it speaks.
    pub provider: Option<String>,
    /// For which model.
    pub model: Option<String>,
    /// The trace that this is part of: the one that is exported, else the one that the caller says
    /// (W3C Trace Context).
    pub trace_id: Option<String>,
    /// The MCP method.
    pub method: Option<String>,
    /// The tool's or prompt's name, or the resource's URI.
    pub target: Option<String>,
    /// SHA-256 of the arguments as they are forwarded, in hexadecimal digits.
    pub arguments_digest: Option<String>,
    /// The scopes that would have permitted it.
    pub required_scopes: Vec<String>,
    /// What limits leave, where any applied.
    pub limits: Vec<LimitState>,
    /// From the request's arrival to its decision, in microseconds.
    pub decided_after_us: u64,
    /// What of that each step took.
    pub steps_us: StepTimes,
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
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl DecisionRecord {
    /// Whether its target is a tool.
    pub(super) fn calls_a_tool(&self) -> bool {
        self.method.as_deref() == Some("tools/call")
    }

    /// Of a request that has just arrived from `peer`.
    pub(crate) fn new(peer: SocketAddr) -> Self {
        Self {
            request_id: Uuid::now_v7(),
            at: Timestamp::now(),
            peer,
            decision: Decision::Deny,
            reason: ABANDONED,
            policies: Vec::new(),
            policy_version: None,
            shadow_policies: Vec::new(),
            shadow_flips: false,
            for_risk: false,
            issuer: None,
            subject: None,
            client_id: None,
            token_id: None,
            principal: None,
            zone: None,
            provider: None,
            model: None,
            trace_id: None,
            method: None,
            target: None,
            arguments_digest: None,
            required_scopes: Vec::new(),
            limits: Vec::new(),
            decided_after_us: 0,
            steps_us: StepTimes::default(),
        }
    }
}
