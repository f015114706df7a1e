use std::time::{Duration, Instant};

use harness::{CollectorDouble, Stack, attributes, eventually, free_port};
use opentelemetry_proto::tonic::{
    metrics::v1::{Metric, metric::Data, number_data_point::Value as Number},
    trace::v1::{Span, span::SpanKind},
};
use serde_json::json;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn settings(endpoint: &str, more: &str) -> String {
    format!("[telemetry]\nendpoint = {endpoint:?}\nsample_ratio = 0\n{more}\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The server's span and the one of its way to the upstream.
async fn spans_of(collector: &CollectorDouble, count: usize) -> Vec<Span> {
    eventually("the spans arrive", async || collector.spans().len() >= count).await;
    let mut spans = collector.spans();
    assert_eq!(spans.len(), count, "{spans:?}");
    spans.sort_by_key(|span| span.kind);
    spans
}

#[tokio::test]
async fn a_request_is_a_part_of_its_callers_trace_and_the_upstream_of_ours() {
    let collector = CollectorDouble::start().await;
    let stack = Stack::with().settings(&settings(&collector.endpoint(), "")).start().await;
    let caller = stack
        .caller("customer:read")
        .header("traceparent", &format!("00-{TRACE}-{PARENT}-01"))
        .header("tracestate", "vendor=1");
    let reply = caller.call("get_customer_info", json!({ "customer_id": "ABC123" })).await;
    let request_id = reply.headers["x-request-id"].to_str().unwrap();
    let spans = spans_of(&collector, 2).await;
    let (server, upstream) = (&spans[0], &spans[1]);
    assert_eq!(server.kind, i32::from(SpanKind::Server));
    assert_eq!((hex(&server.trace_id), hex(&server.parent_span_id)), (TRACE.into(), PARENT.into()));
    assert_eq!(server.name, "tools/call get_customer_info");
    assert_eq!(upstream.kind, i32::from(SpanKind::Client));
    assert_eq!((&upstream.trace_id, &upstream.parent_span_id), (&server.trace_id, &server.span_id));
    assert!(server.start_time_unix_nano <= upstream.start_time_unix_nano);
    assert!(upstream.end_time_unix_nano <= server.end_time_unix_nano);
    let told = attributes(&server.attributes);
    for (key, value) in [
        ("mcp.method.name", "tools/call"),
        ("gen_ai.operation.name", "execute_tool"),
        ("gen_ai.tool.name", "get_customer_info"),
        ("http.response.status_code", "200"),
        ("cedargate.decision", "allow"),
        ("cedargate.reason", "permitted"),
        ("cedargate.policies", "customer-read"),
        ("cedargate.request_id", request_id),
    ] {
        assert_eq!(told.get(key).map(String::as_str), Some(value), "{told:?}");
    }
    let passed_on = format!("traceparent: 00-{TRACE}-{}-01\r\n", hex(&upstream.span_id));
    let seen = stack.spy().seen();
    assert!(seen.contains(&passed_on) && seen.contains("tracestate: vendor=1\r\n"), "{seen}");
    assert!(!seen.contains(PARENT), "the upstream is told of its own parent alone");

    // Neither who asked, nor with which token, nor for what.
    let (head, rest) = caller.token().split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    for secret in [head, claims, signature, "ABC123", "alice", "test-client"] {
        assert!(!collector.was_sent(secret), "{secret} was exported");
    }
    stack.finish().await;
}

/// Where no header says so, the message may (MCP 2026-07-28); where both do, the header counts.
#[tokio::test]
async fn a_message_may_say_of_which_trace_it_is_a_part() {
    let collector = CollectorDouble::start().await;
    let mut stack = Stack::with().settings(&settings(&collector.endpoint(), "")).start().await;
    let caller = stack.caller("customer:read");
    let other = TRACE.replace('4', "5");
    let call = json!({ "name": "get_customer_info", "arguments": { "customer_id": "ABC123" },
        "_meta": { "traceparent": format!("00-{other}-{PARENT}-01"), "tracestate": "in=message" } });
    caller.request("tools/call", call.clone()).await;
    let spans = spans_of(&collector, 2).await;
    assert_eq!(
        (hex(&spans[0].trace_id), hex(&spans[0].parent_span_id)),
        (other.clone(), PARENT.into())
    );
    let told = format!("00-{other}-{}-01", hex(&spans[1].span_id));
    let seen = stack.spy().seen();
    assert!(seen.contains(&format!("traceparent: {told}\r\n")), "{seen}");
    assert!(
        seen.contains(&format!(
            "\"_meta\":{{\"traceparent\":\"{told}\",\"tracestate\":\"in=message\"}}"
        )),
        "{seen}"
    );
    assert!(!seen.contains(PARENT), "{seen}");
    assert_eq!(stack.latest_decision().await.trace_id.as_deref(), Some(other.as_str()));

    let caller = stack.caller("customer:read");
    let caller = caller.header("traceparent", &format!("00-{TRACE}-{PARENT}-01"));
    caller.request("tools/call", call).await;
    let spans = spans_of(&collector, 4).await;
    assert_eq!(spans.iter().filter(|span| hex(&span.trace_id) == TRACE).count(), 2);
    stack.finish().await;
}

#[tokio::test]
async fn a_strangers_trace_samples_nothing_and_refusals_are_told() {
    let collector = CollectorDouble::start().await;
    let stack = Stack::with().settings(&settings(&collector.endpoint(), "")).start().await;
    let theirs = format!("00-{TRACE}-{PARENT}-01");
    let stranger = stack.stranger().header("traceparent", &theirs);
    for _ in 0..3 {
        stranger.refused("{}").await;
    }
    let ticket =
        json!({ "customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low" });
    let caller = stack.caller("customer:read").header("traceparent", &theirs);
    caller.refused_call("create_support_ticket", ticket).await;
    caller.refused_call("made_up", json!({})).await;
    // Spans come in the order in which requests end, so that the strangers' would be there.
    let spans = spans_of(&collector, 2).await;
    let told: Vec<_> = spans.iter().map(|span| attributes(&span.attributes)).collect();
    assert_eq!(told[0]["error.type"], "insufficient-scope");
    assert_eq!(told[0]["http.response.status_code"], "403");
    assert!(spans[0].status.is_none(), "a refusal is no failure of the gate's");
    assert_eq!((spans[1].name.as_str(), told[1].get("gen_ai.tool.name")), ("tools/call", None));
    assert!(!collector.was_sent("made_up"));
    stack.finish().await;
}

fn sum(metrics: &[Metric], name: &str, labels: &[(&str, &str)]) -> Option<i64> {
    let metric = metrics.iter().find(|metric| metric.name == name)?;
    let Some(Data::Sum(sum)) = &metric.data else { return None };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
    let point = sum.data_points.iter().find(|point| {
        let told = attributes(&point.attributes);
        labels.iter().all(|(key, value)| told.get(*key).is_some_and(|told| told == value))
    })?;
    match point.value? {
        Number::AsInt(value) => Some(value),
        Number::AsDouble(_) => None,
    }
}

#[tokio::test]
async fn metrics_are_exported_with_the_headers_of_a_file_and_the_last_at_the_end() {
    let collector = CollectorDouble::start().await;
    let secrets = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secrets.path(), "x-api-key: s3cr3t\n").unwrap();
    let more = format!(
        "metrics_interval = \"1h\"\nheaders_file = {:?}\n[telemetry.resource]\n\
         \"deployment.environment.name\" = \"test\"",
        secrets.path()
    );
    let stack = Stack::with().settings(&settings(&collector.endpoint(), &more)).start().await;
    let caller = stack.caller("customer:read");
    let caller = caller.header("traceparent", &format!("00-{TRACE}-{PARENT}-01"));
    for _ in 0..2 {
        caller.call("get_customer_info", json!({ "customer_id": "ABC123" })).await;
    }
    assert!(collector.metrics().is_empty(), "the hour is not over");
    stack.finish().await;
    eventually("the last metrics arrive", async || !collector.metrics().is_empty()).await;
    let metrics = collector.metrics();
    let labels = [("reason", "permitted"), ("tool", "get_customer_info")];
    assert_eq!(sum(&metrics, "cedargate_decisions", &labels), Some(2));
    let durations = metrics.iter().find(|it| it.name == "cedargate_request_duration_seconds");
    let Some(Data::Histogram(durations)) = durations.unwrap().data.clone() else { panic!() };
    let allowed = durations.data_points.iter().find(|it| it.count == 2).unwrap();
    assert_eq!(allowed.bucket_counts.len(), allowed.explicit_bounds.len() + 1);
    assert!(allowed.sum.unwrap() > 0.0);
    let resource = collector.resource();
    assert_eq!(resource["service.name"], "cedargate");
    assert_eq!(resource["deployment.environment.name"], "test");
    assert!(collector.headers().iter().all(|headers| headers["x-api-key"] == "s3cr3t"));
    assert_eq!(spans_of(&collector, 4).await.len(), 4, "and the last spans");
}

/// Nobody answers there, or somebody who takes what comes and never says so.
#[tokio::test]
async fn a_dead_collector_costs_callers_nothing() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let silence = format!("http://{}", silent.local_addr().unwrap());
    for endpoint in [nowhere, silence] {
        let more = "metrics_interval = \"100ms\"\ntimeout = \"1s\"";
        let stack = Stack::with().settings(&settings(&endpoint, more)).start().await;
        let caller = stack.caller("customer:read");
        let caller = caller.header("traceparent", &format!("00-{TRACE}-{PARENT}-01"));
        for _ in 0..30 {
            let asked = Instant::now();
            let reply = caller.call("get_customer_info", json!({ "customer_id": "ABC123" })).await;
            assert_eq!(reply.status, 200);
            assert!(asked.elapsed() < Duration::from_millis(900), "{:?}", asked.elapsed());
        }
        stack.finish().await;
    }
}
