//! What it costs to measure one permitted call: time stamps, counters, histograms, its span.
//!
//! `cargo bench -p tests --bench telemetry`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run should fail loudly")]

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue};
use sidecar::testing::Measured;

fn telemetry(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("measuring a call");
    let none = HeaderMap::new();
    let mut traced = HeaderMap::new();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    traced.insert("traceparent", HeaderValue::from_static(parent));
    for (name, ratio, headers) in [
        ("without traces", None, &none),
        ("not sampled", Some(0.0), &none),
        ("sampled", Some(1.0), &none),
        ("in its caller's trace", Some(0.0), &traced),
    ] {
        let measured = Measured::new(ratio).unwrap();
        group.bench_function(name, |b| b.iter(|| measured.request(headers)));
    }
    group.finish();
}

criterion_group!(benches, telemetry);
criterion_main!(benches);
