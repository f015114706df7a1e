//! Metrics, traces, readiness.

mod exported;
mod scraped;
