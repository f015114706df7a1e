//! The resources; who may read them is the gate's policy.

mod health_status;
mod security_events;

use rmcp::{
    ErrorData,
    model::{ReadResourceResponse, ReadResourceResult, Resource, ResourceContents},
};

use crate::{security_events::SecurityEvents, store::Store};

pub(crate) fn all() -> Vec<Resource> {
    vec![health_status::description(), security_events::description()]
}

pub(crate) async fn read(
    store: &Store,
    events: &SecurityEvents,
    uri: &str,
) -> Result<ReadResourceResponse, ErrorData> {
    let text = match uri {
        health_status::URI => health_status::text(store).await,
        security_events::URI => security_events::text(events),
        _ => {
            return Err(ErrorData::invalid_params(format!("no resource `{uri}`"), None));
        }
    };
    let contents = ResourceContents::text(text, uri).with_mime_type("application/json");
    Ok(ReadResourceResult::new(vec![contents]).into())
}
