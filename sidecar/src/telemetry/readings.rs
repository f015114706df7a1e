//! Everything that is told in numbers, with its name, and where it is counted.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{
    Telemetry,
    family::{Family, Readings, Value},
    measures::Counter,
    process::Process,
    steps::Step,
};
use crate::{
    enforce::Enforcer,
    ledger::Decision,
    watch::{Detector, Severity},
};

static BUILD_INFO: Family =
    Family::gauge("cedargate_build_info", &["version"], "Always 1; the version that runs.");
static DECISIONS: Family = Family::counter(
    "cedargate_decisions_total",
    &["outcome", "reason", "tool"],
    "Decisions. The tool is one of those in force, `(other)` for a tool that is not or not yet known, `(none)` for what calls none.",
);
static OUTCOMES: Family = Family::counter(
    "cedargate_outcomes_total",
    &["outcome"],
    "What came of permitted requests: `answered`, `broken-off`, or the reason why the answer was not relayed.",
);
static IN_FLIGHT: Family = Family::gauge(
    "cedargate_requests_in_flight",
    &[],
    "Requests that have arrived and whose answers have not ended.",
);
static DURATION: Family = Family::histogram(
    "cedargate_request_duration_seconds",
    &["outcome"],
    "From a request's arrival to the end of its answer; whoever merely listens is left out.",
);
static STEP_DURATION: Family = Family::histogram(
    "cedargate_step_duration_seconds",
    &["step"],
    "What each step took. `message` includes the time that the body takes to arrive, `upstream` ends where the upstream's answer begins.",
);
static REQUEST_BYTES: Family =
    Family::counter("cedargate_request_bytes_total", &[], "Bytes of messages received.");
static ANSWER_BYTES: Family =
    Family::counter("cedargate_answer_bytes_total", &[], "Bytes of answers relayed to callers.");
static CACHE: Family = Family::counter(
    "cedargate_cache_requests_total",
    &["cache", "result"],
    "Look-ups in a cache: `verified-tokens` by `hit` or `miss`.",
);
static JWKS_AGE: Family = Family::gauge(
    "cedargate_jwks_age_seconds",
    &["issuer"],
    "How old an issuer's key set is. Absent while there is none.",
);
static JWKS_KEYS: Family =
    Family::gauge("cedargate_jwks_keys", &["issuer"], "Keys of an issuer that can be used.");
static JWKS_USABLE: Family = Family::gauge(
    "cedargate_jwks_usable",
    &["issuer"],
    "1 while tokens of an issuer can be verified.",
);
static JWKS_FETCHES: Family = Family::counter(
    "cedargate_jwks_fetches_total",
    &["issuer", "result"],
    "Attempts to fetch an issuer's keys, by `fetched` or `failed`.",
);
static POLICY_AGE: Family = Family::gauge(
    "cedargate_policies_age_seconds",
    &[],
    "How long ago the policies in force were loaded.",
);
static POLICY_COUNT: Family =
    Family::gauge("cedargate_policies", &[], "Policies in force, those in the shadow included.");
static POLICY_TOOLS: Family =
    Family::gauge("cedargate_policies_tools", &[], "Tools that the policies in force know.");
static POLICY_STALE: Family = Family::gauge(
    "cedargate_policies_stale",
    &[],
    "1 while the files say something else that could not be loaded.",
);
static POLICY_INFO: Family = Family::gauge(
    "cedargate_policies_info",
    &["version"],
    "Always 1; the version of the policies in force.",
);
static POLICY_RELOADS: Family = Family::counter(
    "cedargate_policies_reloads_total",
    &["result"],
    "Reloads since the start, by `loaded` or `refused`.",
);
static REVOCATIONS: Family = Family::gauge("cedargate_revocations", &[], "Revocations in force.");
static LEDGER_WRITABLE: Family =
    Family::gauge("cedargate_ledger_writable", &[], "1 unless the latest attempt to write failed.");
static LEDGER_WAITING: Family =
    Family::gauge("cedargate_ledger_waiting_entries", &[], "Entries that wait to be written.");
static LEDGER_ENTRIES: Family =
    Family::counter("cedargate_ledger_entries_total", &[], "Entries written.");
static LEDGER_LOST: Family = Family::counter(
    "cedargate_ledger_lost_entries_total",
    &[],
    "Entries that were not written: their requests were refused, or nobody waited for them.",
);
static LEDGER_FAILURES: Family = Family::counter(
    "cedargate_ledger_failures_total",
    &[],
    "Groups of entries that could not be written.",
);
static LEDGER_WRITE: Family = Family::histogram(
    "cedargate_ledger_write_seconds",
    &[],
    "What writing a group of entries took.",
);
static LEDGER_GROUP: Family =
    Family::histogram("cedargate_ledger_group_entries", &[], "Entries written at once.");
static LEDGER_SIGNED: Family = Family::gauge(
    "cedargate_ledger_signed_age_seconds",
    &[],
    "How long ago everything in the ledger was signed.",
);
static FINDINGS: Family = Family::counter(
    "cedargate_findings_total",
    &["detector", "severity"],
    "Findings raised, or grown worse.",
);
static UPSTREAM_REACHABLE: Family = Family::gauge(
    "cedargate_upstream_reachable",
    &[],
    "0 when the latest request could not reach the upstream.",
);
static EXPORTS: Family = Family::counter(
    "cedargate_telemetry_exports_total",
    &["signal", "result"],
    "Exchanges with the collector, by `taken` or `failed`.",
);
static SPANS_DROPPED: Family = Family::counter(
    "cedargate_telemetry_dropped_requests_total",
    &[],
    "Sampled requests whose spans found no room in the queue.",
);
static PROCESS_CPU: Family =
    Family::counter("process_cpu_seconds_total", &[], "What the process has used of processors.");
static PROCESS_MEMORY: Family =
    Family::gauge("process_resident_memory_bytes", &[], "What it occupies of memory.");
static PROCESS_FILES: Family =
    Family::gauge("process_open_fds", &[], "Files and sockets that it has open.");
static PROCESS_MOST_FILES: Family =
    Family::gauge("process_max_fds", &[], "How many it may have open.");
static PROCESS_START: Family =
    Family::gauge("process_start_time_seconds", &[], "When it started, since 1970.");

/// Every metric, in the order in which it is told; what is documented is held against it.
#[cfg(test)]
pub(crate) static FAMILIES: [&Family; 37] = [
    &BUILD_INFO,
    &DECISIONS,
    &OUTCOMES,
    &IN_FLIGHT,
    &DURATION,
    &STEP_DURATION,
    &REQUEST_BYTES,
    &ANSWER_BYTES,
    &CACHE,
    &JWKS_AGE,
    &JWKS_KEYS,
    &JWKS_USABLE,
    &JWKS_FETCHES,
    &POLICY_AGE,
    &POLICY_COUNT,
    &POLICY_TOOLS,
    &POLICY_STALE,
    &POLICY_INFO,
    &POLICY_RELOADS,
    &REVOCATIONS,
    &LEDGER_WRITABLE,
    &LEDGER_WAITING,
    &LEDGER_ENTRIES,
    &LEDGER_LOST,
    &LEDGER_FAILURES,
    &LEDGER_WRITE,
    &LEDGER_GROUP,
    &LEDGER_SIGNED,
    &FINDINGS,
    &UPSTREAM_REACHABLE,
    &EXPORTS,
    &SPANS_DROPPED,
    &PROCESS_CPU,
    &PROCESS_MEMORY,
    &PROCESS_FILES,
    &PROCESS_MOST_FILES,
    &PROCESS_START,
];

/// All numbers of this moment.
pub(crate) fn read(enforcer: &Enforcer) -> Readings {
    let mut out = Readings::default();
    out.add(&BUILD_INFO, [env!("CARGO_PKG_VERSION")], Value::Whole(1));
    requests(&enforcer.telemetry, &mut out);
    issuers(enforcer, &mut out);
    policies(enforcer, &mut out);
    out.one(&REVOCATIONS, enforcer.verifier.revocations().len());
    ledger(enforcer, &mut out);
    telemetry(&enforcer.telemetry, &mut out);
    process(&enforcer.telemetry, &mut out);
    out
}

fn requests(telemetry: &Telemetry, out: &mut Readings) {
    for (tool, reason, count) in telemetry.decisions.counted() {
        let allowed = reason == super::PERMITTED;
        let outcome = if allowed { Decision::Allow } else { Decision::Deny };
        out.add(&DECISIONS, [outcome.as_str().into(), reason.into(), tool], Value::Whole(count));
    }
    for (outcome, count) in telemetry.outcomes.counted() {
        out.add(&OUTCOMES, [outcome], Value::Whole(count));
    }
    out.one(&IN_FLIGHT, telemetry.in_flight.get());
    for outcome in [Decision::Allow, Decision::Deny] {
        out.add(&DURATION, [outcome.as_str()], telemetry.duration(outcome).into());
    }
    for step in Step::ALL {
        out.add(&STEP_DURATION, [step.name()], telemetry.step(step).into());
    }
    out.one(&REQUEST_BYTES, telemetry.request_bytes.get());
    out.one(&ANSWER_BYTES, telemetry.answer_bytes.get());
}

fn issuers(enforcer: &Enforcer, out: &mut Readings) {
    let (hits, misses) = enforcer.verifier.known_tokens();
    out.add(&CACHE, ["verified-tokens", "hit"], Value::Whole(hits));
    out.add(&CACHE, ["verified-tokens", "miss"], Value::Whole(misses));
    for state in enforcer.verifier.key_states() {
        let issuer = || state.issuer().to_owned();
        if let Some(age) = state.age_seconds() {
            out.add(&JWKS_AGE, [issuer()], age.into());
        }
        out.add(&JWKS_KEYS, [issuer()], state.keys().into());
        out.add(&JWKS_USABLE, [issuer()], state.is_usable().into());
        let (fetched, failed) = state.fetches();
        for (result, count) in [("fetched", fetched), ("failed", failed)] {
            out.add(&JWKS_FETCHES, [issuer(), result.to_owned()], count.into());
        }
    }
}

fn policies(enforcer: &Enforcer, out: &mut Readings) {
    let policies = enforcer.policies.current();
    let summary = policies.summary();
    out.one(&POLICY_AGE, enforcer.policies.age().as_secs());
    out.one(&POLICY_COUNT, summary.policies);
    out.one(&POLICY_TOOLS, summary.tools);
    out.one(&POLICY_STALE, enforcer.policies.is_stale());
    out.add(&POLICY_INFO, [summary.version.clone()], Value::Whole(1));
    let (loaded, refused) = enforcer.policies.reloads();
    out.add(&POLICY_RELOADS, ["loaded"], loaded.into());
    out.add(&POLICY_RELOADS, ["refused"], refused.into());
}

fn ledger(enforcer: &Enforcer, out: &mut Readings) {
    let ledger = enforcer.ledger.measures();
    out.one(&LEDGER_WRITABLE, ledger.is_writable());
    out.one(&LEDGER_WAITING, enforcer.ledger.waiting());
    out.one(&LEDGER_ENTRIES, ledger.entries.get());
    out.one(&LEDGER_LOST, ledger.lost.get());
    out.one(&LEDGER_FAILURES, ledger.failures.get());
    out.one(&LEDGER_WRITE, &ledger.write);
    out.one(&LEDGER_GROUP, &ledger.group);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    out.one(&LEDGER_SIGNED, now.as_secs().saturating_sub(ledger.signed_at.get()));
}

fn telemetry(telemetry: &Telemetry, out: &mut Readings) {
    for detector in Detector::ALL {
        for severity in Severity::ALL {
            let raised = telemetry.raised(detector, severity).map_or(0, Counter::get);
            // Few of them can be.
            if raised > 0 {
                let labels = [detector.code(), severity.code()];
                out.add(&FINDINGS, labels, Value::Whole(raised));
            }
        }
    }
    out.one(&UPSTREAM_REACHABLE, telemetry.upstream_is_reachable());
    for (signal, counts) in
        [("traces", &telemetry.exports.traces), ("metrics", &telemetry.exports.metrics)]
    {
        out.add(&EXPORTS, [signal, "taken"], counts.taken.get().into());
        out.add(&EXPORTS, [signal, "failed"], counts.failed.get().into());
    }
    let dropped = telemetry.spans.as_ref().map_or(0, |spans| spans.dropped.get());
    out.one(&SPANS_DROPPED, dropped);
}

fn process(telemetry: &Telemetry, out: &mut Readings) {
    if let Some(process) = Process::this() {
        out.one(&PROCESS_CPU, process.cpu_seconds);
        out.one(&PROCESS_MEMORY, process.resident_bytes);
        out.one(&PROCESS_FILES, process.open_files);
        out.one(&PROCESS_MOST_FILES, process.most_files);
    }
    let started = telemetry.started.duration_since(UNIX_EPOCH).unwrap_or_default();
    out.one(&PROCESS_START, started.as_secs_f64());
}
