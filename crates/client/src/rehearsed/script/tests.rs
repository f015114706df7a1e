//! Scripts that can be played, and mistakes in those that cannot.

use super::*;
use crate::rehearsed;

fn mistakes(yaml: &str) -> String {
    Script::from_yaml(yaml, "my.yaml").unwrap_err().to_string()
}

#[test]
fn the_built_in_script_has_a_part_for_every_prompt() {
    let script = Script::built_in();
    let mut parts: Vec<usize> = [
        rehearsed::ACCOUNT_PROMPT,
        rehearsed::LOOKUP_PROMPT,
        rehearsed::TICKET_PROMPT,
        rehearsed::PARALLEL_PROMPT,
        rehearsed::DUPLICATE_MEMBER_PROMPT,
        rehearsed::AMOUNTS_AS_TEXT_PROMPT,
        rehearsed::TRAILING_COMMA_PROMPT,
        rehearsed::AGAIN_PROMPT,
        rehearsed::STUBBORN_PROMPT,
        rehearsed::LONG_PROMPT,
    ]
    .into_iter()
    .map(|prompt| script.parts.iter().position(|part| part.cue.is_given_in(prompt)).unwrap())
    .collect();
    parts.sort_unstable();
    assert_eq!(parts, (0..script.parts.len()).collect::<Vec<_>>(), "one part each");
}

#[test]
fn the_script_of_the_documentation_can_be_played() {
    Script::from_yaml(include_str!("example.yaml"), "example.yaml").unwrap();
}

#[test]
fn unknown_keys_are_refused_with_their_line() {
    for (yaml, line) in [
        ("parts:\n  - cue: a\n    close: b\n    clos: c\n", "line 4"),
        ("part: []\n", "line 1"),
        (
            "parts:\n  - cue: a\n    close: b\n    steps:\n      - call:\n          - tool: t\n            argument: {}\n",
            "line 7",
        ),
        (
            "parts:\n  - cue: a\n    close: b\n    faults:\n      - garbage: true\n        time: 1\n",
            "line 6",
        ),
    ] {
        let told = mistakes(yaml);
        assert!(told.contains(line) && told.contains("unknown field"), "{yaml}: {told}");
        assert!(told.starts_with("`my.yaml` cannot be played: ") && !told.contains('\n'), "{told}");
    }
}

#[test]
fn a_key_that_is_written_twice_is_refused() {
    assert!(mistakes("parts:\n  - cue: a\n    close: b\n    close: c\n").contains("line 4"));
}

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let yaml = "\
parts:
  - close: no cue
  - cue: both
    cue_regex: both
    close: '{result}'
  - cue_regex: '('
    steps:
      - call: []
      - call:
          - tool: t
        repeat: 0
    close_if:
      - value: nothing
        above: 1
        say: '{nothing}'
      - value: result
        say: no limit
    close: 'open {'
    faults:
      - {}
      - { status: 200 }
      - { status: 429, garbage: true }
      - { delay: soon }
      - { retry_after: 1s, unauthorized: true }
";
    let told = mistakes(yaml);
    for line in [2, 3, 5, 6, 8, 9, 10, 13, 15, 16, 18, 20, 21, 22, 23, 24] {
        assert!(told.contains(&format!("line {line}: ")), "line {line} in: {told}");
    }
}

#[test]
fn a_script_without_parts_and_one_of_a_megabyte_are_refused() {
    assert!(mistakes("parts: []\n").contains("`parts` is empty"));
    assert!(mistakes(&"#".repeat(1024 * 1024 + 1)).contains("larger than 1 MiB"));
}

#[test]
fn raw_arguments_are_kept_letter_by_letter_and_yaml_becomes_json() {
    let yaml = "\
parts:
  - cue: a
    steps:
      - call:
          - { tool: t, raw_arguments: '{\"a\":1,\"a\":2,}' }
          - { tool: t, arguments: { b: [1, 2.50, '3'], a: null } }
    close: done
";
    let script = Script::from_yaml(yaml, "my.yaml").unwrap();
    let arguments: Vec<&str> =
        script.parts[0].steps[0].calls.iter().map(|call| call.arguments.as_str()).collect();
    assert_eq!(arguments, [r#"{"a":1,"a":2,}"#, r#"{"b":[1,2.5,"3"],"a":null}"#]);
}

#[test]
fn a_cue_is_a_piece_of_what_is_said_or_a_pattern() {
    let contains = Cue::Contains("CUST".to_owned());
    assert!(contains.is_given_in("customer CUST67890") && !contains.is_given_in("customer cust"));
    let matches = Cue::Matches(Regex::new("^(?i)look up").unwrap());
    assert!(matches.is_given_in("Look up CUST67890") && !matches.is_given_in("do look up"));
}
