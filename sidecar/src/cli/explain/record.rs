//! A decision that is on record: what was decided, for whom, by which policies.
//!
//! A record holds no arguments, so that nothing is decided again; the policies are shown as they are
//! now, and whether they were the same then.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::{report, report::styled};
use crate::authz::Policies;

/// A decision from the log.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OnRecord {
    record: Map<String, Value>,
    /// Whether schema, policies and lock are the same now.
    same_policies: bool,
    policies: Vec<Decided>,
}

#[derive(Serialize)]
struct Decided {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// Finds the decision of this request in a log of JSON lines.
pub(super) fn find(log: &Path, request: &str, policies: &Policies) -> Result<OnRecord, String> {
    let failed = |what: String| format!("`{}`: {what}", log.display());
    let file = File::open(log).map_err(|e| failed(e.to_string()))?;
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|e| failed(e.to_string()))?;
        if !line.contains(request) {
            continue;
        }
        let Ok(Value::Object(record)) = serde_json::from_str(&line) else { continue };
        let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("request.id") != request || text("decision.outcome").is_empty() {
            continue;
        }
        let decided = text("decision.policies")
            .split_whitespace()
            .map(|id| Decided { id: id.to_owned(), text: policies.text(id).map(str::to_owned) });
        let decided = decided.collect();
        let same_policies = text("decision.policy_version") == policies.summary().version;
        return Ok(OnRecord { same_policies, policies: decided, record });
    }
    Err(failed(format!(
        "has no decision about the request `{request}`; its id is in the answer's `x-request-id`, and the log must be JSON (`log.format`)"
    )))
}

impl OnRecord {
    /// Whether it was permitted.
    pub(super) fn is_permitted(&self) -> bool {
        self.text("decision.outcome") == "allow"
    }

    fn text(&self, name: &str) -> &str {
        self.record.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn tell(&self) {
        let permitted = self.is_permitted();
        let (style, word) =
            if permitted { (report::GOOD, "permitted") } else { (report::BAD, "refused") };
        anstream::println!("{} ({})", styled(style, word), self.text("decision.reason"));
        for (what, name) in [
            ("at", "timestamp"),
            ("from", "request.peer"),
            ("subject", "token.sub"),
            ("client", "token.client_id"),
            ("method", "mcp.method"),
            ("target", "mcp.target"),
        ] {
            anstream::println!("  {what:8} {}", self.text(name));
        }
        if !self.same_policies {
            let told = "the policies have been changed since; they are shown as they are now";
            anstream::println!("{}", styled(report::DOUBTFUL, told));
        }
        for Decided { id, text } in &self.policies {
            anstream::println!("\n{} decided", styled(report::STRONG, id));
            for line in text.as_deref().unwrap_or("(there is no such policy now)").lines() {
                anstream::println!("  {}", styled(report::FAINT, format!("| {line}")));
            }
        }
        anstream::println!(
            "\nA record holds no arguments: to see each condition, explain the call itself."
        );
    }
}
