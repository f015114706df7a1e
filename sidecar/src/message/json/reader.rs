//! The strict reading itself: RFC 8259, and nothing that two readers could take differently.

use std::{borrow::Cow, collections::HashSet};

use super::{Json, JsonFault, Number, Object};

/// Reads forward, one byte at a time, and never looks back.
pub(super) struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    values_left: usize,
    twins: Twins,
}

/// What is done about names of one object that differ in case alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Twins {
    Refused,
    Distinct,
}

impl<'a> Reader<'a> {
    /// A reader of at most `max_values` values, each object, array and member counted.
    pub(super) fn of(bytes: &'a [u8], max_values: usize, twins: Twins) -> Result<Self, JsonFault> {
        if bytes.starts_with(b"\xEF\xBB\xBF") {
            return Err(JsonFault::ByteOrderMark);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| JsonFault::NotUtf8)?;
        Ok(Self { text, bytes, at: 0, values_left: max_values, twins })
    }

    /// The one value, with nothing after it but space.
    pub(super) fn whole(mut self) -> Result<Json, JsonFault> {
        let value = self.value(MAX_DEPTH)?;
        self.space();
        match self.peek() {
            None => Ok(value),
            Some(_) => Err(JsonFault::Syntax),
        }
    }

    fn value(&mut self, depth_left: usize) -> Result<Json, JsonFault> {
        self.values_left = self.values_left.checked_sub(1).ok_or(JsonFault::TooManyValues)?;
        self.space();
        match self.peek().ok_or(JsonFault::Syntax)? {
            b'{' => self.object(depth_left).map(Json::Object),
            b'[' => self.array(depth_left).map(Json::Array),
            b'"' => self.string().map(Json::String),
            b'-' | b'0'..=b'9' => self.number().map(Json::Number),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => Err(JsonFault::Syntax),
        }
    }

    fn object(&mut self, depth_left: usize) -> Result<Object, JsonFault> {
        let depth_left = depth_left.checked_sub(1).ok_or(JsonFault::TooDeep)?;
        self.at += 1;
        let mut members = Vec::new();
        let mut names = Names { twins: self.twins, seen: None };
        self.space();
        if self.take(b'}') {
            return Ok(Object(members));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(JsonFault::Syntax);
            }
            let name = self.string()?;
            names.admit(&name, &members)?;
            self.space();
            self.expect(b':')?;
            let value = self.value(depth_left)?;
            members.push((name, value));
            self.space();
            if self.take(b'}') {
                return Ok(Object(members));
            }
            self.expect(b',')?;
        }
    }

    fn array(&mut self, depth_left: usize) -> Result<Vec<Json>, JsonFault> {
        let depth_left = depth_left.checked_sub(1).ok_or(JsonFault::TooDeep)?;
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth_left)?);
            self.space();
            if self.take(b']') {
                return Ok(items);
            }
            self.expect(b',')?;
        }
    }

    fn string(&mut self) -> Result<String, JsonFault> {
        self.at += 1;
        let mut decoded = String::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|b| b >= b' ' && b != b'"' && b != b'\\') {
                self.at += 1;
            }
            // Both ends are at ASCII characters, hence at character boundaries.
            decoded.push_str(self.text.get(start..self.at).ok_or(JsonFault::Syntax)?);
            match self.next() {
                Some(b'"') => return Ok(decoded),
                Some(b'\\') => decoded.push(self.escape()?),
                _ => return Err(JsonFault::Syntax),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonFault> {
        Ok(match self.next().ok_or(JsonFault::Syntax)? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(JsonFault::Syntax),
        })
    }

    fn unicode_escape(&mut self) -> Result<char, JsonFault> {
        let first = self.four_hex_digits()?;
        let code = match first {
            0xD800..=0xDBFF => {
                if !(self.take(b'\\') && self.take(b'u')) {
                    return Err(JsonFault::LoneSurrogate);
                }
                let second = self.four_hex_digits()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(JsonFault::LoneSurrogate);
                }
                0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            _ => first,
        };
        char::from_u32(code).ok_or(JsonFault::LoneSurrogate)
    }

    fn four_hex_digits(&mut self) -> Result<u32, JsonFault> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|b| char::from(b).to_digit(16));
            code = code * 16 + digit.ok_or(JsonFault::Syntax)?;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Number, JsonFault> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let text = self.text.get(start..self.at).ok_or(JsonFault::Syntax)?;
        if text.len() > MAX_NUMBER_BYTES {
            return Err(JsonFault::NumberTooLong);
        }
        Ok(Number(text.into()))
    }

    fn digits(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(JsonFault::Syntax) }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, JsonFault> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word.as_bytes()) {
            return Err(JsonFault::Syntax);
        }
        self.at = end;
        Ok(value)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.at += 1;
        }
        there
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonFault> {
        if self.take(byte) { Ok(()) } else { Err(JsonFault::Syntax) }
    }
}

/// The names of one object so far. Few are compared one by one; many are kept in a set.
struct Names {
    twins: Twins,
    seen: Option<HashSet<String>>,
}

impl Names {
    fn admit(&mut self, name: &str, members: &[(String, Json)]) -> Result<(), JsonFault> {
        let twins = self.twins;
        if twins == Twins::Refused && name == PROTOTYPE {
            return Err(JsonFault::PrototypeName);
        }
        let key = |name| match twins {
            Twins::Refused => fold(name),
            Twins::Distinct => Cow::Borrowed(name),
        };
        let stands_already = if members.len() < FEW {
            members.iter().any(|(other, _)| key(other) == key(name))
        } else {
            let seen = self.seen.get_or_insert_with(|| {
                members.iter().map(|(other, _)| key(other).into_owned()).collect()
            });
            !seen.insert(key(name).into_owned())
        };
        if !stands_already {
            return Ok(());
        }
        Err(match members.iter().any(|(other, _)| other == name) {
            true => JsonFault::RepeatedName,
            false => JsonFault::NamesDifferInCase,
        })
    }
}

/// `name` without its case, as the most forgiving readers compare names: also the long s and the
/// Kelvin sign are their plain letters.
pub(super) fn fold(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect())
}

/// What JavaScript's objects inherit from: some readers leave such a member out, some merge it into
/// whatever they hold.
const PROTOTYPE: &str = "__proto__";
/// Deeper than any honest message, far above the stack's bottom for every reader after this one.
pub(super) const MAX_DEPTH: usize = 64;
/// Longer than any honest number; keeps arithmetic on digits short.
const MAX_NUMBER_BYTES: usize = 100;
/// Comparing this many names one by one is cheaper than hashing them.
const FEW: usize = 16;
