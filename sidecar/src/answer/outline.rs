//! The members of an object, their values unread: enough to see what a message is, at the price of
//! finding its ends.
//!
//! A name that stands twice, or differs from one that is asked for in case alone, is refused: some
//! client would read the message otherwise than it was judged.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::revision::unreadable;
use crate::{message::json::same_but_for_case, rejection::Rejection};

/// Members in the order in which they were written, each name once.
pub(super) struct Outline<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Outline<'a> {
    pub(super) fn read(text: &'a [u8]) -> Result<Self, Rejection> {
        // Anything else would have no members.
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(unreadable("it is no object"));
        }
        serde_json::from_slice(text).map_err(unreadable)
    }

    /// The value of a member; `null` is as good as none.
    pub(super) fn get(&self, name: &str) -> Result<Option<&'a RawValue>, Rejection> {
        let twin = |own: &str| own != name && same_but_for_case(own, name);
        if self.0.iter().any(|(own, _)| twin(own)) {
            return Err(unreadable("names differ in case alone"));
        }
        let found = self.0.iter().find(|(own, _)| own == name);
        Ok(found.map(|(_, value)| *value).filter(|value| value.get() != "null"))
    }

    /// Whether a member has this name; with `null` too.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }

    /// The text of a member that is a string.
    pub(super) fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, Rejection> {
        let value = self.get(name)?;
        value.map(|value| serde_json::from_str(value.get()).map_err(unreadable)).transpose()
    }

    /// The members of a member, if that is an object.
    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, Rejection> {
        match self.get(name)? {
            Some(value) if value.get().starts_with('{') => {
                Self::read(value.get().as_bytes()).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Outline<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members).map(Outline)
    }
}

struct Members;

/// A name, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        let distinct: HashSet<&str> = members.iter().map(|(name, _)| &**name).collect();
        if distinct.len() < members.len() {
            return Err(A::Error::custom("a name stands twice"));
        }
        Ok(members)
    }
}
