//! Narrowing: of a list only what its reader may use is left.

use crate::{
    authz::Listing,
    message::json::{Json, Object},
    rejection::Rejection,
};

/// The JSON-RPC message in `bytes` with its list narrowed. What cannot be read strictly or has no
/// list where one belongs is refused, never passed on.
pub(super) fn narrowed(bytes: &[u8], listing: &Listing) -> Result<Vec<u8>, Rejection> {
    let mut message = Json::read_answer(bytes).map_err(|fault| {
        tracing::warn!(?fault, "the upstream's list cannot be read");
        Rejection::UpstreamAnswer
    })?;
    let Json::Object(object) = &mut message else { return Err(Rejection::UpstreamAnswer) };
    narrow(object, listing)?;
    let mut out = Vec::with_capacity(bytes.len());
    message.write(&mut out);
    Ok(out)
}

fn narrow(message: &mut Object, listing: &Listing) -> Result<(), Rejection> {
    // Errors hold no list, nor do notifications on the same stream.
    let Some(result) = member(message, "result")? else { return Ok(()) };
    let Json::Object(result) = result else { return Err(Rejection::UpstreamAnswer) };
    // A shared cache must not serve one caller's list to another (MCP 2026-07-28, caching).
    if listing.is_modern() || result.get("cacheScope").is_some() {
        result.set("cacheScope", Json::from("private"));
    }
    let Some(Json::Array(items)) = member(result, listing.member())? else {
        return Err(Rejection::UpstreamAnswer);
    };
    if items.len() > MAX_ITEMS {
        return Err(Rejection::UpstreamAnswer);
    }
    let mut shown = Vec::with_capacity(items.len());
    for mut item in items.drain(..) {
        let Json::Object(object) = &mut item else { return Err(Rejection::UpstreamAnswer) };
        let name = member(object, listing.name_member())?.and_then(|name| name.as_str());
        let name = name.ok_or(Rejection::UpstreamAnswer)?;
        if listing.shows(name)? {
            shown.push(item);
        } else {
            tracing::debug!(name, "not listed for this caller");
        }
    }
    *items = shown;
    Ok(())
}

/// A member that no reader takes for another: its name stands there in one case only.
fn member<'a>(object: &'a mut Object, name: &str) -> Result<Option<&'a mut Json>, Rejection> {
    if object.has_twin_of(name) {
        return Err(Rejection::UpstreamAnswer);
    }
    Ok(object.get_mut(name))
}

/// Each takes an evaluation; a page of more is no honest page.
const MAX_ITEMS: usize = 10_000;
