//! A decision that is on record, in the ledger or in a log: what was decided, for whom, by which
//! policies. Nothing is decided again; the policies are shown as they are now, and whether they were
//! the same then.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::{
    audit::plain,
    report::{self, styled},
};
use crate::{authz::Policies, ledger::reader::Reader};

/// A decision.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OnRecord {
    record: Map<String, Value>,
    #[serde(skip)]
    names: &'static Names,
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

/// What the parts of a decision are called.
struct Names {
    decision: &'static str,
    reason: &'static str,
    version: &'static str,
    policies: &'static str,
    shown: [(&'static str, &'static str); 6],
}

const IN_THE_LOG: Names = Names {
    decision: "decision.outcome",
    reason: "decision.reason",
    version: "decision.policy_version",
    policies: "decision.policies",
    shown: [
        ("at", "timestamp"),
        ("from", "request.peer"),
        ("subject", "token.sub"),
        ("client", "token.client_id"),
        ("method", "mcp.method"),
        ("target", "mcp.target"),
    ],
};

const IN_THE_LEDGER: Names = Names {
    decision: "decision",
    reason: "reason",
    version: "policy_version",
    policies: "policies",
    shown: [
        ("at", "at"),
        ("from", "peer"),
        ("subject", "subject"),
        ("client", "client_id"),
        ("method", "method"),
        ("target", "target"),
    ],
};

/// Finds the decision of this request in a log of JSON lines.
pub(super) fn in_log(log: &Path, request: &str, policies: &Policies) -> Result<OnRecord, String> {
    let failed = |what: String| format!("`{}`: {what}", log.display());
    let file = File::open(log).map_err(|e| failed(e.to_string()))?;
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|e| failed(e.to_string()))?;
        if !line.contains(request) {
            continue;
        }
        let Ok(Value::Object(record)) = serde_json::from_str(&line) else { continue };
        let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("request.id") == request && !text("decision.outcome").is_empty() {
            return Ok(OnRecord::new(record, &IN_THE_LOG, policies));
        }
    }
    Err(failed(format!(
        "has no decision about the request `{request}`; its id is in the answer's `x-request-id`, and the log must be JSON (`log.format`)"
    )))
}

/// Finds the decision of this request in a ledger.
pub(super) async fn in_ledger(
    directory: &Path,
    request: &str,
    policies: &Policies,
) -> Result<OnRecord, String> {
    let mut reader = Reader::open(directory).await.map_err(|e| e.to_string())?;
    let entries = reader.about(request).await;
    let entries = entries.map_err(|e| format!("the ledger cannot be read: {e}"))?;
    let decision = entries.iter().map(|entry| entry.whole()).find(|it| it.contains_key("decision"));
    let record = decision.ok_or_else(|| {
        format!(
            "`{}` has no decision about the request `{request}`; its id is in the answer's `x-request-id`, and `--log FILE` looks in a log",
            directory.display()
        )
    })?;
    Ok(OnRecord::new(record, &IN_THE_LEDGER, policies))
}

impl OnRecord {
    fn new(record: Map<String, Value>, names: &'static Names, policies: &Policies) -> Self {
        let ids: Vec<String> = match record.get(names.policies) {
            Some(Value::String(ids)) => ids.split_whitespace().map(str::to_owned).collect(),
            Some(Value::Array(ids)) => {
                ids.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        let decided = ids.into_iter().map(|id| {
            let text = policies.text(&id).map(str::to_owned);
            Decided { id, text }
        });
        let version = record.get(names.version).and_then(Value::as_str).unwrap_or_default();
        let same_policies = version == policies.summary().version;
        Self { policies: decided.collect(), same_policies, names, record }
    }

    /// Whether it was permitted.
    pub(super) fn is_permitted(&self) -> bool {
        self.text(self.names.decision) == "allow"
    }

    fn text(&self, name: &str) -> String {
        plain(self.record.get(name).and_then(Value::as_str).unwrap_or_default())
    }

    pub(super) fn tell(&self) {
        let permitted = self.is_permitted();
        let (style, word) =
            if permitted { (report::GOOD, "permitted") } else { (report::BAD, "refused") };
        anstream::println!("{} ({})", styled(style, word), self.text(self.names.reason));
        for (what, name) in self.names.shown {
            anstream::println!("  {what:8} {}", self.text(name));
        }
        if !self.same_policies {
            let told = "the policies have been changed since; they are shown as they are now";
            anstream::println!("{}", styled(report::DOUBTFUL, told));
        }
        for Decided { id, text } in &self.policies {
            anstream::println!("\n{} decided", styled(report::STRONG, plain(id)));
            for line in text.as_deref().unwrap_or("(there is no such policy now)").lines() {
                anstream::println!("  {}", styled(report::FAINT, format!("| {line}")));
            }
        }
        match self.text("arguments") {
            none if none.is_empty() => anstream::println!(
                "\nThe record holds no arguments: to see each condition, explain the call itself."
            ),
            arguments => anstream::println!(
                "\narguments {arguments}\nTo see each condition, explain the call itself."
            ),
        }
    }
}
