//! `--check`: everything a conversation needs, before a provider is asked for anything.

use std::{process::ExitCode, sync::Arc, time::Instant};

use serde::Serialize;

use super::{
    connect::{self, NO_MODEL},
    show::{self, BAD, GOOD},
};
use crate::{
    config::{ClientSettings, Config},
    model::Model as _,
    session::{Era, Session},
    token::Inspection,
    tools::Toolbox,
    trust::http_client_to,
};

/// What was looked at, and what was found.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    fine: bool,
    found: String,
    took_ms: u64,
}

/// Looks at each in turn: issuer and keys, gate, upstream, providers.
pub(super) async fn run(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let mut findings = Findings { list: Vec::new(), json, begun: Instant::now() };
    look_at_gate(config, "", &config.client, &mut findings).await;
    for (name, client) in &config.zones {
        look_at_gate(config, &format!(" of zone {name}"), client, &mut findings).await;
    }
    if config.models.is_empty() {
        findings.add("models", Err(NO_MODEL.to_owned()));
    }
    for name in &config.models {
        let probed = match connect::model(config, name).await {
            Ok(model) => model.probe().await.map_err(|error| error.to_string()),
            Err(error) => Err(format!("{error:#}")),
        };
        let rehearsed = name.provider() == connect::REHEARSED;
        let fine =
            if rehearsed { "scripted choices; no model" } else { "answers and takes the key" };
        findings.add(&format!("model {name}"), probed.map(|()| fine.to_owned()));
    }
    let all_fine = findings.list.iter().all(|finding| finding.fine);
    if json {
        show::say(&show::json(&serde_json::to_value(&findings.list)?));
    } else {
        let verdict = if all_fine { "everything is there" } else { "see above for what to do" };
        show::say(verdict);
    }
    Ok(if all_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Token, session and tools under one OAuth client; what fails hides what comes after it.
async fn look_at_gate(
    config: &Config,
    whose: &str,
    client: &ClientSettings,
    findings: &mut Findings,
) {
    let http = match http_client_to(&config.gate, config.ca.as_deref()) {
        Ok(http) => http,
        Err(error) => return findings.add("trust", Err(error.to_string())),
    };
    let tokens = match connect::tokens(config, client, &http).await {
        Ok(tokens) => Arc::new(tokens),
        Err(error) => return findings.add(&format!("issuer{whose}"), Err(format!("{error:#}"))),
    };
    findings.add(&format!("issuer{whose}"), Ok(tokens.inspect().issuer));
    let token = tokens.token().await.map_err(|error| error.to_string());
    let failed = token.is_err();
    findings.add(&format!("token{whose}"), token.map(|_| about_token(&tokens.inspect())));
    if failed {
        return;
    }
    let era = config.era;
    let session = match Session::open(http, &config.gate, tokens, era).await {
        Ok(session) => session,
        Err(error) => return findings.add(&format!("gate{whose}"), Err(error.to_string())),
    };
    let spoken = if era == Era::Legacy { "legacy" } else { "newest" };
    findings.add(&format!("gate{whose}"), Ok(format!("{} ({spoken})", config.gate)));
    let tools = session.tools().await;
    session.close().await;
    let tools = tools.map_err(|error| error.to_string()).map(|tools| {
        let toolbox = Toolbox::of(&tools);
        match toolbox.left_out().len() {
            0 => format!("{} tools", toolbox.offered().len()),
            out => format!("{} tools; {out} cannot be offered", toolbox.offered().len()),
        }
    });
    findings.add(&format!("upstream{whose}"), tools);
}

fn about_token(found: &Inspection) -> String {
    let Some(token) = &found.token else { return "none".to_owned() };
    let scopes: Vec<_> = token.scopes.iter().map(String::as_str).collect();
    let scopes = if scopes.is_empty() { "no scopes told".to_owned() } else { scopes.join(" ") };
    let verified = if token.verified { "verified" } else { "opaque" };
    let proof = if found.proof_key.is_some() { ", bound to our key" } else { "" };
    let left = humantime::format_duration(token.expires_in);
    format!("{scopes}; {verified}{proof}; good for {left}")
}

/// What was found so far; shown as it is found.
struct Findings {
    list: Vec<Finding>,
    json: bool,
    begun: Instant,
}

impl Findings {
    fn add(&mut self, what: &str, found: Result<String, String>) {
        let took_ms = self.begun.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        self.begun = Instant::now();
        let (fine, found) = match found {
            Ok(found) => (true, found),
            Err(found) => (false, found),
        };
        if !self.json {
            let (style, word) = if fine { (GOOD, "    ok") } else { (BAD, "failed") };
            show::note(style, word, &format!("{what}: {}", show::plain(&found)));
        }
        self.list.push(Finding { what: what.to_owned(), fine, found, took_ms });
    }
}
