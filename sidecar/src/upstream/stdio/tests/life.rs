//! The child's life: what it is given, how it is restarted, and what its faults do to others.

use super::*;

const DIE: (&str, &str, &str) = ("1", "tools/call", r#"{"name":"die"}"#);

#[tokio::test]
async fn death_answers_those_who_wait_and_is_followed_by_a_new_life() {
    let Some(server) = child("legacy") else { return };
    let first = call_tool(&server, LEGACY, "1", r#"{"name":"heard"}"#).await;
    let never = ("2", "tools/call", r#"{"name":"never"}"#);
    let (waiting, dying) =
        tokio::join!(reason(&server, LEGACY, never), reason(&server, LEGACY, DIE));
    assert_eq!((waiting, dying), ("upstream-unreachable", "upstream-unreachable"));
    let second = call_tool(&server, LEGACY, "3", r#"{"name":"heard"}"#).await;
    assert_ne!(first, second, "another process");
}

#[tokio::test]
async fn what_was_answered_before_death_counts() {
    let Some(server) = child("legacy") else { return };
    let answer = call_tool(&server, LEGACY, "1", r#"{"name":"last_words"}"#).await;
    assert!(answer.contains(r#""last":true"#), "{answer}");
}

#[tokio::test]
async fn a_stream_ends_with_an_answer_also_when_the_child_dies() {
    let Some(server) = child("legacy") else { return };
    let params = r#"{"name":"progress","arguments":{"then":"die"},"_meta":{"progressToken":1}}"#;
    let reply = ask(&server, &alice(), MODERN, ("9", "tools/call", params)).await;
    let Ok(Reply::Events(events)) = reply else { panic!() };
    let events: Vec<String> = events.map(text_of).collect().await;
    let last = events.last().unwrap();
    assert!(last.contains(r#""id":9,"error":{"code":502"#), "{last}");
    assert!(last.contains(r#""reason":"upstream-unreachable""#), "{last}");
}

#[tokio::test]
async fn garbage_confuses_nobody() {
    let Some(server) = child("legacy") else { return };
    let never = ("8", "tools/call", r#"{"name":"never"}"#);
    tokio::select! {
        biased;
        _ = reason(&server, LEGACY, never) => panic!("answered by garbage"),
        answer = call_tool(&server, LEGACY, "1", r#"{"name":"garbage"}"#) => {
            assert_eq!(answer, r#"{"jsonrpc":"2.0","id":1,"result":{"clean":true}}"#);
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_refused_at_once() {
    let Some(server) = child("legacy") else { return };
    for name in ["ambiguous", "no_error", "no_version"] {
        let params = format!(r#"{{"name":"{name}"}}"#);
        let asked = ("1", "tools/call", params.as_str());
        assert_eq!(reason(&server, LEGACY, asked).await, "upstream-answer", "{name}");
    }
}

#[tokio::test]
async fn an_answer_too_long_is_refused_and_the_child_lives_on() {
    let Some(server) = child("legacy") else { return };
    let first = call_tool(&server, LEGACY, "1", r#"{"name":"heard"}"#).await;
    for params in [r#"{"name":"long"}"#, r#"{"name":"long","arguments":{"id":"last"}}"#] {
        let long = ("2", "tools/call", params);
        assert_eq!(reason(&server, LEGACY, long).await, "upstream-answer", "{params}");
    }
    assert_eq!(
        first.replace("\"id\":1", "\"id\":3"),
        call_tool(&server, LEGACY, "3", r#"{"name":"heard"}"#).await
    );
}

#[tokio::test]
async fn the_gates_environment_is_not_the_childs() {
    let Some(server) = child("legacy") else { return };
    // Cargo sets it for the tests, as somebody could set a secret for the gate.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let answer = call_tool(&server, LEGACY, "1", r#"{"name":"environment"}"#).await;
    let answer = json_of(&answer);
    let result = answer.as_object().unwrap().get("result").unwrap().as_object().unwrap();
    let environment = result.get("environment").unwrap().as_object().unwrap();
    assert_eq!(environment.get("GIVEN"), Some(&Json::from("to the child")));
    assert_eq!(result.get("folder"), Some(&Json::from("/")));
    // Some of these a launcher of Python or a shell sets anew.
    let may_be_there = |name: &str| {
        ["PATH", "HOME", "LANG", "LC_CTYPE", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name)
            || name.contains("PYENV")
    };
    for (name, _) in std::env::vars().filter(|(name, _)| !may_be_there(name)) {
        assert_eq!(environment.get(&name), None, "{name}");
    }
}

#[tokio::test]
async fn silence_is_not_waited_for_and_is_told_to_the_child() {
    let patience = Duration::from_secs(3);
    let Some(server) = child_with("legacy", |limits| limits.response_timeout = patience) else {
        return;
    };
    let never = ("2", "tools/call", r#"{"name":"never"}"#);
    // Until it has started.
    while reason(&server, LEGACY, ("1", "tools/list", "{}")).await != "replied" {}
    assert_eq!(reason(&server, LEGACY, never).await, "upstream-too-slow");
    heard_until(&server, |heard| heard.contains("notifications/cancelled")).await;
}

#[tokio::test]
async fn what_cannot_run_is_refused_and_what_is_no_server_too() {
    for (program, arguments) in
        [("/no/such/program", [].as_slice()), ("true", &[]), ("sh", &["-c", "echo hello; exit 7"])]
    {
        let server = StdioServer::new(command(program, arguments), &limits());
        let refused = reason(&server, LEGACY, ("1", "tools/list", "{}")).await;
        assert_eq!(refused, "upstream-unreachable", "{program}");
        // Now that it is known, at once.
        let again = reason(&server, LEGACY, ("1", "tools/list", "{}"));
        assert_eq!(tokio::time::timeout(Duration::from_millis(200), again).await, Ok(refused));
    }
}

/// How many processes have `word` in their arguments.
fn running(word: &str) -> Option<usize> {
    let output = std::process::Command::new("ps").args(["-eo", "args="]).output().ok()?;
    Some(text_of(output.stdout).lines().filter(|line| line.contains(word)).count())
}

/// Ends a child that does not end when its input does, and that has started another; `trap` is
/// what it does when it is told. Whether that could be seen.
async fn end(seconds: u32, trap: &str) -> bool {
    if running("ps").is_none() {
        eprintln!("skipped: needs ps");
        return false;
    }
    let sleep = format!("sleep {seconds}{}", std::process::id());
    let script = format!("trap {trap} TERM; {sleep} & cat >/dev/null; wait");
    let server = StdioServer::new(command("sh", &["-c", &script]), &limits());
    server.start();
    until(|| running(&sleep) == Some(2)).await;
    server.stop().await;
    assert_eq!(reason(&server, LEGACY, ("1", "tools/list", "{}")).await, "upstream-unreachable");
    until(|| running(&sleep) == Some(0)).await;
    true
}

async fn until(reached: impl Fn() -> bool) {
    let reaching = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reaching).await.expect("in time");
}

#[tokio::test]
async fn a_child_that_stays_is_told_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let seen = end(1, &format!("'touch {}; exit'", told.display())).await;
    assert_eq!(told.exists(), seen);
}

#[tokio::test]
async fn a_child_that_will_not_be_told_is_killed() {
    end(2, "''").await;
}
