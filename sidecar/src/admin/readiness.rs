//! `GET /readyz`: whether callers can be served, and what is not as it should be.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Serialize;

use super::Admin;
use crate::{
    enforce::Enforcer,
    token::{Freshness, KeyState},
};

/// What is told.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    /// What is not as it should be; more than one thing can be.
    reasons: Vec<Reason>,
    issuers: Vec<KeyState>,
    policies: PolicyState,
    revocations: usize,
}

#[derive(Debug, Serialize)]
struct PolicyState {
    policies: usize,
    files: usize,
    /// Whether the files say something else that could not be loaded.
    stale: bool,
}

/// Something that is not as it should be.
#[derive(Debug, Serialize)]
struct Reason {
    code: Code,
    effect: Effect,
    what: String,
}

/// The closed list of what can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Code {
    Draining,
    NoUsableKeys,
    KeysMissing,
    KeysStale,
    KeysTooOld,
    LedgerUnwritable,
    PoliciesStale,
    UpstreamUnreachable,
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Effect {
    /// Nobody can be served.
    NotReady,
    /// Some are not, or will not be for long.
    Degraded,
}

impl Reason {
    fn new(code: Code, effect: Effect, what: impl Into<String>) -> Self {
        Self { code, effect, what: what.into() }
    }

    /// What is wrong with an issuer's keys.
    fn of_keys(state: &KeyState) -> Option<Self> {
        let code = match state.freshness() {
            Freshness::Fresh if state.keys() > 0 => return None,
            Freshness::Fresh | Freshness::Missing => Code::KeysMissing,
            Freshness::Stale => Code::KeysStale,
            Freshness::TooOld => Code::KeysTooOld,
        };
        Some(Self::new(code, Effect::Degraded, state.to_string()))
    }
}

/// Ready is who holds usable keys of some issuer, can put decisions on record, and is not about to
/// stop.
pub(super) async fn ready(State(admin): State<Admin>) -> Response {
    let enforcer = &admin.enforcer;
    let issuers: Vec<KeyState> = enforcer.verifier.key_states().collect();
    let reasons = reasons(enforcer, &issuers);
    let ready = reasons.iter().all(|reason| reason.effect != Effect::NotReady);
    let summary = enforcer.policies.current().summary().clone();
    let readiness = Readiness {
        ready,
        reasons,
        issuers,
        policies: PolicyState {
            policies: summary.policies,
            files: summary.files,
            stale: enforcer.policies.is_stale(),
        },
        revocations: enforcer.verifier.revocations().len(),
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

fn reasons(enforcer: &Enforcer, issuers: &[KeyState]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut note = |wrong: bool, code, effect, what: &str| {
        if wrong {
            reasons.push(Reason::new(code, effect, what));
        }
    };
    let no_keys = !issuers.iter().any(KeyState::is_usable);
    let unreachable = !enforcer.telemetry.upstream_is_reachable();
    for (wrong, code, effect, what) in [
        (*enforcer.closing.borrow(), Code::Draining, Effect::NotReady, "the gate is about to stop"),
        (no_keys, Code::NoUsableKeys, Effect::NotReady, "no issuer's tokens can be verified"),
        (
            !enforcer.ledger.measures().is_writable(),
            Code::LedgerUnwritable,
            Effect::NotReady,
            "decisions cannot be put on record, so that everything is refused",
        ),
        (
            enforcer.policies.is_stale(),
            Code::PoliciesStale,
            Effect::Degraded,
            "the policy files could not be loaded; the last good ones are in force",
        ),
        (
            unreachable,
            Code::UpstreamUnreachable,
            Effect::Degraded,
            "the latest request could not reach the upstream",
        ),
    ] {
        note(wrong, code, effect, what);
    }
    reasons.extend(issuers.iter().filter_map(Reason::of_keys));
    reasons
}
