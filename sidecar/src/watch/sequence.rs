//! Recorded sequences for tests: requests in short, and what a watch that knew nothing finds in them.

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;

use super::{Detector, Severity, Watch, WatchConfig};
use crate::ledger::{Decision, DecisionRecord};

/// One request. Empty words stand for what a request does not have.
#[derive(Debug, Clone)]
pub(super) struct Step<'a> {
    /// After a Thursday's midnight.
    pub(super) second: i64,
    pub(super) principal: &'a str,
    pub(super) from: IpAddr,
    pub(super) token: &'a str,
    pub(super) client: &'a str,
    pub(super) zone: &'a str,
    pub(super) provider: &'a str,
    pub(super) tool: &'a str,
    pub(super) arguments: &'a str,
    /// `permitted`, or the reason of a refusal.
    pub(super) reason: &'static str,
    /// Whether it was refused for an open finding.
    pub(super) for_risk: bool,
}

impl Default for Step<'_> {
    fn default() -> Self {
        Self {
            second: 0,
            principal: "alice",
            from: Ipv4Addr::new(203, 0, 113, 7).into(),
            token: "token",
            client: "client",
            zone: "",
            provider: "provider",
            tool: "t",
            arguments: "{}",
            reason: "permitted",
            for_risk: false,
        }
    }
}

pub(super) fn record(step: &Step<'_>) -> DecisionRecord {
    let given = |text: &str| Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
    let is_permitted = step.reason == "permitted";
    DecisionRecord {
        at: Timestamp::from_second(THURSDAY + step.second).unwrap(),
        decision: if is_permitted { Decision::Allow } else { Decision::Deny },
        reason: step.reason,
        for_risk: step.for_risk,
        principal: given(step.principal),
        token_id: given(step.token),
        client_id: given(step.client),
        zone: given(step.zone),
        provider: given(step.provider),
        method: Some("tools/call".to_owned()),
        target: given(step.tool),
        arguments_digest: given(step.arguments),
        ..DecisionRecord::new((step.from, 40_000).into())
    }
}

/// What one detector tells about a sequence: at which step, from one on, and how severe.
pub(super) fn severities(detector: Detector, steps: &[Step<'_>]) -> Vec<(usize, Severity)> {
    let watch = Watch::new(WatchConfig::default());
    let mut found = Vec::new();
    for (number, step) in (1..).zip(steps) {
        let told = watch.observe(&record(step)).into_iter();
        found.extend(
            told.filter(|finding| finding.detector == detector)
                .map(|finding| (number, finding.severity)),
        );
    }
    found
}

/// The first of October 2026, at midnight.
const THURSDAY: i64 = 1_790_812_800;
/// At no step.
pub(super) const NOTHING: [usize; 0] = [];
