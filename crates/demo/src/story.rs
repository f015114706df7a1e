//! The story as it is printed: in colour on a terminal, as JSON for scripts.

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::json;
use sidecar::{Decision, DecisionRecord};

use crate::{
    scenes::{Line, Report, Speaker},
    stage::Stage,
};

/// Prints scenes.
pub(crate) struct Story {
    json: bool,
}

impl Story {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// What is up, and where.
    pub(crate) fn opening(&self, stage: &Stage) {
        if self.json {
            return;
        }
        tell(format_args!(
            "{BOLD}Cedargate {}{BOLD:#}  everything on this machine, over TLS\n",
            env!("CARGO_PKG_VERSION")
        ));
        for (what, place, more) in [
            ("certificates", stage.ca.display().to_string(), stage.certificates),
            ("authorization server", stage.issuer.clone(), "RS256, login page, client credentials"),
            ("customer server", stage.server.clone(), "SQLite with demo customers"),
            ("cedargate", stage.gate.clone(), stage.policy_summary.as_str()),
            ("rehearsed model", stage.model_url.clone(), "scripted choices, not a language model"),
        ] {
            tell(format_args!("  {what:21} {place}  {DIM}{more}{DIM:#}"));
        }
        tell(format_args!(""));
    }

    /// A scene that has been played.
    pub(crate) fn scene(&self, number: usize, report: &Report) {
        if self.json {
            let lines: Vec<_> = report.lines.iter().map(line_as_json).collect();
            let scene = json!({
                "scene": number,
                "title": report.title,
                "as_expected": report.as_expected,
                "verdict": report.verdict,
                "lines": lines,
            });
            tell(format_args!("{scene}"));
            return;
        }
        tell(format_args!("{BOLD}{number}  {}{BOLD:#}", report.title));
        for line in &report.lines {
            match line {
                Line::Said(who, what) => tell(format_args!("   {:9}{what}", who.name())),
                Line::Decided(record) => decision(record),
            }
        }
        let (style, mark) = if report.as_expected { (GOOD, "✓") } else { (BAD, "✗") };
        tell(format_args!("   {style}{mark} {}{style:#}\n", report.verdict));
    }

    /// How many scenes ended as they should.
    pub(crate) fn verdict(&self, good: usize, all: usize) {
        if self.json {
            return;
        }
        let style = if good == all { GOOD } else { BAD };
        tell(format_args!("{style}{good} of {all} scenes ended as they should.{style:#}"));
    }

    /// How to connect.
    pub(crate) fn invitation(&self, stage: &Stage) {
        if self.json {
            return;
        }
        let Stage { gate, issuer, .. } = stage;
        let (ca, secret) = (stage.ca.display(), stage.home.join("client-secret"));
        let passwords = stage.home.join("passwords");
        tell(format_args!(
            "\n{BOLD}Now you.{BOLD:#} The gate serves until Ctrl-C; every decision appears below.\n"
        ));
        for (what, value) in [
            ("MCP endpoint", gate.clone()),
            ("trust", format!("{ca}  (SSL_CERT_FILE, NODE_EXTRA_CA_CERTS)")),
            ("client id", stage.credentials.client_id.clone()),
            ("client secret", format!("in {}", secret.display())),
            (
                "sign in as",
                format!("demo_user or admin_user, passwords in {}", passwords.display()),
            ),
            ("policies", format!("{}  (edit one and save it)", stage.policies.display())),
            ("configuration", stage.home.join("cedargate.toml").display().to_string()),
        ] {
            tell(format_args!("  {what:14} {value}"));
        }
        tell(format_args!(
            "\n  A conversation; with --model openai/gpt-4.1 and a key in OPENAI_API_KEY with a real model:\n  cargo run --release -p client -- --ca {ca} --client-id {} --client-secret-file {} \\\n      --model rehearsed/clerk chat",
            stage.credentials.client_id,
            secret.display(),
        ));
        tell(format_args!(
            "\n  TOKEN=$(curl -s --cacert {ca} -u {}:$(cat {}) -d grant_type=client_credentials \\\n      {issuer}/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\n  curl --cacert {ca} -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\\n      -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}}' {gate}\n",
            stage.credentials.client_id,
            secret.display(),
        ));
    }

    /// Prints decisions as they are made, for as long as it is polled.
    pub(crate) async fn follow(&self, stage: &mut Stage) {
        while let Some(record) = stage.next_decision().await {
            if self.json {
                tell(format_args!("{}", json!({ "decision": *record })));
            } else {
                decision(&record);
            }
        }
    }
}

impl Speaker {
    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Model => "model",
            Self::Client => "client",
            Self::Attacker => "attacker",
            Self::Server => "server",
        }
    }
}

fn line_as_json(line: &Line) -> serde_json::Value {
    match line {
        Line::Said(who, what) => json!({ "who": who.name(), "what": what }),
        Line::Decided(record) => json!({ "decision": **record }),
    }
}

/// Decision, what about, by which policy or for which reason, and how long it took.
fn decision(record: &DecisionRecord) {
    let (style, word) = match record.decision {
        Decision::Allow => (GOOD, "ALLOW"),
        Decision::Deny => (BAD, "DENY "),
    };
    let what = match (&record.method, &record.target) {
        (Some(method), Some(target)) => format!("{method} {target}"),
        (Some(method), None) => method.clone(),
        (None, _) => "a message that was not read".to_owned(),
    };
    let why = match record.decision {
        Decision::Allow => format!("by {}", record.policies.join(", ")),
        Decision::Deny if record.policies.is_empty() => format!("for {}", record.reason),
        Decision::Deny => format!("for {} by {}", record.reason, record.policies.join(", ")),
    };
    #[expect(clippy::cast_precision_loss, reason = "microseconds for people to read")]
    let milliseconds = record.decided_after_us as f64 / 1000.0;
    tell(format_args!(
        "   gate     {style}{word}{style:#} {what}  {why}  {DIM}{milliseconds:.2} ms{DIM:#}"
    ));
}

/// One line; a reader that has gone away ends the telling, not the demo.
fn tell(line: std::fmt::Arguments<'_>) {
    drop(writeln!(anstream::stdout(), "{line}"));
}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
