//! Sets of scope words (RFC 6749 section 3.3).

/// Scopes in the order in which they were named, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scopes(Vec<String>);

impl Scopes {
    /// Reads a `scope` parameter; [`None`] when it holds what no scope may, or too many.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let words = || text.split(' ').filter(|word| !word.is_empty());
        if words().count() > MAX_SCOPES || !words().all(is_scope_token) {
            return None;
        }
        Some(words().collect())
    }

    pub(crate) fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|one| one == scope)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Those for which `keep` holds, and the others.
    pub(crate) fn split(&self, keep: impl Fn(&str) -> bool) -> (Self, Self) {
        (
            self.iter().filter(|scope| keep(scope)).collect(),
            self.iter().filter(|scope| !keep(scope)).collect(),
        )
    }
}

impl<'a> FromIterator<&'a str> for Scopes {
    fn from_iter<T: IntoIterator<Item = &'a str>>(words: T) -> Self {
        let mut scopes = Self::default();
        for word in words {
            if !scopes.contains(word) {
                scopes.0.push(word.to_owned());
            }
        }
        scopes
    }
}

impl std::fmt::Display for Scopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

fn is_scope_token(word: &str) -> bool {
    word.len() <= MAX_SCOPE_BYTES
        && word.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// Several times what the source material has.
const MAX_SCOPES: usize = 64;
const MAX_SCOPE_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_words_each_once() {
        let scopes = Scopes::parse(" a  b:c a ").unwrap();
        assert_eq!(scopes.to_string(), "a b:c");
        assert!(!scopes.contains("b"), "by the whole word");
    }

    #[test]
    fn what_no_scope_may_hold_is_refused() {
        for text in ["a\"b", "a\\b", "a\tb", "ä", &"a ".repeat(65), &"a".repeat(129)] {
            assert!(Scopes::parse(text).is_none(), "{text:?}");
        }
    }
}
