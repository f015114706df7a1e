//! `cedargate audit query`, `show` and `export`.

use std::process::ExitCode;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{LedgerOptions, unreadable};
use crate::cli::report;

/// Find decisions, the latest first
///
///   cedargate audit query --principal alice --since 2026-11-01T00:00:00Z
///   cedargate audit query --decision deny --reason insufficient-scope --csv
///   cedargate audit query --policy large-sums-need-more --most 10 --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct QueryArguments {
    #[command(flatten)]
    wanted: Wanted,
    /// So many at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    most: usize,
    /// As comma-separated values (RFC 4180)
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// What is looked for. What is not said does not matter.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Wanted {
    /// `decision`, `outcome` of a permitted request, `finding` of the watch, `policies` that came in
    /// force, `removal` of what was kept long enough, or `all`
    #[arg(long, value_parser = ["decision", "outcome", "finding", "policies", "removal", "all"], default_value = "decision")]
    kind: String,
    /// Of this principal: as policies call it, or the `sub` of its token
    #[arg(long)]
    principal: Option<String>,
    /// About this tool, prompt or resource
    #[arg(long, alias = "tool")]
    target: Option<String>,
    /// `allow` or `deny`
    #[arg(long, value_parser = ["allow", "deny"])]
    decision: Option<String>,
    /// For this reason
    #[arg(long)]
    reason: Option<String>,
    /// Decided by this policy
    #[arg(long, value_name = "ID")]
    policy: Option<String>,
    /// Not before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

impl Wanted {
    pub(super) fn fits(&self, entry: &Map<String, Value>) -> bool {
        let is = |name: &str, wanted: &Option<String>| match wanted {
            Some(wanted) => text(entry, name) == Some(wanted),
            None => true,
        };
        let policies = entry.get("policies").and_then(Value::as_array);
        let at = text(entry, "at").and_then(|at| at.parse::<Timestamp>().ok());
        (self.kind == "all" || text(entry, "kind") == Some(&self.kind))
            && (is("principal", &self.principal) || is("subject", &self.principal))
            && is("target", &self.target)
            && is("decision", &self.decision)
            && is("reason", &self.reason)
            && self.policy.as_ref().is_none_or(|id| {
                policies.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(id)))
            })
            && self.since.is_none_or(|since| at.is_some_and(|at| at >= since))
            && self.until.is_none_or(|until| at.is_some_and(|at| at < until))
    }
}

pub(super) async fn query(
    ledger: &LedgerOptions,
    arguments: QueryArguments,
) -> Result<ExitCode, String> {
    let mut reader = ledger.reader().await?;
    let (mut found, mut before) = (Vec::new(), i64::MAX);
    'pages: loop {
        let page = reader.before(before, PAGE).await.map_err(unreadable)?;
        let Some(last) = page.last() else { break };
        before = last.seq;
        for entry in page.iter().map(|entry| entry.whole()) {
            if found.len() == arguments.most {
                break 'pages;
            }
            if arguments.wanted.fits(&entry) {
                found.push(entry);
            }
        }
    }
    if ledger.json {
        report::json(&json!({ "entries": found }));
    } else if arguments.csv {
        println!("{}", COLUMNS.join(","));
        found.iter().for_each(|entry| println!("{}", as_csv(entry)));
    } else {
        let mut table = report::table(&COLUMNS);
        for entry in &found {
            table.add_row(COLUMNS.map(|name| shown(entry, name)));
        }
        anstream::println!("{table}");
    }
    Ok(if found.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub(super) async fn show(ledger: &LedgerOptions, request: &str) -> Result<ExitCode, String> {
    let mut reader = ledger.reader().await?;
    let entries = reader.about(request).await.map_err(unreadable)?;
    if entries.is_empty() {
        return Err(format!("there is no request `{request}` on record"));
    }
    let all: Vec<Map<String, Value>> = entries.iter().map(|entry| entry.whole()).collect();
    if ledger.json {
        report::json(&json!({ "entries": all }));
        return Ok(ExitCode::SUCCESS);
    }
    for (entry, placed) in all.iter().zip(&entries) {
        let mut table = report::table(&["", ""]);
        for name in entry.keys() {
            table.add_row([plain(name), shown(entry, name)]);
        }
        anstream::println!("{table}");
        if placed.is_erased() {
            anstream::println!(
                "{}",
                report::styled(report::DOUBTFUL, "whom it was about has been erased")
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn export(ledger: &LedgerOptions) -> Result<ExitCode, String> {
    let mut reader = ledger.reader().await?;
    let mut next = 0;
    loop {
        let page = reader.from(next, PAGE).await.map_err(unreadable)?;
        let Some(last) = page.last() else { return Ok(ExitCode::SUCCESS) };
        next = last.seq + 1;
        for entry in &page {
            let salt = entry.salt.as_deref().map(|salt| HEXLOWER.encode(salt));
            let line = json!({ "leaf": entry.leaf, "salt": salt, "personal": entry.personal,
                "hash": HEXLOWER.encode(&entry.hash) });
            println!("{line}");
        }
    }
}

pub(super) fn text<'a>(entry: &'a Map<String, Value>, name: &str) -> Option<&'a String> {
    match entry.get(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// A value in words.
pub(super) fn shown(entry: &Map<String, Value>, name: &str) -> String {
    let text = match entry.get(name) {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            let word = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            items.iter().map(word).collect::<Vec<_>>().join(" ")
        }
        Some(other) => other.to_string(),
    };
    plain(&text)
}

/// A text that cannot steer a terminal.
pub(in crate::cli) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn as_csv(entry: &Map<String, Value>) -> String {
    let quoted = COLUMNS.map(|name| {
        let value = shown(entry, name);
        // A spreadsheet takes what begins like this for a formula.
        let value =
            if value.starts_with(['=', '+', '-', '@']) { format!("'{value}") } else { value };
        if value.contains([',', '"']) {
            format!("\"{}\"", value.replace('"', "\"\""))
        } else {
            value
        }
    });
    quoted.join(",")
}

const COLUMNS: [&str; 8] =
    ["at", "decision", "reason", "principal", "method", "target", "policies", "request_id"];
const PAGE: u32 = 1_000;
