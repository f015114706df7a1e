//! `health://status`: whether the server can do its work.

use jiff::Timestamp;
use rmcp::model::Resource;
use serde_json::json;

use crate::store::Store;

pub(super) const URI: &str = "health://status";

pub(super) fn description() -> Resource {
    Resource::new(URI, "health-status")
        .with_title("Health")
        .with_description("Whether the server and its customer store answer.")
        .with_mime_type("application/json")
}

pub(super) async fn text(store: &Store) -> String {
    let healthy = store.is_healthy().await;
    json!({
        "status": if healthy { "healthy" } else { "degraded" },
        "customer_store": if healthy { "answers" } else { "does not answer" },
        "timestamp": Timestamp::now(),
        "version": env!("CARGO_PKG_VERSION"),
        "features": ["caller_assertion", "input_validation", "security_events"],
    })
    .to_string()
}
