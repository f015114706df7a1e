//! The kinds of entries, and what of each is in the tree and what beside it.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{Entry, Personal};
use crate::{
    authz::{Digests, Summary},
    ledger::{
        Decision, DecisionRecord,
        kept::Kept,
        outcome::OutcomeRecord,
        retention::{Expired, Why},
    },
    limits::LimitState,
    telemetry::StepTimes,
    watch::{About, Finding, Severity},
};

/// What is in the tree of a decision. Members without a value are left out.
#[derive(Serialize)]
struct DecisionLeaf<'a> {
    kind: &'static str,
    at: Timestamp,
    decision: Decision,
    reason: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    policies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_version: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    shadow_policies: &'a [String],
    shadow_flips: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    required_scopes: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    limits: &'a [LimitState],
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    /// A tool. A resource is named by a URI, which may name a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    decided_after_us: u64,
    #[serde(skip_serializing_if = "StepTimes::is_empty")]
    steps_us: StepTimes,
    commitment: String,
}

/// About whom a decision is. A digest of few possible arguments can be guessed.
#[derive(Serialize)]
struct Who<'a> {
    peer: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments_digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Kept>,
}

/// About whom an outcome is, and what they were sent.
#[derive(Serialize)]
struct Answered<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Kept>,
}

/// What is in the tree of an outcome, but for the digest, which can be guessed where there are few
/// results.
#[derive(Serialize)]
struct OutcomeLeaf {
    kind: &'static str,
    at: Timestamp,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<u16>,
    bytes: u64,
    answered_after_us: u64,
    commitment: String,
}

/// What is in the tree of a finding.
#[derive(Serialize)]
struct FindingLeaf<'a> {
    kind: &'static str,
    id: Uuid,
    at: Timestamp,
    detector: &'static str,
    severity: Severity,
    expires: Timestamp,
    evidence: &'a [Uuid],
    commitment: String,
}

/// What is in the tree of policies that are in force from then on.
#[derive(Serialize)]
struct PoliciesLeaf<'a> {
    kind: &'static str,
    at: Timestamp,
    policy_version: &'a str,
    digests: &'a Digests,
    commitment: String,
}

/// What is in the tree of a segment that was removed.
#[derive(Serialize)]
struct RemovalLeaf {
    kind: &'static str,
    at: Timestamp,
    segment: String,
    first: u64,
    last: u64,
    why: Why,
    commitment: String,
}

impl Entry {
    /// Of a decision.
    pub(crate) fn of(record: &DecisionRecord, arguments: Option<String>) -> Self {
        let target = record.target.as_deref();
        let tool = target.filter(|_| record.calls_a_tool());
        let personal = Personal::of(&Who {
            peer: record.peer,
            issuer: record.issuer.as_deref(),
            subject: record.subject.as_deref(),
            client_id: record.client_id.as_deref(),
            token_id: record.token_id.as_deref(),
            principal: record.principal.as_deref(),
            zone: record.zone.as_deref(),
            target: target.filter(|_| tool.is_none()),
            arguments_digest: record.arguments_digest.as_deref(),
            arguments: arguments.map(Kept::from),
        });
        let leaf = DecisionLeaf {
            kind: "decision",
            at: record.at,
            decision: record.decision,
            reason: record.reason,
            policies: &record.policies,
            policy_version: record.policy_version.as_deref(),
            shadow_policies: &record.shadow_policies,
            shadow_flips: record.shadow_flips,
            required_scopes: &record.required_scopes,
            limits: &record.limits,
            method: record.method.as_deref(),
            target: tool,
            provider: record.provider.as_deref(),
            model: record.model.as_deref(),
            trace_id: record.trace_id.as_deref(),
            decided_after_us: record.decided_after_us,
            steps_us: record.steps_us,
            commitment: personal.commitment(),
        };
        Self::new(Some(record.request_id), &leaf, personal)
    }

    /// Of what came of a request.
    pub(in crate::ledger) fn of_outcome(record: &OutcomeRecord) -> Self {
        let personal = Personal::of(&Answered {
            subject: record.subject.as_deref(),
            principal: record.principal.as_deref(),
            result_digest: record.result_digest.as_deref(),
            result: record.result.as_ref(),
        });
        let leaf = OutcomeLeaf {
            kind: "outcome",
            at: record.at,
            outcome: record.outcome,
            upstream_status: record.upstream_status,
            bytes: record.bytes,
            answered_after_us: record.answered_after_us,
            commitment: personal.commitment(),
        };
        Self::new(Some(record.request_id), &leaf, personal)
    }

    /// Of what the watch noticed.
    pub(in crate::ledger) fn of_finding(finding: &Finding) -> Self {
        let principal = match &finding.about {
            // Under the name by which decisions are found, and erased.
            About::Principal(principal) => Some(principal),
            About::Tool(_) | About::Target(_) => None,
        };
        let personal = Personal::of(&json!({
            "about": finding.about, "explanation": finding.explanation, "principal": principal,
        }));
        let leaf = FindingLeaf {
            kind: "finding",
            id: finding.id,
            at: finding.at,
            detector: finding.detector.code(),
            severity: finding.severity,
            expires: finding.expires,
            evidence: &finding.evidence,
            commitment: personal.commitment(),
        };
        Self::new(None, &leaf, personal)
    }

    /// Of policies that are in force from now on.
    pub(in crate::ledger) fn of_policies(policies: &Summary, at: Timestamp) -> Self {
        let personal = Personal::of(&json!({}));
        let leaf = PoliciesLeaf {
            kind: "policies",
            at,
            policy_version: &policies.version,
            digests: &policies.digests,
            commitment: personal.commitment(),
        };
        Self::new(None, &leaf, personal)
    }

    /// Of a segment that is about to be removed.
    pub(in crate::ledger) fn of_removal(expired: &Expired, at: Timestamp) -> Self {
        let personal = Personal::of(&json!({}));
        let leaf = RemovalLeaf {
            kind: REMOVAL,
            at,
            segment: expired.segment.name(),
            first: expired.segment.first,
            last: expired.end.saturating_sub(1),
            why: expired.why,
            commitment: personal.commitment(),
        };
        Self::new(None, &leaf, personal)
    }
}

/// Of an entry about entries that are gone.
pub(super) const REMOVAL: &str = "removal";
