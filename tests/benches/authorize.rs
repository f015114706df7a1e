//! What it costs to decide about one call: its arguments held against the tool's own schema, twenty
//! values typed, policies evaluated. With ten policies and with a thousand, on this tool and on
//! others.
//!
//! `cargo bench -p tests --bench authorize`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run should fail loudly")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use harness::{call_of_the_first_tool, policy_set};
use sidecar::testing::Decider;

fn authorize(criterion: &mut Criterion) {
    let body = call_of_the_first_tool();
    let mut group = criterion.benchmark_group("a call with twenty arguments");
    group.bench_function("read", |b| b.iter(|| Decider::call(&body).unwrap()));
    for (own, others) in [(10, 0), (10, 990), (1_000, 0)] {
        let home = tempfile::tempdir().unwrap();
        let config = policy_set(home.path(), own, others);
        let decider = Decider::new(&config, &["scope:0", "scope:1"]).unwrap();
        assert!(decider.permits(Decider::call(&body).unwrap()));
        group.bench_function(format!("{own} policies on the tool, {others} on others"), |b| {
            b.iter_batched(
                || Decider::call(&body).unwrap(),
                |call| assert!(decider.permits(call)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("loading");
    group.sample_size(10);
    for count in [100, 10_000] {
        let home = tempfile::tempdir().unwrap();
        let config = policy_set(home.path(), count / 100, count - count / 100);
        group.bench_function(format!("{count} policies"), |b| {
            b.iter(|| Decider::new(&config, &[]).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, authorize);
criterion_main!(benches);
