//! What detectors look at of one decision record.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
};

use uuid::Uuid;

use crate::ledger::{Decision, DecisionRecord};

/// One request of a known principal. Names are digests under a key of this process: they take eight
/// bytes, and nobody can choose two that are taken for one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Act<'a> {
    pub(super) record: Uuid,
    /// When it arrived, in milliseconds since 1970. Records come nearly in this order.
    pub(super) at: i64,
    pub(super) from: IpAddr,
    pub(super) outcome: Outcome,
    pub(super) token: Option<u64>,
    pub(super) client: Option<u64>,
    /// Through what it came: the zone of the token, and the provider that the client claims.
    pub(super) way: u64,
    pub(super) provider: Option<&'a str>,
    pub(super) call: Option<Call<'a>>,
}

/// Which tool was called, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) tool: u64,
    /// Of the tool and its arguments.
    pub(super) whole: u64,
}

/// What became of a request, as far as detectors tell cases apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Permitted,
    /// Policy refuses; perhaps with a larger scope it would not.
    Denied,
    /// No scope would permit it, and the caller was told that there is no such thing.
    Hidden,
    /// The caller lacks a scope and was told which.
    ScopeMissing,
    /// Policy refuses for what is open about the caller already. Were that counted, whoever goes on
    /// trying would never be served again.
    ForRisk,
    /// There is no such tool.
    UnknownTool,
    /// The arguments are not what the tool's schema asks for.
    UnfitArguments,
    /// Too many, malformed, abandoned, not served: says nothing about what was attempted.
    Other,
}

impl<'a> Act<'a> {
    /// `None` before it is known who asks, or when nothing was decided.
    pub(super) fn of(record: &'a DecisionRecord, digests: &RandomState) -> Option<(&'a str, Self)> {
        let principal = record.principal.as_deref()?;
        let called = record.target.as_deref().filter(|_| record.method.as_deref() == Some(CALL));
        let call = called.map(|name| Call {
            name,
            tool: digests.hash_one(name),
            whole: digests.hash_one((name, &record.arguments_digest)),
        });
        let act = Self {
            record: record.request_id,
            at: record.at.as_millisecond(),
            from: record.peer.ip(),
            outcome: Outcome::of(record),
            token: record.token_id.as_ref().map(|id| digests.hash_one(id)),
            client: record.client_id.as_ref().map(|id| digests.hash_one(id)),
            way: digests.hash_one((&record.zone, &record.provider)),
            provider: record.provider.as_deref(),
            call,
        };
        Some((principal, act))
    }

    /// In words, through which provider it came.
    pub(super) fn through(&self) -> String {
        self.provider.map_or_else(|| "no named provider".to_owned(), quoted)
    }
}

impl Outcome {
    fn of(record: &DecisionRecord) -> Self {
        match (record.decision, record.reason) {
            (Decision::Allow, _) => Self::Permitted,
            (Decision::Deny, "denied" | "hidden") if record.for_risk => Self::ForRisk,
            (Decision::Deny, "denied" | "evaluation-failed") => Self::Denied,
            (Decision::Deny, "hidden") => Self::Hidden,
            (Decision::Deny, "insufficient-scope") => Self::ScopeMissing,
            (Decision::Deny, "unknown-tool") => Self::UnknownTool,
            (Decision::Deny, "invalid-arguments") => Self::UnfitArguments,
            (Decision::Deny, _) => Self::Other,
        }
    }

    /// Whether policy was asked and said no.
    pub(super) fn is_policy_refusal(self) -> bool {
        matches!(self, Self::Denied | Self::Hidden | Self::ScopeMissing)
    }
}

/// A caller's own words, fit to stand in a sentence of ours.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(MAX_QUOTED_CHARACTERS).collect();
    format!("`{}`", shown.escape_debug())
}

const CALL: &str = "tools/call";
const MAX_QUOTED_CHARACTERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::TargetKind,
        rejection::Rejection,
        watch::sequence::{Step, record},
    };

    #[test]
    fn outcomes_are_told_apart_by_the_reasons_that_refusals_have() {
        let policies = Vec::new;
        let tool = |name: &str| Rejection::UnknownTarget(TargetKind::Tool, name.to_owned());
        let hidden = Rejection::HiddenTarget {
            kind: TargetKind::Tool,
            name: "t".to_owned(),
            policies: policies(),
        };
        for (rejection, outcome) in [
            (Rejection::Denied { policies: policies() }, Outcome::Denied),
            (Rejection::EvaluationFailed { policies: policies() }, Outcome::Denied),
            (hidden, Outcome::Hidden),
            (
                Rejection::InsufficientScope { required: Vec::new(), policies: policies() },
                Outcome::ScopeMissing,
            ),
            (tool("t"), Outcome::UnknownTool),
            (
                Rejection::InvalidArguments { path: String::new(), what: String::new() },
                Outcome::UnfitArguments,
            ),
            (Rejection::Expired, Outcome::Other),
        ] {
            let record = record(&Step { reason: rejection.reason(), ..Step::default() });
            assert_eq!(Outcome::of(&record), outcome, "{}", rejection.reason());
        }
    }

    #[test]
    fn a_callers_words_cannot_break_out_of_a_sentence() {
        assert_eq!(quoted("a\n\u{1b}[31m`b`"), "`a\\n\\u{1b}[31m`b``");
        assert_eq!(quoted(&"x".repeat(999)).len(), MAX_QUOTED_CHARACTERS + 2);
    }
}
