//! Metrics, traces, readiness.

mod deployed;
mod exported;
mod scraped;
