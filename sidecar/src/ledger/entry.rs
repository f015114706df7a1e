//! An entry of the ledger: what is in the tree for good, and what can be erased from beside it.
//!
//! The leaf is JSON: what was decided, when and why, with a commitment to what is personal: a SHA-256
//! of a salt and of the JSON that holds it. Without the salt nobody can guess what it was.

use std::net::SocketAddr;

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Decision, DecisionRecord,
    kept::Kept,
    merkle::{Hash, hash, leaf_hash},
    outcome::OutcomeRecord,
    retention::{Expired, Why},
};
use crate::{
    authz::{Digests, Summary},
    limits::LimitState,
    telemetry::StepTimes,
    watch::{About, Finding, Severity},
};

/// An entry but for its place.
#[derive(Debug)]
pub(crate) struct Entry {
    request_id: Option<Uuid>,
    /// The leaf without the brace that opens it: its request and its number come first.
    rest_of_leaf: String,
    personal: Personal,
}

/// What can be erased, and the salt of the commitment to it.
#[derive(Debug)]
struct Personal {
    salt: [u8; SALT_BYTES],
    text: String,
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) seq: i64,
    pub(crate) leaf: String,
    /// Nothing of what has been erased.
    pub(crate) salt: Option<Vec<u8>>,
    pub(crate) personal: Option<String>,
    pub(crate) hash: Vec<u8>,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Altered {
    #[error("what was decided is not what was recorded")]
    Leaf,
    #[error("whom it was about is not what was recorded")]
    Personal,
    #[error("it stands in another's place")]
    Place,
    #[error("it cannot be read")]
    Unreadable,
}

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
    pub(super) fn of_outcome(record: &OutcomeRecord) -> Self {
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
    pub(super) fn of_finding(finding: &Finding) -> Self {
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
    pub(super) fn of_policies(policies: &Summary, at: Timestamp) -> Self {
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
    pub(super) fn of_removal(expired: &Expired, at: Timestamp) -> Self {
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

    fn new(request_id: Option<Uuid>, leaf: &impl Serialize, personal: Personal) -> Self {
        // Records hold nothing that JSON could not; if one did, its leaf would be seen to be empty.
        let text = serde_json::to_string(leaf).unwrap_or_else(|_| "{}".to_owned());
        let rest_of_leaf = text.get(1..).unwrap_or_default().to_owned();
        Self { request_id, rest_of_leaf, personal }
    }

    /// In the place of this number.
    pub(crate) fn placed(self, seq: i64) -> Placed {
        let rest = self.rest_of_leaf;
        // The request comes first, where the store finds it without reading JSON.
        let leaf = match self.request_id {
            Some(id) => format!("{{\"request_id\":\"{id}\",\"seq\":{seq},{rest}"),
            None => format!("{{\"seq\":{seq},{rest}"),
        };
        let hash = leaf_hash(leaf.as_bytes()).to_vec();
        let Personal { salt, text } = self.personal;
        Placed { seq, leaf, salt: Some(salt.to_vec()), personal: Some(text), hash }
    }
}

impl Personal {
    fn of(who: &impl Serialize) -> Self {
        let text = serde_json::to_string(who).unwrap_or_else(|_| "{}".to_owned());
        let mut salt = [0; SALT_BYTES];
        // Without randomness nothing can be committed to; what is left then is a salt of noughts,
        // which is found out by whoever looks and loses nothing.
        if rand::fill(&mut salt).is_err() {
            tracing::error!("the system yields no random bytes");
        }
        Self { salt, text }
    }

    fn commitment(&self) -> String {
        HEXLOWER.encode(&hash(&[&self.salt, self.text.as_bytes()]))
    }
}

impl Placed {
    /// Its hash in the tree.
    pub(crate) fn leaf_hash(&self) -> Hash {
        leaf_hash(self.leaf.as_bytes())
    }

    /// Whether it is as it was recorded.
    pub(crate) fn require_unaltered(&self) -> Result<(), Altered> {
        if self.leaf_hash().as_slice() != self.hash {
            return Err(Altered::Leaf);
        }
        let leaf: Value = serde_json::from_str(&self.leaf).map_err(|_| Altered::Unreadable)?;
        if leaf.get("seq").and_then(Value::as_i64) != Some(self.seq) {
            return Err(Altered::Place);
        }
        let committed = leaf.get("commitment").and_then(Value::as_str);
        match (&self.salt, &self.personal) {
            (Some(salt), Some(personal)) => {
                let is = HEXLOWER.encode(&hash(&[salt, personal.as_bytes()]));
                if committed == Some(&is) { Ok(()) } else { Err(Altered::Personal) }
            }
            (None, None) => Ok(()),
            _ => Err(Altered::Personal),
        }
    }

    /// The number of the last entry of which it says that they were removed.
    pub(crate) fn removed_up_to(&self) -> Option<u64> {
        // Most entries are none of these, and need not be read to know it.
        if !self.leaf.contains(REMOVAL) {
            return None;
        }
        let leaf: Value = serde_json::from_str(&self.leaf).ok()?;
        leaf.get("kind").filter(|kind| **kind == REMOVAL)?;
        leaf.get("last").and_then(Value::as_u64)
    }

    /// Whether whom it was about has been erased.
    pub(crate) fn is_erased(&self) -> bool {
        self.personal.is_none()
    }

    /// All that is known of it, as one object.
    pub(crate) fn whole(&self) -> Map<String, Value> {
        let read = |text: &str| serde_json::from_str::<Map<String, Value>>(text).ok();
        let mut whole = read(&self.leaf).unwrap_or_default();
        whole.remove("commitment");
        whole.extend(self.personal.as_deref().and_then(read).unwrap_or_default());
        whole
    }
}

const SALT_BYTES: usize = 16;
/// The kind of an entry about entries that are gone.
const REMOVAL: &str = "removal";

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Placed {
        let mut record = DecisionRecord::new(([192, 0, 2, 1], 1).into());
        record.subject = Some("alice".to_owned());
        record.method = Some("resources/read".to_owned());
        record.target = Some("customer://alice".to_owned());
        Entry::of(&record, None).placed(7)
    }

    #[test]
    fn nothing_personal_is_in_the_tree() {
        let placed = entry();
        assert!(!placed.leaf.contains("alice") && !placed.leaf.contains("192.0.2.1"));
        assert!(placed.leaf.contains(r#","seq":7,"#), "{}", placed.leaf);
        assert_eq!(placed.whole()["subject"], "alice");
        assert_eq!(placed.require_unaltered(), Ok(()));
        let erased = Placed { salt: None, personal: None, ..placed };
        assert_eq!(erased.require_unaltered(), Ok(()));
        assert!(erased.is_erased() && !erased.whole().contains_key("subject"));
    }

    #[test]
    fn what_limits_left_is_in_the_tree_where_any_applied() {
        let mut record = DecisionRecord::new(([192, 0, 2, 1], 1).into());
        assert!(!Entry::of(&record, None).placed(7).leaf.contains("limits"));
        let (rule, of) = ("per-caller".to_owned(), crate::limits::Ceiling::CallsPerDay);
        record.limits = vec![LimitState { rule, of, remaining: 3 }];
        let leaf = Entry::of(&record, None).placed(7).leaf;
        let wanted = r#""limits":[{"rule":"per-caller","of":"calls-per-day","remaining":3}]"#;
        assert!(leaf.contains(wanted), "{leaf}");
    }

    #[test]
    fn every_byte_of_it_counts() {
        let placed = entry();
        for position in 0..placed.leaf.len() {
            let mut leaf = placed.leaf.clone().into_bytes();
            leaf[position] ^= 1;
            let leaf = String::from_utf8(leaf).unwrap();
            let altered = Placed { leaf, ..placed.clone() };
            assert_eq!(altered.require_unaltered(), Err(Altered::Leaf), "{position}");
        }
        let personal = placed.personal.clone().unwrap();
        for position in 0..personal.len() {
            let mut text = personal.clone().into_bytes();
            text[position] ^= 1;
            let altered = Placed { personal: String::from_utf8(text).ok(), ..placed.clone() };
            assert_eq!(altered.require_unaltered(), Err(Altered::Personal), "{position}");
        }
        let moved = Placed { seq: 8, ..placed.clone() };
        assert_eq!(moved.require_unaltered(), Err(Altered::Place));
        let half = Placed { salt: None, ..placed };
        assert_eq!(half.require_unaltered(), Err(Altered::Personal));
    }
}
