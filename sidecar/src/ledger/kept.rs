//! What a policy wants kept of a call (`@audit`): its arguments, its result, or as much of them as
//! there may be.

use serde::{Serialize, Serializer};

/// A text that is kept whole or not at all.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    is_too_large: bool,
}

impl Kept {
    pub(super) fn add(&mut self, more: &[u8]) {
        if self.is_too_large || self.bytes.len() + more.len() > MOST_BYTES {
            // A part of it proves nothing.
            *self = Self { bytes: Vec::new(), is_too_large: true };
        } else {
            self.bytes.extend_from_slice(more);
        }
    }
}

impl From<String> for Kept {
    fn from(text: String) -> Self {
        let is_too_large = text.len() > MOST_BYTES;
        Self { bytes: if is_too_large { Vec::new() } else { text.into_bytes() }, is_too_large }
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_too_large {
            return serializer.serialize_str(TOO_LARGE);
        }
        serializer.serialize_str(&String::from_utf8_lossy(&self.bytes))
    }
}

/// Arguments and results of usual size many times over.
const MOST_BYTES: usize = 64 * 1024;
const TOO_LARGE: &str = "(not kept: more than 65536 bytes)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_whole_or_not_at_all() {
        let mut kept = Kept::default();
        kept.add(b"{\"a\":");
        kept.add("\"ü\"}".as_bytes());
        assert_eq!(serde_json::to_string(&kept).unwrap(), r#""{\"a\":\"ü\"}""#);
        kept.add(&vec![b'x'; MOST_BYTES]);
        kept.add(b"y");
        assert_eq!(serde_json::to_value(&kept).unwrap(), TOO_LARGE);
        assert_eq!(
            serde_json::to_value(Kept::from("x".repeat(MOST_BYTES))).unwrap(),
            "x".repeat(MOST_BYTES)
        );
        assert_eq!(
            serde_json::to_value(Kept::from("x".repeat(MOST_BYTES + 1))).unwrap(),
            TOO_LARGE
        );
    }
}
