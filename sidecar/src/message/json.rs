//! One strict reading of JSON (RFC 8259), and one writing of what was read.
//!
//! Two readers of the same bytes can disagree about which of two equal names counts, about
//! encodings, about nesting. Here such text is refused, and what is written is what was judged:
//! names, order and the text of numbers. (What a double cannot hold exactly is refused where it
//! is judged, in `authz/shape.rs`.)

mod reader;

use reader::{Reader, Twins, fold};

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
// INVARIANT (distinct-names): no two names are equal; in what callers send, also when case is
// ignored.
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
    TooManyValues,
    NumberTooLong,
    /// Two members of one object have the same name.
    RepeatedName,
    /// Two names differ in case alone; some readers take them for one.
    NamesDifferInCase,
    /// A member is named `__proto__`, which is no member to JavaScript.
    PrototypeName,
}

impl Json {
    /// Reads exactly one value of a caller's.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, JsonFault> {
        Reader::of(bytes, MAX_VALUES, Twins::Refused)?.whole()
    }

    /// Reads exactly one value of the upstream's: longer, and with any names that are not equal.
    pub(crate) fn read_answer(bytes: &[u8]) -> Result<Self, JsonFault> {
        Reader::of(bytes, MAX_VALUES_OF_ANSWERS, Twins::Distinct)?.whole()
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

    pub(crate) fn whole(value: impl Into<i64>) -> Self {
        Self::Number(Number(value.into().to_string().into()))
    }

    /// What JSON calls this kind of value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The same in the form that other crates take. What no double holds is the double next to it.
    pub(crate) fn to_value(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => number.to_value(),
            Self::String(text) => Value::String(text.clone()),
            Self::Array(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Object(object) => object.to_value(),
        }
    }

    /// Whether every number in it is the same to all readers.
    pub(crate) fn reads_alike(&self) -> bool {
        match self {
            Self::Number(number) => number.reads_alike(),
            Self::Array(items) => items.iter().all(Self::reads_alike),
            Self::Object(object) => object.iter().all(|(_, value)| value.reads_alike()),
            Self::Null | Self::Bool(_) | Self::String(_) => true,
        }
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

    /// Whether a member is named as `name` but for its case, and not so exactly.
    pub(crate) fn has_twin_of(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own != name && fold(own) == fold(name))
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        self.0.iter_mut().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// Takes a member out.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Json> {
        let position = self.0.iter().position(|(own, _)| own == name)?;
        Some(self.0.remove(position).1)
    }

    /// Leaves the members whose names are `wanted`.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| wanted(name));
    }

    /// Sets a member, in its place or at the end.
    pub(crate) fn set(&mut self, name: &str, value: Json) {
        match self.get_mut(name) {
            Some(old) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Json)> {
        self.0.iter_mut().map(|(name, value)| (name.as_str(), value))
    }

    /// The same in the form that other crates take.
    pub(crate) fn to_value(&self) -> serde_json::Value {
        let members = self.0.iter().map(|(name, value)| (name.clone(), value.to_value()));
        serde_json::Value::Object(members.collect())
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
    fn to_value(&self) -> serde_json::Value {
        // A number too large for a double is larger than all of them.
        self.0.parse::<serde_json::Number>().map_or_else(
            |_| serde_json::json!(if self.0.starts_with('-') { f64::MIN } else { f64::MAX }),
            serde_json::Value::Number,
        )
    }

    /// Whether it is written without fraction and exponent.
    pub(crate) fn is_integer_literal(&self) -> bool {
        self.0.bytes().all(|b| matches!(b, b'-' | b'0'..=b'9'))
    }

    /// The value times ten to the power of `places`, away from zero where that is not whole, and
    /// whether it is that exactly. What does not fit is as large as fits.
    pub(crate) fn rounded(&self, places: u32) -> (i128, bool) {
        let text: &str = &self.0;
        let (negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = || whole.bytes().chain(fraction.bytes());
        let leading = digits().take_while(|digit| *digit == b'0').count();
        if leading == whole.len() + fraction.len() {
            return (0, true);
        }
        // An exponent that is no number here is beyond all numbers, in its direction.
        let beyond = if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
        let exponent = exponent.parse::<i64>().unwrap_or(beyond).clamp(i64::MIN / 2, i64::MAX / 2);
        let of_length = |length: usize| i64::try_from(length).unwrap_or(i64::MAX / 4);
        let kept = of_length(whole.len()) - of_length(leading) + exponent + i64::from(places);
        let signed = |magnitude: i128| if negative { -magnitude } else { magnitude };
        if kept > MAX_I128_DIGITS {
            return (signed(i128::MAX), false);
        }
        let kept = usize::try_from(kept).unwrap_or(0);
        let mut magnitude = 0_i128;
        let mut significant = digits().skip(leading);
        for _ in 0..kept {
            let digit = significant.next().unwrap_or(b'0') - b'0';
            magnitude = magnitude * 10 + i128::from(digit);
        }
        let exact = significant.all(|digit| digit == b'0');
        (signed(magnitude + i128::from(!exact)), exact)
    }

    /// Whether a whole number that is written as one is the same to readers of doubles and to those
    /// of whole numbers (RFC 7493 section 2.2).
    fn reads_alike(&self) -> bool {
        if !self.is_integer_literal() {
            return true;
        }
        let exact = |number: &Self| Some(number.rounded(0)).filter(|(_, exact)| *exact);
        exact(self).is_some() && self.as_double().as_ref().and_then(exact) == exact(self)
    }

    /// The value of the double that most readers take it for (RFC 8259 section 6), with all its
    /// digits; nothing where that is none.
    pub(crate) fn as_double(&self) -> Option<Self> {
        let double = self.0.parse::<f64>().ok().filter(|double| double.is_finite())?;
        Some(Self(format!("{double:.20}").into()))
    }

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

/// So many digits always fit.
const MAX_I128_DIGITS: i64 = 38;

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

/// Whether some reader could take one name for the other.
pub(crate) fn same_but_for_case(one: &str, other: &str) -> bool {
    match one.is_ascii() && other.is_ascii() {
        true => one.eq_ignore_ascii_case(other),
        false => fold(one) == fold(other),
    }
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

/// Each value takes some fifty bytes and some time to judge; honest arguments have hundreds.
const MAX_VALUES: usize = 20_000;
/// A list of a thousand tools with long schemas.
const MAX_VALUES_OF_ANSWERS: usize = 200_000;

#[cfg(test)]
mod tests;
