//! An entry of the ledger: what is in the tree for good, and what can be erased from beside it.
//!
//! The leaf is JSON: what was decided, when and why, with a commitment to what is personal: a SHA-256
//! of a salt and of the JSON that holds it. Without the salt nobody can guess what it was.

use aws_lc_rs::rand;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    DecisionRecord,
    merkle::{Hash, hash, leaf_hash},
    outcome::OutcomeRecord,
    record::hex,
};
use crate::watch::{About, Finding};

/// An entry but for its place.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The leaf without the brace that opens it: its number comes first.
    rest_of_leaf: String,
    salt: [u8; SALT_BYTES],
    personal: String,
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) seq: i64,
    pub(crate) leaf: String,
    /// Nothing of what has been erased.
    pub(crate) salt: Option<Vec<u8>>,
    pub(crate) personal: Option<String>,
    pub(crate) hash: Vec<u8>,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Altered {
    #[error("what was decided is not what was recorded")]
    Leaf,
    #[error("whom it was about is not what was recorded")]
    Personal,
    #[error("it stands in another's place")]
    Place,
    #[error("it cannot be read")]
    Unreadable,
}

impl Entry {
    /// Of a decision.
    pub(crate) fn of(record: &DecisionRecord) -> Self {
        let mut leaf = members(record);
        let mut personal = Map::new();
        for name in PERSONAL {
            personal.extend(leaf.remove(*name).map(|value| ((*name).to_owned(), value)));
        }
        if !record.calls_a_tool() {
            // A resource is named by a URI, which may name a person.
            personal.extend(leaf.remove("target").map(|target| ("target".to_owned(), target)));
        }
        leaf.insert("kind".to_owned(), Value::from("decision"));
        Self::new(leaf, personal)
    }

    /// Of what came of a request. Its digest can be guessed where there are few results.
    pub(super) fn of_outcome(record: &OutcomeRecord) -> Self {
        let mut leaf = members(record);
        let mut personal = Map::new();
        personal.extend(
            leaf.remove("result_digest").map(|digest| ("result_digest".to_owned(), digest)),
        );
        leaf.insert("kind".to_owned(), Value::from("outcome"));
        Self::new(leaf, personal)
    }

    /// Of what the watch noticed.
    pub(super) fn of_finding(finding: &Finding) -> Self {
        let mut leaf = members(finding);
        let mut personal = Map::new();
        for name in ["about", "explanation"] {
            personal.extend(leaf.remove(name).map(|value| (name.to_owned(), value)));
        }
        if let About::Principal(principal) = &finding.about {
            // Under the name by which decisions are found, and erased.
            personal.insert("principal".to_owned(), Value::from(principal.as_str()));
        }
        leaf.insert("kind".to_owned(), Value::from("finding"));
        Self::new(leaf, personal)
    }

    fn new(mut leaf: Map<String, Value>, personal: Map<String, Value>) -> Self {
        let personal = Value::Object(personal).to_string();
        let mut salt = [0; SALT_BYTES];
        // Without randomness nothing can be committed to; what is left then is a salt of noughts,
        // which is found out by whoever looks and loses nothing.
        if rand::fill(&mut salt).is_err() {
            tracing::error!("the system yields no random bytes");
        }
        let commitment = hex(&hash(&[&salt, personal.as_bytes()]));
        leaf.insert("commitment".to_owned(), Value::from(commitment));
        let text = Value::Object(leaf).to_string();
        Self { rest_of_leaf: text.get(1..).unwrap_or_default().to_owned(), salt, personal }
    }

    /// In the place of this number.
    pub(crate) fn placed(self, seq: i64) -> Placed {
        let leaf = format!("{{\"seq\":{seq},{}", self.rest_of_leaf);
        let hash = leaf_hash(leaf.as_bytes()).to_vec();
        let (salt, personal) = (Some(self.salt.to_vec()), Some(self.personal));
        Placed { seq, leaf, salt, personal, hash }
    }
}

impl Placed {
    /// Its hash in the tree.
    pub(crate) fn leaf_hash(&self) -> Hash {
        leaf_hash(self.leaf.as_bytes())
    }

    /// Whether it is as it was recorded.
    pub(crate) fn require_unaltered(&self) -> Result<(), Altered> {
        if self.leaf_hash().as_slice() != self.hash {
            return Err(Altered::Leaf);
        }
        let leaf: Value = serde_json::from_str(&self.leaf).map_err(|_| Altered::Unreadable)?;
        if leaf.get("seq").and_then(Value::as_i64) != Some(self.seq) {
            return Err(Altered::Place);
        }
        let committed = leaf.get("commitment").and_then(Value::as_str);
        match (&self.salt, &self.personal) {
            (Some(salt), Some(personal)) => {
                let is = hex(&hash(&[salt, personal.as_bytes()]));
                if committed == Some(&is) { Ok(()) } else { Err(Altered::Personal) }
            }
            (None, None) => Ok(()),
            _ => Err(Altered::Personal),
        }
    }

    /// Whether whom it was about has been erased.
    pub(crate) fn is_erased(&self) -> bool {
        self.personal.is_none()
    }

    /// All that is known of it, as one object.
    pub(crate) fn whole(&self) -> Map<String, Value> {
        let read = |text: &str| serde_json::from_str::<Map<String, Value>>(text).ok();
        let mut whole = read(&self.leaf).unwrap_or_default();
        whole.remove("commitment");
        whole.extend(self.personal.as_deref().and_then(read).unwrap_or_default());
        whole
    }
}

/// The members of a record that has no others than those with a value.
fn members(record: &impl Serialize) -> Map<String, Value> {
    let Ok(Value::Object(mut members)) = serde_json::to_value(record) else { return Map::new() };
    members.retain(|_, value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    });
    members
}

/// What says about whom an entry is. A digest of few possible arguments can be guessed.
const PERSONAL: &[&str] = &[
    "peer",
    "issuer",
    "subject",
    "client_id",
    "token_id",
    "principal",
    "zone",
    "arguments_digest",
];
const SALT_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Placed {
        let mut record = DecisionRecord::new(([192, 0, 2, 1], 1).into());
        record.subject = Some("alice".to_owned());
        record.method = Some("resources/read".to_owned());
        record.target = Some("customer://alice".to_owned());
        Entry::of(&record).placed(7)
    }

    #[test]
    fn nothing_personal_is_in_the_tree() {
        let placed = entry();
        assert!(!placed.leaf.contains("alice") && !placed.leaf.contains("192.0.2.1"));
        assert!(placed.leaf.starts_with(r#"{"seq":7,"#), "{}", placed.leaf);
        assert_eq!(placed.whole()["subject"], "alice");
        assert_eq!(placed.require_unaltered(), Ok(()));
        let erased = Placed { salt: None, personal: None, ..placed };
        assert_eq!(erased.require_unaltered(), Ok(()));
        assert!(erased.is_erased() && !erased.whole().contains_key("subject"));
    }

    #[test]
    fn every_byte_of_it_counts() {
        let placed = entry();
        for position in 0..placed.leaf.len() {
            let mut leaf = placed.leaf.clone().into_bytes();
            leaf[position] ^= 1;
            let leaf = String::from_utf8(leaf).unwrap();
            let altered = Placed { leaf, ..placed.clone() };
            assert_eq!(altered.require_unaltered(), Err(Altered::Leaf), "{position}");
        }
        let personal = placed.personal.clone().unwrap();
        for position in 0..personal.len() {
            let mut text = personal.clone().into_bytes();
            text[position] ^= 1;
            let altered = Placed { personal: String::from_utf8(text).ok(), ..placed.clone() };
            assert_eq!(altered.require_unaltered(), Err(Altered::Personal), "{position}");
        }
        let moved = Placed { seq: 8, ..placed.clone() };
        assert_eq!(moved.require_unaltered(), Err(Altered::Place));
        let half = Placed { salt: None, ..placed };
        assert_eq!(half.require_unaltered(), Err(Altered::Personal));
    }
}
