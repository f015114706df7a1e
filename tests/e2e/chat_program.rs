use std::{path::Path, process::Stdio, time::Duration};

use harness::Stack;
use serde_json::Value;

/// `cedargate-chat`, about to be run.
pub(crate) struct Chat {
    command: tokio::process::Command,
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Chat {
    /// In an environment of its own, with nobody at the keyboard.
    pub(crate) fn on(stack: &Stack) -> Self {
        Self::in_folder(stack.home())
    }

    fn in_folder(folder: &Path) -> Self {
        let program = env!("CARGO_BIN_EXE_cedargate-chat-under-test");
        let mut command = tokio::process::Command::new(program);
        command.current_dir(folder).env_clear().stdin(Stdio::null()).kill_on_drop(true);
        Self { command }
    }

    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) async fn run(mut self) -> Ended {
        let output = tokio::time::timeout(Duration::from_secs(60), self.command.output()).await;
        let output = output.expect("it ends in time").unwrap();
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A configuration for the stack's gate and client, with more in it; yields its path.
pub(crate) fn configured(stack: &Stack, more: &str) -> String {
    let credentials = stack.credentials();
    std::fs::write(stack.home().join("chat-secret"), credentials.client_secret).unwrap();
    let text = format!(
        "gate = {:?}\nca = \"ca.pem\"\nclient.id = {:?}\nclient.secret_file = \"chat-secret\"\nclient.scopes = {SCOPES:?}\n{more}",
        stack.resource(),
        credentials.client_id
    );
    let path = stack.home().join("chat.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

const SCOPES: [&str; 3] = ["customer:read", "account:calculate", "ticket:create"];

async fn over(mut stack: Stack) {
    stack.forget_decisions().await;
    stack.finish().await;
}

const LOOKUP: &str =
    "Look up the information for customer 'JOHNDOE123' and summarize their account status.";

#[tokio::test(flavor = "multi_thread")]
async fn one_question_is_answered_in_words_and_in_json() {
    let stack = Stack::start().await;
    let file = configured(&stack, "models = [\"rehearsed/clerk\"]");
    let asked = Chat::on(&stack)
        .with(&["--config", &file, "ask", LOOKUP, "--transcript", "talk.jsonl"])
        .run()
        .await;
    assert_eq!(asked.code, 0, "{}", asked.stderr);
    assert!(asked.stdout.contains("John Doe"), "{}", asked.stdout);
    assert!(asked.stderr.contains("get_customer_info"), "{}", asked.stderr);
    assert!(asked.stderr.contains("rehearsed/clerk"), "it is said who answers: {}", asked.stderr);
    assert!(!(asked.stdout + &asked.stderr).contains('\x1b'), "no colour without a terminal");
    let talk = std::fs::read_to_string(stack.home().join("talk.jsonl")).unwrap();
    let events: Vec<Value> = talk.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["asked", "said", "calling", "called", "said", "finished"]);
    assert!(events.iter().all(|event| event["time"].is_string()), "{talk}");

    let asked = Chat::on(&stack).with(&["--config", &file, "--json", "ask", LOOKUP]).run().await;
    let told: Value = serde_json::from_str(&asked.stdout).unwrap();
    assert!(told["answer"].as_str().unwrap().contains("John Doe"), "{told}");
    assert_eq!(told["events"][3]["verdict"], "done", "{told}");
    over(stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_are_listed_with_what_a_call_will_need_and_in_every_format() {
    let stack = Stack::start().await;
    let file = configured(&stack, "");
    let listed = Chat::on(&stack).with(&["--config", &file, "tools"]).run().await;
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    for part in ["create_support_ticket", "ticket:create"] {
        assert!(listed.stdout.contains(part), "{}", listed.stdout);
    }
    for (format, name, schema) in [
        ("openai", "/0/function/name", "/0/function/parameters/type"),
        ("anthropic", "/0/name", "/0/input_schema/type"),
        ("generic", "/0/name", "/0/parameters/type"),
    ] {
        let arguments = ["--config", &file, "tools", "--format", format];
        let listed = Chat::on(&stack).with(&arguments).run().await;
        let told: Value = serde_json::from_str(&listed.stdout).unwrap();
        assert!(told.pointer(name).unwrap().is_string(), "{told}");
        assert_eq!(told.pointer(schema).unwrap(), "object", "{told}");
    }
    let fewer = ["--config", &file, "--scope", "customer:read", "tools"];
    let listed = Chat::on(&stack).with(&fewer).run().await;
    assert!(!listed.stdout.contains("create_support_ticket"), "{}", listed.stdout);
    assert!(listed.stderr.contains("--scope ticket:create"), "{}", listed.stderr);
    let listed = Chat::on(&stack).with(&["--config", &file, "--json", "tools"]).run().await;
    let told: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert!(told["tools"][0]["security"]["requiredScopes"][0].is_string(), "{told}");
    over(stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_nothing_is_told_in_one_line_how_to_get_going() {
    let stack = Stack::start().await;
    let file = configured(&stack, "");
    let asked = Chat::on(&stack).with(&["--config", &file, "ask", "hello"]).run().await;
    assert_eq!(asked.code, 1);
    assert_eq!(asked.stderr.lines().count(), 1, "{}", asked.stderr);
    for part in ["OPENAI_API_KEY", "rehearsed/clerk"] {
        assert!(asked.stderr.contains(part), "{}", asked.stderr);
    }
    let gate = stack.resource();
    let ca = stack.home().join("ca.pem").display().to_string();
    let nobody = ["--gate", &gate, "--ca", &ca, "tools"];
    let asked = Chat::on(&stack).with(&nobody).run().await;
    assert_eq!((asked.code, asked.stderr.lines().count()), (1, 1), "{}", asked.stderr);
    assert!(asked.stderr.contains("--client-id"), "{}", asked.stderr);
    let nothing = Chat::on(&stack).with(&["--config", &file]).run().await;
    assert_eq!(nothing.code, 2);
    let wrong = Chat::on(&stack).with(&["--config", "nowhere.toml", "tools"]).run().await;
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("nowhere.toml"), "{}", wrong.stderr);
    over(stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_looks_at_everything_and_says_what_to_do() {
    let stack = Stack::start().await;
    let file = configured(&stack, "models = [\"rehearsed/clerk\"]");
    let checked = Chat::on(&stack).with(&["--config", &file, "--check"]).run().await;
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    for part in ["issuer", "verified", "4 tools", "no model"] {
        assert!(checked.stderr.contains(part), "{part}: {}", checked.stderr);
    }
    let bound = format!("{}\nclient.proof = \"dpop\"", "models = [\"rehearsed/clerk\"]");
    let file = configured(&stack, &bound);
    let checked = Chat::on(&stack).with(&["--config", &file, "--check"]).run().await;
    assert!(checked.stderr.contains("bound to our key"), "{}", checked.stderr);
    assert_eq!(checked.code, 0, "{}", checked.stderr);

    let models = "models = [\"far/x\"]\nproviders.far.base_url = \"http://127.0.0.1:9/v1\"";
    let file = configured(&stack, models);
    let arguments = ["--config", &file, "--json", "--check"];
    let checked = Chat::on(&stack).with(&arguments).run().await;
    assert_eq!(checked.code, 1);
    let told: Value = serde_json::from_str(&checked.stdout).unwrap();
    let failed: Vec<_> =
        told.as_array().unwrap().iter().filter(|finding| finding["fine"] == false).collect();
    assert_eq!(failed.len(), 1, "{told}");
    assert_eq!(failed[0]["what"], "model far/x");
    let wrong = ["--config", &file, "--client-id", "nobody", "--check"];
    let checked = Chat::on(&stack).with(&wrong).run().await;
    assert_eq!(checked.code, 1);
    assert!(checked.stderr.contains("check the client id"), "{}", checked.stderr);
    over(stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_steps_up_by_itself_also_where_tokens_must_be_proven() {
    for proof in ["", "proof = \"dpop\""] {
        let stack = Stack::with()
            .settings("[answers]\nlisting = \"attainable\"\n")
            .issuer_settings(proof)
            .start()
            .await;
        let file = configured(&stack, "models = [\"rehearsed/clerk\"]");
        let question = client::rehearsed::TICKET_PROMPT;
        let arguments = ["--config", &file, "--scope", "customer:read", "--json", "ask", question];
        let asked = Chat::on(&stack).with(&arguments).run().await;
        assert_eq!(asked.code, 0, "{proof}: {}{}", asked.stdout, asked.stderr);
        let told: Value = serde_json::from_str(&asked.stdout).unwrap();
        let events = told["events"].as_array().unwrap();
        let stepped_up = events.iter().find(|event| event["event"] == "stepped-up").unwrap();
        assert_eq!(stepped_up["scopes"], serde_json::json!(["ticket:create"]), "{told}");
        let called = events.iter().find(|event| event["event"] == "called").unwrap();
        assert_eq!(called["verdict"], "done", "{told}");
        assert_eq!(stack.spy().seen().matches("\"method\":\"tools/call\"").count(), 1);
        over(stack).await;
    }
}

/// The first provider fails in the middle of the conversation, after its call was made.
#[tokio::test(flavor = "multi_thread")]
async fn another_provider_takes_the_conversation_over_and_no_call_is_made_twice() {
    let mut stack = Stack::start().await;
    let failing = "
parts:
  - cue: JOHNDOE123
    steps:
      - call: [{ tool: get_customer_info, arguments: { customer_id: JOHNDOE123 } }]
    close: not reached
";
    let first = client::rehearsed::Script::from_yaml(failing, "first").unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let first_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let rehearsed = client::rehearsed::Rehearsed::new(first);
    // One turn, and then never again.
    let once = {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let asked = std::sync::Arc::new(asked);
        rehearsed.router().layer(axum::middleware::from_fn(
            move |request: axum::extract::Request, next: axum::middleware::Next| {
                let asked = std::sync::Arc::clone(&asked);
                async move {
                    if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                        next.run(request).await
                    } else {
                        axum::response::IntoResponse::into_response(http::StatusCode::UNAUTHORIZED)
                    }
                }
            },
        ))
    };
    tokio::spawn(async move { axum::serve(listener, once).await.unwrap() });
    let models = format!(
        "models = [\"first/clerk\", \"rehearsed/clerk\"]\nproviders.first.base_url = \"{first_url}\""
    );
    let file = configured(&stack, &models);
    let arguments = ["--config", &file, "ask", LOOKUP, "--transcript", "talk.jsonl"];
    let asked = Chat::on(&stack).with(&arguments).run().await;
    assert_eq!(asked.code, 0, "{}", asked.stderr);
    assert!(asked.stdout.contains("John Doe"), "{}", asked.stdout);
    assert_eq!(stack.spy().seen().matches("\"method\":\"tools/call\"").count(), 1);
    let talk = std::fs::read_to_string(stack.home().join("talk.jsonl")).unwrap();
    let events: Vec<Value> = talk.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let story: Vec<_> = events
        .iter()
        .map(|event| {
            format!("{} {}", event["event"].as_str().unwrap(), event["by"].as_str().unwrap_or("-"))
        })
        .collect();
    assert_eq!(
        story,
        [
            "asked -",
            "said first/clerk",
            "calling first/clerk",
            "called -",
            "instead -",
            "said rehearsed/clerk",
            "finished -",
        ]
    );
    stack.forget_decisions().await;
    stack.finish().await;
}
