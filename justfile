# The same recipes as in .ci/run; `just --list` names them.

# What a change must pass before it is committed
check: fmt clippy doc deny test

fmt:
    cargo fmt --all --check

clippy:
    cargo clippy --workspace --all-targets -- --deny warnings

doc:
    RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --document-private-items

# Licences, sources and duplicate versions; needs cargo-deny
deny:
    cargo deny check bans licenses sources

test:
    cargo test --workspace

# The six scenes, then an open gate
demo *arguments:
    cargo run --release -- {{arguments}}

# Local CA, leaf certificates, assertion key
certs *arguments:
    cargo xtask certs {{arguments}}

# How fast a release build starts and how much memory it takes while serving
footprint:
    cargo build --release --package demo --package sidecar
    CEDARGATE_TEST_GATE=$PWD/target/release/cedargate cargo test --package tests --test footprint -- --nocapture

# What it costs to know who is asking
bench:
    cargo bench -p tests --bench token

# What it costs to decide about a call, and to load ten thousand policies
bench-policies:
    cargo bench -p tests --bench authorize

# What it costs to keep decisions on record
bench-ledger:
    cargo bench -p tests --bench ledger

# What it costs to show models a hundred tools
bench-tools:
    cargo bench -p client --bench tools

# What detectors find and what they raise for nothing, into docs/watch.md
watch-table:
    CEDARGATE_WRITE_TABLE=1 cargo test -p sidecar --lib watch::simulator

# Every fuzz target for some seconds
fuzz seconds="10":
    tests/fuzz/run {{seconds}}
