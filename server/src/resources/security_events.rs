//! `security://events`: what the server refused or failed at.

use jiff::Timestamp;
use rmcp::model::Resource;
use serde::Serialize;
use serde_json::json;

use crate::security_events::{SecurityEvents, Summary};

pub(super) const URI: &str = "security://events";

pub(super) fn description() -> Resource {
    Resource::new(URI, "security-events")
        .with_title("Security events")
        .with_description("Callers refused, arguments refused and failures since the start.")
        .with_mime_type("application/json")
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    events: Summary,
    monitoring_status: &'static str,
    retrieved_at: Timestamp,
}

pub(super) fn text(events: &SecurityEvents) -> String {
    let report = Report {
        events: events.summary(),
        monitoring_status: "active",
        retrieved_at: Timestamp::now(),
    };
    serde_json::to_string(&report)
        .unwrap_or_else(|error| json!({ "error": error.to_string() }).to_string())
}
