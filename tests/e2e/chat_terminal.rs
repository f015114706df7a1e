mod seat;

use harness::{eventually, skip};
use serde_json::{Value, json};

use seat::Place;

const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";

macro_rules! seat {
    ($place:expr, $environment:expr, $command:expr) => {
        match $place.seat($environment, $command) {
            Some(seat) => seat,
            None => {
                $place.over().await;
                return skip("a Python with the module pty, named by CEDARGATE_TEST_PYTHON");
            }
        }
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_on_after_ctrl_c_and_leaves_the_terminal_as_it_was() {
    let place = Place::ready().await;
    let mut seat = seat!(place, json!({}), &["chat"]);
    seat.until_prompt();
    assert_eq!(seat.modes()["ICANON"], false);
    seat.says("hello");
    seat.until("Good day to you.");
    seat.until_prompt();
    for (typed, shown) in [("/tools", "test_simple_text"), ("/help", "/quit"), ("/x", "error")] {
        seat.says(typed);
        seat.until(shown);
        seat.until_prompt();
    }
    for (question, sign) in [("tell me slowly", "three"), ("think long", "thinking")] {
        seat.says(question);
        seat.until(sign);
        let modes = seat.modes();
        assert_eq!((&modes["ICANON"], &modes["ISIG"]), (&json!(true), &json!(true)));
        seat.types(CTRL_C);
        seat.until("stopped");
        seat.until_prompt();
    }
    seat.says("hello");
    seat.until("Good day to you.");
    seat.until_prompt();
    seat.types("half a question");
    seat.types(CTRL_C);
    seat.until("Ctrl-D");
    seat.until_prompt();
    seat.types(CTRL_C);
    seat.until("Ctrl-D");
    seat.until_prompt();
    seat.types(CTRL_D);
    let end = seat.ends(0);
    assert!(end.shows("Good day to you.") && !end.raw.contains("fourteen"), "{end:#?}");
    assert!(!end.screen.iter().any(|line| line.contains("thinking")), "{end:#?}");
    place.over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_is_told_to_end_leaves_the_terminal_as_it_was() {
    let place = Place::ready().await;
    for question in ["", "tell me slowly\r"] {
        let mut seat = seat!(place, json!({}), &["chat"]);
        seat.until_prompt();
        seat.types(question);
        if !question.is_empty() {
            seat.until("three");
        }
        seat.play(&json!({ "signal": "TERM" }));
        seat.ends(143);
    }
    place.over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_ask_and_cancels_its_call() {
    let place = Place::ready().await;
    let mut seat = seat!(place, json!({}), &["--legacy", "ask", "ask me"]);
    seat.until("username");
    seat.types("Ad");
    seat.types(CTRL_C);
    let end = seat.ends(130);
    assert!(end.shows("error stopped"), "{end:#?}");
    let spy = place.stack.spy();
    eventually("it is cancelled", async || spy.seen().contains("notifications/cancelled")).await;
    place.over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_asks_is_answered_declined_or_taken_back() {
    let place = Place::ready().await;
    let mut seat = seat!(place, json!({}), &["--legacy", "chat"]);
    seat.until_prompt();
    seat.says("ask me");
    seat.until("the server asks:");
    seat.until("Who are you?");
    seat.until("username (User's response): ");
    seat.says("");
    seat.until("required");
    seat.until("username (User's response): ");
    seat.says("ada");
    seat.until("email (User's email address): ");
    seat.says("ada@example.com");
    seat.until("Thank you");
    seat.until_prompt();
    assert!(place.stack.spy().seen().contains(r#""username":"ada""#));
    seat.says("ask me");
    seat.until("username (User's response): ");
    seat.types(CTRL_C);
    seat.until("stopped");
    seat.until_prompt();
    // What is typed now belongs to the prompt, and a later question is asked again.
    seat.says("hello");
    seat.until("Good day to you.");
    seat.until_prompt();
    seat.says("ask me");
    seat.until("username (User's response): ");
    seat.says("!");
    seat.until("Thank you");
    seat.until_prompt();
    assert!(place.stack.spy().seen().contains(r#""action":"decline""#));
    seat.types(CTRL_D);
    seat.ends(0);
    place.over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_of_the_fields_type_is_asked_again() {
    let place = Place::ready().await;
    let mut seat = seat!(place, json!({}), &["--legacy", "chat"]);
    seat.until_prompt();
    seat.says("check my data");
    for (field, typed) in [("name", ""), ("age", "old"), ("age", "42"), ("score", "NaN")] {
        seat.until(&format!("  {field}"));
        seat.says(typed);
    }
    for (field, typed) in [("score", "1.5"), ("status", "lost"), ("status", "inactive")] {
        seat.until(&format!("  {field}"));
        seat.says(typed);
    }
    seat.until("  verified");
    seat.says("no");
    seat.until("It said");
    let said = seat.until("\n");
    for member in
        [r#""name":"John Doe""#, r#""age":42"#, r#""score":1.5"#, r#""status":"inactive""#]
    {
        assert!(said.contains(member), "{said}");
    }
    seat.until_prompt();
    seat.types(CTRL_D);
    seat.ends(0);
    place.over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_modern_server_asks_is_answered_and_taken_back_as_well() {
    let place = Place::ready().await;
    let mut seat = seat!(place, json!({}), &["chat"]);
    seat.until_prompt();
    seat.says("modern");
    seat.until("name");
    seat.until(": ");
    seat.types(CTRL_C);
    seat.until("stopped");
    seat.until_prompt();
    seat.says("hello");
    seat.until("Good day to you.");
    seat.until_prompt();
    seat.says("modern");
    seat.until("the server asks:");
    seat.until("name");
    seat.until(": ");
    seat.says("Ada");
    seat.until("It said Hello, Ada!");
    seat.until_prompt();
    seat.says("/quit");
    seat.ends(0);
    place.over().await;
}

/// Every control that a terminal would act on, and every character that misleads whoever reads.
fn assert_harmless(text: &str, ours: &[char]) {
    let harmful = |c: &char| {
        let control = c.is_control() && !ours.contains(c);
        control
            || matches!(*c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(*c, '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
    };
    assert_eq!(text.chars().find(harmful), None, "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_others_do_nothing_to_the_terminal() {
    let place = Place::ready().await;
    let mut seat = seat!(place, json!({ "TERM": "dumb" }), &["--legacy", "ask", "hostile"]);
    seat.until("username (User's response): ");
    seat.says("!");
    // Without colours, nothing of ours is a control either.
    let end = seat.ends(0);
    assert_harmless(&end.raw, &['\r', '\n']);
    assert!(end.raw.contains("told \u{fffd}]0;owned\u{fffd}\u{fffd}[2J"), "{end:#?}");
    assert!(!end.screen.iter().any(|line| line.starts_with("error forged")), "{end:#?}");
    let output = place.piped(&["--json", "ask", "hostile"], "").await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_harmless(&text, &['\n']);
    let told: Value = serde_json::from_str(&text).unwrap();
    let events = told["events"].as_array().unwrap();
    assert!(
        events
            .iter()
            .any(|event| event["text"].as_str().is_some_and(|t| t.contains("\u{202e}esrever")))
    );
    place.over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_there_is_nothing_but_text_and_nobody_to_ask() {
    let place = Place::ready().await;
    for command in [&["--legacy", "ask", "ask me"][..], &["--legacy", "chat"]] {
        let output = place.piped(command, "hello\nask me\n/tools\nhello").await;
        let [out, err] = [output.stdout, output.stderr].map(|s| String::from_utf8(s).unwrap());
        assert_eq!(output.status.code(), Some(0), "{out}{err}");
        assert_harmless(&out, &['\n']);
        assert_harmless(&err, &['\n']);
        assert!(out.contains("Thank you all the same: the client has no user"), "{out}{err}");
        assert!(!err.contains("thinking") && !out.contains("> ") && !err.contains("> "), "{err}");
        assert_eq!(out.matches("Good day").count(), if command[1] == "chat" { 2 } else { 0 });
    }
    let output = place.piped(&["--json", "ask", "hello"], "").await;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["answer"], "Good day to you.");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    place.over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_colour_is_shown_where_none_is_wanted() {
    let place = Place::ready().await;
    let colours = |raw: &str| {
        raw.split("\x1b[").skip(1).any(|c| {
            c.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
        })
    };
    for (environment, coloured) in
        [(json!({}), true), (json!({ "NO_COLOR": "1" }), false), (json!({ "TERM": "dumb" }), false)]
    {
        let mut seat = seat!(place, environment.clone(), &["chat"]);
        seat.until("> ");
        seat.says("hello");
        seat.until("Good day to you.");
        seat.until("> ");
        seat.types(CTRL_C);
        seat.until("Ctrl-D");
        seat.until("> ");
        seat.types(CTRL_D);
        let end = seat.ends(0);
        assert_eq!(colours(&end.raw), coloured, "{environment}: {end:?}");
        assert!(environment["TERM"] != "dumb" || !end.raw.contains('\x1b'), "{end:?}");
    }
    place.over().await;
}
