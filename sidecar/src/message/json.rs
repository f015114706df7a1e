//! One strict reading of JSON (RFC 8259), and one writing of what was read.
//!
//! Two readers of the same bytes can disagree about which of two equal names counts, about
//! encodings, about numbers a double cannot hold. Here such text is refused, so that what was
//! authorized and what the upstream reads cannot differ: the value written is the value judged.

use std::{borrow::Cow, collections::HashSet};

/// A JSON value. Numbers keep their text, objects keep their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Json>),
    Object(Object),
}

/// A number as written.
// INVARIANT (number-grammar): the text matches RFC 8259 section 6, so it can be written as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Number(Box<str>);

/// Members in the order in which they were written.
// INVARIANT (distinct-names): no two names are equal, also when case is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Object(Vec<(String, Json)>);

/// Why a text is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonFault {
    NotUtf8,
    ByteOrderMark,
    Syntax,
    LoneSurrogate,
    TooDeep,
    NumberTooLong,
    /// Two members of one object have the same name.
    RepeatedName,
    /// Two names differ in case alone; some readers take them for one.
    NamesDifferInCase,
}

impl Json {
    /// Reads exactly one value.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, JsonFault> {
        if bytes.starts_with(b"\xEF\xBB\xBF") {
            return Err(JsonFault::ByteOrderMark);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| JsonFault::NotUtf8)?;
        let mut reader = Reader { text, bytes, at: 0 };
        let value = reader.value(MAX_DEPTH)?;
        reader.space();
        match reader.peek() {
            None => Ok(value),
            Some(_) => Err(JsonFault::Syntax),
        }
    }

    /// Appends this value to `out`, without spaces.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Number(number) => out.extend_from_slice(number.0.as_bytes()),
            Self::String(text) => write_string(text, out),
            Self::Array(items) => write_list(b'[', b']', items, out, Self::write),
            Self::Object(object) => object.write(out),
        }
    }

    pub(crate) fn whole(value: i32) -> Self {
        Self::Number(Number(value.to_string().into()))
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl Object {
    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        self.0.iter_mut().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// Takes a member out.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Json> {
        let position = self.0.iter().position(|(own, _)| own == name)?;
        Some(self.0.remove(position).1)
    }

    /// Sets a member, in its place or at the end.
    pub(crate) fn set(&mut self, name: &str, value: Json) {
        match self.get_mut(name) {
            Some(old) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write_list(b'{', b'}', &self.0, out, |(name, value), out| {
            write_string(name, out);
            out.push(b':');
            value.write(out);
        });
    }
}

impl Number {
    /// The value times ten to the power of `places`, when that is a whole number in 64 bits.
    ///
    /// Exact: `scaled(0)` of `3.0` and of `30e-1` is 3, of `3.5` it is nothing.
    pub(crate) fn scaled(&self, places: u32) -> Option<i64> {
        let text: &str = &self.0;
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let magnitude = whole.chars().chain(fraction.chars()).try_fold(0_i128, |sum, digit| {
            sum.checked_mul(10)?.checked_add(i128::from(digit.to_digit(10)?))
        })?;
        let shift = i64::from(exponent) + i64::from(places) - i64::try_from(fraction.len()).ok()?;
        let magnitude = shifted(magnitude, shift)?;
        i64::try_from(if negative { -magnitude } else { magnitude }).ok()
    }
}

/// `magnitude` times ten to the power of `shift`, when whole.
fn shifted(mut magnitude: i128, shift: i64) -> Option<i128> {
    if magnitude == 0 {
        return Some(0);
    }
    // Nothing but zero survives more: 39 digits do not fit, and below there is always a rest.
    for _ in 0..shift.unsigned_abs().min(40) {
        magnitude = if shift > 0 {
            magnitude.checked_mul(10)?
        } else if magnitude % 10 == 0 {
            magnitude / 10
        } else {
            return None;
        };
    }
    Some(magnitude)
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth_left: usize) -> Result<Json, JsonFault> {
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
        let mut names = Names::default();
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
#[derive(Default)]
struct Names {
    folded: Option<HashSet<String>>,
}

impl Names {
    fn admit(&mut self, name: &str, members: &[(String, Json)]) -> Result<(), JsonFault> {
        let twin = if members.len() < FEW {
            members.iter().any(|(other, _)| fold(other) == fold(name))
        } else {
            let folded = self.folded.get_or_insert_with(|| {
                members.iter().map(|(other, _)| fold(other).into_owned()).collect()
            });
            !folded.insert(fold(name).into_owned())
        };
        if !twin {
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
fn fold(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect())
}

fn write_list<T>(
    open: u8,
    close: u8,
    items: &[T],
    out: &mut Vec<u8>,
    mut write: impl FnMut(&T, &mut Vec<u8>),
) {
    out.push(open);
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(close);
}

pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0..=0x1F => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Deeper than any honest message, far above the stack's bottom for every reader after this one.
const MAX_DEPTH: usize = 64;
/// Longer than any honest number; keeps arithmetic on digits short.
const MAX_NUMBER_BYTES: usize = 100;
/// Comparing this many names one by one is cheaper than hashing them.
const FEW: usize = 16;

#[cfg(test)]
mod tests;
