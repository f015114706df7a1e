//! Narrowing: of a list only what its reader may use is left.

use std::collections::HashSet;

use super::revision::unreadable;
use crate::{
    authz::Listing,
    message::json::{Json, Object},
    rejection::Rejection,
};

/// Leaves in `result` what its reader may use. What has no list where one belongs is refused,
/// never passed on.
pub(super) fn narrow(result: &mut Object, listing: &Listing) -> Result<(), Rejection> {
    let Some(Json::Array(items)) = member(result, listing.member())? else {
        return Err(unreadable("there is no list where one belongs"));
    };
    if items.len() > MAX_ITEMS {
        return Err(unreadable("a list is too long"));
    }
    let mut shown = Vec::with_capacity(items.len());
    let mut seen = HashSet::new();
    for mut item in items.drain(..) {
        let Json::Object(object) = &mut item else {
            return Err(unreadable("an item of a list is no object"));
        };
        let name = member(object, listing.name_member())?.and_then(|name| name.as_str());
        let name = name.ok_or_else(|| unreadable("an item of a list has no name"))?.to_owned();
        // Which of two of one name would be reached nobody can tell; the first one is shown.
        if !seen.insert(name.clone()) {
            tracing::warn!(name, "listed twice");
        } else if listing.shows(&name, object)? {
            shown.push(item);
        } else {
            tracing::debug!(name, "not listed for this caller");
        }
    }
    *items = shown;
    Ok(())
}

/// A member that no reader takes for another: its name stands there in one case only.
pub(super) fn member<'a>(
    object: &'a mut Object,
    name: &str,
) -> Result<Option<&'a mut Json>, Rejection> {
    if object.has_twin_of(name) {
        return Err(unreadable("names differ in case alone"));
    }
    Ok(object.get_mut(name))
}

/// Each takes an evaluation; a page of more is no honest page.
const MAX_ITEMS: usize = 10_000;
