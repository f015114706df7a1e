//! What is read, what is refused, and that what is written is what was read.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{
    reader::{MAX_DEPTH, fold},
    *,
};
use crate::vectors;

fn read(text: &str) -> Result<Json, JsonFault> {
    Json::read(text.as_bytes())
}

fn written(json: &Json) -> String {
    let mut out = Vec::new();
    json.write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn ambiguous_text_is_refused() {
    for (text, fault) in [
        (r#"{"a":1,"a":2}"#, JsonFault::RepeatedName),
        (r#"{"a":1,"\u0061":2}"#, JsonFault::RepeatedName),
        (r#"{"x":{"y":[{"a":1,"a":1}]}}"#, JsonFault::RepeatedName),
        (r#"{"name":1,"Name":2}"#, JsonFault::NamesDifferInCase),
        (r#"{"params":1,"param\u017f":2}"#, JsonFault::NamesDifferInCase),
        (r#"{"k":1,"\u212a":2}"#, JsonFault::NamesDifferInCase),
        (r#"{"__proto__":1}"#, JsonFault::PrototypeName),
        (r#"[{"a":{"\u005f_proto__":null}}]"#, JsonFault::PrototypeName),
        (r#""\ud800""#, JsonFault::LoneSurrogate),
        (r#""\ud800\u0041""#, JsonFault::LoneSurrogate),
        (r#""\udc00""#, JsonFault::LoneSurrogate),
        ("\u{feff}{}", JsonFault::ByteOrderMark),
        ("{} {}", JsonFault::Syntax),
        ("{\"a\":NaN}", JsonFault::Syntax),
        ("[1,]", JsonFault::Syntax),
        ("{'a':1}", JsonFault::Syntax),
        ("\"\n\"", JsonFault::Syntax),
        ("01", JsonFault::Syntax),
        ("+1", JsonFault::Syntax),
        ("1.", JsonFault::Syntax),
        ("", JsonFault::Syntax),
    ] {
        assert_eq!(read(text), Err(fault), "{text}");
    }
    assert_eq!(Json::read(b"\"\xff\""), Err(JsonFault::NotUtf8));
    assert_eq!(Json::read(b"{\0\"\0a\0"), Err(JsonFault::Syntax), "UTF-16");
}

#[test]
fn a_repeated_name_is_found_among_many() {
    let many = |last: &str| {
        let members: Vec<String> = (0..100).map(|i| format!("\"n{i}\":{i}")).collect();
        format!("{{{},\"{last}\":0}}", members.join(","))
    };
    assert!(read(&many("m")).is_ok());
    assert_eq!(read(&many("n3")), Err(JsonFault::RepeatedName));
    assert_eq!(read(&many("n99")), Err(JsonFault::RepeatedName));
    assert_eq!(read(&many("N50")), Err(JsonFault::NamesDifferInCase));
}

#[test]
fn depth_is_bounded_without_recursing_deeper() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(read(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(read(&nested(MAX_DEPTH + 1)), Err(JsonFault::TooDeep));
    assert_eq!(read(&"[".repeat(1_000_000)), Err(JsonFault::TooDeep));
}

#[test]
fn values_are_counted() {
    let list = |values: usize| format!("[{}]", vec!["0"; values - 1].join(","));
    assert!(read(&list(MAX_VALUES)).is_ok());
    assert_eq!(read(&list(MAX_VALUES + 1)), Err(JsonFault::TooManyValues));
    assert!(Json::read_answer(list(MAX_VALUES + 1).as_bytes()).is_ok());
}

#[test]
fn answers_may_have_names_that_differ_in_case_but_none_twice() {
    assert!(Json::read_answer(br#"{"id":1,"ID":2}"#).is_ok());
    assert_eq!(Json::read_answer(br#"{"id":1,"id":2}"#), Err(JsonFault::RepeatedName));
}

#[test]
fn numbers_keep_their_text() {
    for text in ["1.10", "-0", "1e2", "123456789012345678901234567890", "0.1000000000000000055"] {
        assert_eq!(written(&read(text).unwrap()), text);
    }
    assert_eq!(read(&"1".repeat(101)), Err(JsonFault::NumberTooLong));
}

#[test]
fn numbers_are_scaled_exactly_or_not_at_all() {
    for (text, places, value) in [
        ("3", 0, Some(3)),
        ("3.0", 0, Some(3)),
        ("30e-1", 0, Some(3)),
        ("-1e2", 0, Some(-100)),
        ("3.5", 0, None),
        ("3.5", 1, Some(35)),
        ("0.07", 2, Some(7)),
        ("0.0e99", 0, Some(0)),
        ("1e-400", 4, None),
        ("1e400", 0, None),
        ("1e99999999999", 0, None),
        ("9223372036854775807", 0, Some(i64::MAX)),
        ("-9223372036854775808", 0, Some(i64::MIN)),
        ("9223372036854775808", 0, None),
        ("12345678901234567890123456789012345678901234567890", 0, None),
    ] {
        let Ok(Json::Number(number)) = read(text) else { panic!("{text} is a number") };
        assert_eq!(number.scaled(places), value, "{text} scaled by {places}");
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter_map("finite", |f| { serde_json::Number::from_f64(f).map(Value::from) }),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map("[a-z\\PC]{0,6}", inner, 0..8).prop_map(|members| {
                let mut seen = HashSet::new();
                members
                    .into_iter()
                    .filter(|(name, _)| seen.insert(fold(name).into_owned()))
                    .collect()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// serde_json is the second opinion: what we write means to it what it was given to read.
    #[test]
    fn what_is_read_and_written_means_the_same_to_another_reader(value in any_json()) {
        let second_opinion = |text: &str| -> serde_json::Value { serde_json::from_str(text).unwrap() };
        let text = value.to_string();
        let ours = read(&text).unwrap();
        prop_assert_eq!(second_opinion(&written(&ours)), second_opinion(&text));
        prop_assert_eq!(read(&written(&ours)).unwrap(), ours);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _outcome = Json::read(&bytes);
    }

    /// Whatever we accept, serde_json accepts too, unless a double cannot hold a number in it.
    #[test]
    fn nothing_is_read_that_another_reader_refuses(
        text in "[\\[\\]{}\",:0-9eE.+\\-truefalsn \\\\]{0,24}"
    ) {
        if read(&text).is_ok() {
            let other = serde_json::from_str::<serde_json::Value>(&text);
            let too_big = |e: &serde_json::Error| e.to_string().contains("out of range");
            prop_assert!(other.as_ref().err().is_none_or(too_big), "{}", text);
        }
    }
}

/// nst/JSONTestSuite, `test_parsing`: `n_` must be refused, `y_` read or refused by a limit of
/// ours, `i_` either.
#[test]
fn json_test_suite() {
    let source = "test_parsing of github.com/nst/JSONTestSuite";
    let Some(folder) = vectors::find("jsontestsuite/test_parsing", source) else {
        return;
    };
    let mut seen = [0; 3];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let outcome = Json::read(&std::fs::read(&path).unwrap());
        match name.as_bytes()[0] {
            b'y' => {
                seen[0] += 1;
                let limit = [
                    JsonFault::RepeatedName,
                    JsonFault::NamesDifferInCase,
                    JsonFault::TooDeep,
                    JsonFault::NumberTooLong,
                ];
                let acceptable = outcome.as_ref().err().is_none_or(|fault| limit.contains(fault));
                assert!(acceptable, "{name}: {outcome:?}");
            }
            b'n' => {
                seen[1] += 1;
                assert!(outcome.is_err(), "{name} was read");
            }
            _ => seen[2] += 1,
        }
    }
    assert_eq!(seen, [95, 188, 35]);
}
