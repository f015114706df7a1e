//! A terminal with the program at it and somebody who types, and the gate that it talks to.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
};

use client::rehearsed::{self, Script};
use harness::{Fixture, Neighbour, Offered, Stack, repository};
use serde_json::{Value, json};

/// The program at a terminal, and whoever sits there.
pub(super) struct Seat {
    child: Child,
    keys: ChildStdin,
    seen: BufReader<ChildStdout>,
}

/// A stack with the fixture behind the gate, and a rehearsed model.
pub(super) struct Place {
    pub(super) stack: Stack,
    model: String,
}

impl Place {
    pub(super) async fn ready() -> Self {
        let stack = Stack::with()
            .upstream(Fixture::router())
            .offered(&Offered::with_prompts(&Fixture::tools(), &Fixture::prompts()))
            .policies(EVERYTHING)
            .start()
            .await;
        std::fs::write(stack.home().join("secret"), stack.credentials().client_secret).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let model = format!("http://{}/v1/", listener.local_addr().unwrap());
        let router = rehearsed::router(Script::from_yaml(SCRIPT, "terminal").unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { stack, model }
    }

    fn program(&self, command: &[&str]) -> Vec<String> {
        let id = self.stack.credentials().client_id;
        let gate = self.stack.resource();
        let program = [env!("CARGO_BIN_EXE_cedargate-chat-under-test")];
        let options = ["--ca", "ca.pem", "--gate", &gate, "--client-id", &id];
        let more = ["--client-secret-file", "secret", "--base-url", &self.model];
        let model = ["--model", "openai/rehearsed/clerk"];
        let all = program.iter().chain(&options).chain(&more).chain(&model).chain(command);
        all.map(|word| (*word).to_owned()).collect()
    }

    /// Whoever sits at a terminal with the program, when there is a Python to play them.
    pub(super) fn seat(&self, environment: Value, command: &[&str]) -> Option<Seat> {
        let python = Neighbour::python_with("pty")?;
        let mut whole = json!({ "TERM": "xterm-256color", "OPENAI_API_KEY": "none" });
        let more = environment.as_object().unwrap().clone();
        whole.as_object_mut().unwrap().extend(more);
        let task = json!({
            "program": self.program(command),
            "environment": whole,
            "folder": self.stack.home(),
        });
        let mut player = Command::new(&python.program);
        player.arg(repository().join("tests/foreign/terminal.py")).arg(task.to_string());
        let mut child = player.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keys, seen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Seat { child, keys, seen: BufReader::new(seen) })
    }

    /// Runs the program with pipes instead of a terminal.
    pub(super) async fn piped(&self, command: &[&str], typed: &str) -> Output {
        let program = self.program(command);
        let mut run = Command::new(&program[0]);
        run.args(&program[1..]).current_dir(self.stack.home()).env_clear();
        run.env("TERM", "xterm-256color").env("OPENAI_API_KEY", "none");
        run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = run.spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap()
    }

    pub(super) async fn over(mut self) {
        self.stack.forget_decisions().await;
        self.stack.finish().await;
    }
}

impl Seat {
    pub(super) fn play(&mut self, step: &Value) -> Value {
        writeln!(self.keys, "{step}").unwrap();
        let mut line = String::new();
        self.seen.read_line(&mut line).unwrap();
        let seen: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(seen["failed"], Value::Null, "{step}");
        seen
    }

    pub(super) fn until(&mut self, text: &str) -> String {
        self.play(&json!({ "until": text }))["seen"].as_str().unwrap().to_owned()
    }

    pub(super) fn types(&mut self, keys: &str) {
        self.play(&json!({ "type": keys }));
    }

    pub(super) fn says(&mut self, line: &str) {
        self.types(&format!("{line}\r"));
    }

    pub(super) fn modes(&mut self) -> Value {
        self.play(&json!({ "modes": true }))
    }

    /// The editor waits for a line.
    pub(super) fn until_prompt(&mut self) {
        self.until(PROMPT);
    }

    /// Ends, with this exit code and the terminal as it was.
    pub(super) fn ends(&mut self, code: i32) -> End {
        let end = self.play(&json!({ "end": true }));
        assert_eq!(end["code"], code, "{end}");
        assert_eq!(end["modes"]["as_before"], true, "{end}");
        let raw = end["raw"].as_str().unwrap().to_owned();
        assert!(raw.rfind("\x1b[?25h") >= raw.rfind("\x1b[?25l"), "the cursor is there: {raw:?}");
        assert!(raw.rfind("\x1b[?2004l") >= raw.rfind("\x1b[?2004h"), "{raw:?}");
        let screen = end["screen"].as_array().unwrap();
        let screen = screen.iter().map(|line| line.as_str().unwrap().trim_end().to_owned());
        End { raw, screen: screen.collect() }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What is left on the terminal.
#[derive(Debug)]
pub(super) struct End {
    pub(super) raw: String,
    pub(super) screen: Vec<String>,
}

impl End {
    pub(super) fn shows(&self, line: &str) -> bool {
        self.screen.iter().any(|shown| shown == line)
    }
}

/// The editor's, when nothing has been typed yet.
const PROMPT: &str = "> \r\x1b[2C";

const EVERYTHING: &str = "@id(\"everything\") permit (principal, action, resource);";
/// What the model says, by what it is asked.
const SCRIPT: &str = r#"
parts:
  - { cue: hello, close: Good day to you. }
  - cue: tell me slowly
    close: one two three four five six seven eight nine ten eleven twelve thirteen fourteen
    faults: [{ pause: 500ms }]
  - { cue: think long, close: x, faults: [{ delay: 600s }] }
  - cue: ask me
    steps: [{ call: [{ tool: test_elicitation, arguments: { message: Who are you? } }] }]
    close: Thank you.
    otherwise: "Thank you all the same: {problem}"
  - cue: modern
    steps: [{ call: [{ tool: test_input_required_result_elicitation, arguments: {}, returns: text }] }]
    close: "It said {result}"
    otherwise: "It did not say it: {problem}"
  - cue: check my data
    steps: [{ call: [{ tool: test_elicitation_sep1034_defaults, arguments: {}, returns: text }] }]
    close: "It said {result}"
  - cue: hostile
    steps:
      - say: "told \e]0;owned\a\e[2J\x9b2J\rover \u202Eesrever \u2066\u200B\x7F\U000E0041 text"
        call:
          - { tool: test_elicitation, arguments: { message: "asked \e]0;owned\a\e[2J\r\u202E\nerror forged" } }
    close: "done \e[2J"
    otherwise: "not done \e[2J"
"#;
