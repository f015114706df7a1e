//! An entry of the ledger: what is in the tree for good, and what can be erased from beside it.
//!
//! The leaf is JSON: what was decided, when and why, with a commitment to what is personal: a SHA-256
//! of a salt and of the JSON that holds it. Without the salt nobody can guess what it was.

mod kinds;

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::merkle::{Hash, hash, leaf_hash};
use kinds::REMOVAL;

/// An entry but for its place.
#[derive(Debug)]
pub(crate) struct Entry {
    request_id: Option<Uuid>,
    /// The leaf without the brace that opens it: its request and its number come first.
    rest_of_leaf: String,
    personal: Personal,
}

/// What can be erased, and the salt of the commitment to it.
#[derive(Debug)]
struct Personal {
    salt: [u8; SALT_BYTES],
    text: String,
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
    fn new(request_id: Option<Uuid>, leaf: &impl Serialize, personal: Personal) -> Self {
        // Records hold nothing that JSON could not; if one did, its leaf would be seen to be empty.
        let text = serde_json::to_string(leaf).unwrap_or_else(|_| "{}".to_owned());
        let rest_of_leaf = text.get(1..).unwrap_or_default().to_owned();
        Self { request_id, rest_of_leaf, personal }
    }

    /// In the place of this number.
    pub(crate) fn placed(&self, seq: i64) -> Placed {
        let rest = &self.rest_of_leaf;
        // The request comes first, where the store finds it without reading JSON.
        let leaf = match self.request_id {
            Some(id) => format!("{{\"request_id\":\"{id}\",\"seq\":{seq},{rest}"),
            None => format!("{{\"seq\":{seq},{rest}"),
        };
        let hash = leaf_hash(leaf.as_bytes()).to_vec();
        let Personal { salt, text } = &self.personal;
        Placed { seq, leaf, salt: Some(salt.to_vec()), personal: Some(text.clone()), hash }
    }
}

impl Personal {
    fn of(who: &impl Serialize) -> Self {
        let text = serde_json::to_string(who).unwrap_or_else(|_| "{}".to_owned());
        let mut salt = [0; SALT_BYTES];
        // Without randomness nothing can be committed to; what is left then is a salt of noughts,
        // which is found out by whoever looks and loses nothing.
        if rand::fill(&mut salt).is_err() {
            tracing::error!("the system yields no random bytes");
        }
        Self { salt, text }
    }

    fn commitment(&self) -> String {
        HEXLOWER.encode(&hash(&[&self.salt, self.text.as_bytes()]))
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
                let is = HEXLOWER.encode(&hash(&[salt, personal.as_bytes()]));
                if committed == Some(&is) { Ok(()) } else { Err(Altered::Personal) }
            }
            (None, None) => Ok(()),
            _ => Err(Altered::Personal),
        }
    }

    /// The number of the last entry of which it says that they were removed.
    pub(crate) fn removed_up_to(&self) -> Option<u64> {
        // Most entries are none of these, and need not be read to know it.
        if !self.leaf.contains(REMOVAL) {
            return None;
        }
        let leaf: Value = serde_json::from_str(&self.leaf).ok()?;
        leaf.get("kind").filter(|kind| **kind == REMOVAL)?;
        leaf.get("last").and_then(Value::as_u64)
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

const SALT_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ledger::DecisionRecord, limits::LimitState};

    fn entry() -> Placed {
        let mut record = DecisionRecord::new(([192, 0, 2, 1], 1).into());
        record.subject = Some("alice".to_owned());
        record.method = Some("resources/read".to_owned());
        record.target = Some("customer://alice".to_owned());
        Entry::of(&record, None).placed(7)
    }

    #[test]
    fn nothing_personal_is_in_the_tree() {
        let placed = entry();
        assert!(!placed.leaf.contains("alice") && !placed.leaf.contains("192.0.2.1"));
        assert!(placed.leaf.contains(r#","seq":7,"#), "{}", placed.leaf);
        assert_eq!(placed.whole()["subject"], "alice");
        assert_eq!(placed.require_unaltered(), Ok(()));
        let erased = Placed { salt: None, personal: None, ..placed };
        assert_eq!(erased.require_unaltered(), Ok(()));
        assert!(erased.is_erased() && !erased.whole().contains_key("subject"));
    }

    #[test]
    fn what_limits_left_is_in_the_tree_where_any_applied() {
        let mut record = DecisionRecord::new(([192, 0, 2, 1], 1).into());
        assert!(!Entry::of(&record, None).placed(7).leaf.contains("limits"));
        let (rule, of) = ("per-caller".to_owned(), crate::limits::Ceiling::CallsPerDay);
        record.limits = vec![LimitState { rule, of, remaining: 3 }];
        let leaf = Entry::of(&record, None).placed(7).leaf;
        let wanted = r#""limits":[{"rule":"per-caller","of":"calls-per-day","remaining":3}]"#;
        assert!(leaf.contains(wanted), "{leaf}");
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
