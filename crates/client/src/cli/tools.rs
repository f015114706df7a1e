//! `tools`: what models are offered, and what a call will need.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use serde_json::json;

use super::{
    connect,
    show::{self, DIM},
};
use crate::{
    config::Config,
    token::Inspection,
    tools::{Toolbox, adapters},
};

/// List the tools as models are offered them, and what a call will need
#[derive(Debug, Args)]
pub(super) struct Tools {
    /// Print them in a provider's own format
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// `tools` of OpenAI's chat completions
    Openai,
    /// `tools` of Anthropic's messages
    Anthropic,
    /// The universal form, with security metadata
    Generic,
}

impl Tools {
    pub(super) async fn run(self, config: &Config, json: bool) -> anyhow::Result<ExitCode> {
        let session = connect::session(config, &config.client).await?;
        let toolbox = Toolbox::of(&session.tools().await?);
        let more = more_scopes(&session.token_source().inspect());
        session.close().await;
        let offered = toolbox.offered();
        let printed = match self.format {
            Some(Format::Openai) => Some(json!(adapters::to_openai(offered))),
            Some(Format::Anthropic) => Some(json!(adapters::to_anthropic(offered))),
            Some(Format::Generic) => Some(json!(adapters::to_others(offered))),
            None if json => Some(json!({
                "tools": adapters::to_others(offered),
                "leftOut": toolbox.left_out(),
            })),
            None => None,
        };
        match printed {
            Some(value) => show::say(&show::json(&value)),
            None => show::say(&table(&toolbox).to_string()),
        }
        if !json {
            for out in toolbox.left_out() {
                show::note(DIM, "left out", &format!("{}: {}", show::plain(&out.name), out.reason));
            }
            if !more.is_empty() {
                let options: Vec<_> = more.iter().map(|scope| format!("--scope {scope}")).collect();
                show::note(DIM, "perhaps more with", &show::plain(&options.join(" ")));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Scopes that the resource knows and the token lacks.
fn more_scopes(found: &Inspection) -> Vec<String> {
    let held = found.token.as_ref().map(|token| &token.scopes);
    let lacks = |scope: &&String| held.is_none_or(|held| !held.contains(*scope));
    found.known_scopes.iter().filter(lacks).cloned().collect()
}

pub(super) fn table(toolbox: &Toolbox) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["tool", "scopes", "limit", "audit", "arguments decide", "what it does"]);
    for tool in toolbox.offered() {
        let security = &tool.security;
        let name = if tool.name == tool.offered_as {
            tool.name.clone()
        } else {
            format!("{} (as {})", tool.name, tool.offered_as)
        };
        let what = tool.description.lines().next().unwrap_or_default();
        table.add_row([
            show::on_one_line(&name),
            show::on_one_line(&security.required_scopes.join(" ")),
            show::on_one_line(security.rate_limit.as_deref().unwrap_or_default()),
            show::on_one_line(security.audit_level.as_deref().unwrap_or_default()),
            if security.conditional { "yes" } else { "" }.to_owned(),
            show::on_one_line(what),
        ]);
    }
    table
}
