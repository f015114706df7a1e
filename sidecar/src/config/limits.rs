//! How much of everything there may be, and how long it may take.

use std::time::Duration;

use serde::Deserialize;

use super::{Limits, raw::Problems};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
    max_body_bytes: usize,
    max_connections: usize,
    max_connections_per_peer: usize,
    max_concurrent_requests: usize,
    max_concurrent_requests_per_principal: usize,
    max_answer_bytes: usize,
    max_call_budgets: usize,
    #[serde(with = "humantime_serde")]
    body_timeout: Duration,
    #[serde(with = "humantime_serde")]
    connect_timeout: Duration,
    #[serde(with = "humantime_serde")]
    response_timeout: Duration,
    #[serde(with = "humantime_serde")]
    stream_idle_timeout: Duration,
    #[serde(with = "humantime_serde")]
    stream_timeout: Duration,
    #[serde(with = "humantime_serde")]
    drain_timeout: Duration,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            // The largest honest arguments are documents pasted into a tool call.
            max_body_bytes: 1024 * 1024,
            // Some tens of kilobytes each. The descriptor limit (ulimit -n) must allow for as many.
            max_connections: 4096,
            // One host must not keep the others out; a load balancer in front needs them all.
            max_connections_per_peer: 1024,
            // Each holds a message while it is judged and an upstream exchange until it is answered.
            max_concurrent_requests: 1024,
            // A service account that acts for many is given more by its operator.
            max_concurrent_requests_per_principal: 256,
            // Tool lists of a thousand tools are below two mebibytes.
            max_answer_bytes: 8 * 1024 * 1024,
            // A few hundred bytes each, one for each that a rule tells apart.
            max_call_budgets: 100_000,
            body_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            // Tools that call models take their time.
            response_timeout: Duration::from_secs(60),
            stream_idle_timeout: Duration::from_secs(300),
            // Clients take a stream up again; a day is longer than any answer takes.
            stream_timeout: Duration::from_secs(24 * 3600),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

pub(super) fn limits(raw: RawLimits, problems: &mut Problems) -> Limits {
    for (key, zero) in [
        ("limits.max_body_bytes", raw.max_body_bytes == 0),
        ("limits.max_connections", raw.max_connections == 0),
        ("limits.max_connections_per_peer", raw.max_connections_per_peer == 0),
        ("limits.max_concurrent_requests", raw.max_concurrent_requests == 0),
        (
            "limits.max_concurrent_requests_per_principal",
            raw.max_concurrent_requests_per_principal == 0,
        ),
        ("limits.max_answer_bytes", raw.max_answer_bytes == 0),
        ("limits.max_call_budgets", raw.max_call_budgets == 0),
        ("limits.body_timeout", raw.body_timeout.is_zero()),
        ("limits.connect_timeout", raw.connect_timeout.is_zero()),
        ("limits.response_timeout", raw.response_timeout.is_zero()),
        ("limits.stream_idle_timeout", raw.stream_idle_timeout.is_zero()),
        ("limits.stream_timeout", raw.stream_timeout.is_zero()),
    ] {
        if zero {
            problems.add(key, "must be more than zero");
        }
    }
    for (key, count) in [
        ("limits.max_connections", raw.max_connections),
        ("limits.max_concurrent_requests", raw.max_concurrent_requests),
    ] {
        if count > tokio::sync::Semaphore::MAX_PERMITS {
            problems.add(key, "is beyond any machine");
        }
    }
    Limits {
        max_body_bytes: raw.max_body_bytes,
        max_connections: raw.max_connections,
        max_connections_per_peer: raw.max_connections_per_peer,
        max_concurrent_requests: raw.max_concurrent_requests,
        max_concurrent_requests_per_principal: raw.max_concurrent_requests_per_principal,
        max_answer_bytes: raw.max_answer_bytes,
        max_call_budgets: raw.max_call_budgets,
        body_timeout: raw.body_timeout,
        connect_timeout: raw.connect_timeout,
        response_timeout: raw.response_timeout,
        stream_idle_timeout: raw.stream_idle_timeout,
        stream_timeout: raw.stream_timeout,
        drain_timeout: raw.drain_timeout,
    }
}
