//! Narrowing: of a list only what its reader may use is left.

use crate::{authz::Listing, message::json::Json, rejection::Rejection};

/// The JSON-RPC message in `bytes` with its list narrowed. What cannot be read strictly or has no
/// list where one belongs is refused, never passed on.
pub(super) fn narrowed(bytes: &[u8], listing: &Listing) -> Result<Vec<u8>, Rejection> {
    let mut message = Json::read(bytes).map_err(|fault| {
        tracing::warn!(?fault, "the upstream's list cannot be read");
        Rejection::UpstreamAnswer
    })?;
    narrow(&mut message, listing)?;
    let mut out = Vec::with_capacity(bytes.len());
    message.write(&mut out);
    Ok(out)
}

fn narrow(message: &mut Json, listing: &Listing) -> Result<(), Rejection> {
    let Json::Object(message) = message else {
        return Err(Rejection::UpstreamAnswer);
    };
    // Errors hold no list, nor do requests and notifications on the same stream.
    if message.get("result").is_none() {
        return Ok(());
    }
    let Some(Json::Object(result)) = message.get_mut("result") else {
        return Err(Rejection::UpstreamAnswer);
    };
    let Some(Json::Array(items)) = result.get_mut(listing.member()) else {
        return Err(Rejection::UpstreamAnswer);
    };
    let mut shown = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        let name = item.as_object().and_then(|item| item.get(listing.name_member()));
        let name = name.and_then(Json::as_str).ok_or(Rejection::UpstreamAnswer)?;
        if listing.shows(name)? {
            shown.push(item);
        } else {
            tracing::debug!(name, "not listed for this caller");
        }
    }
    *items = shown;
    // A shared cache must not serve one caller's list to another (MCP 2026-07-28, caching).
    if result.get("cacheScope").is_some() {
        result.set("cacheScope", Json::from("private"));
    }
    Ok(())
}
