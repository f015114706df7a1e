//! `ask`: one question, one answer.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::json;

use super::{
    connect::{self, Personal},
    show::{self, Show, Words},
};
use crate::{
    agent::{Report, event::Event},
    config::Config,
    transcript::Transcript,
};

/// Ask one thing and print the answer
#[derive(Debug, Args)]
pub(super) struct Ask {
    /// What to ask
    prompt: String,
    /// Add what happens to this file, as JSON lines
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
    /// Print the answer when it is whole
    #[arg(long)]
    no_stream: bool,
}

impl Ask {
    pub(super) async fn run(self, config: &Config, json: bool) -> anyhow::Result<ExitCode> {
        let mut transcript = self.transcript.as_deref().map(Transcript::open).transpose()?;
        let personal = if json { Personal::Nobody } else { Personal::AtTheTerminal };
        let mut agent = connect::agent(config, personal).await?;
        let words = if json || self.no_stream { Words::AtTheEnd } else { Words::AsTheyCome };
        let mut show = Show::new(words);
        let mut events = Vec::new();
        let mut unwritten = None;
        let mut tell = |event: Event| {
            if let Some(Err(error)) = transcript.as_mut().map(|to| to.write(&event)) {
                unwritten.get_or_insert(error);
            }
            if json {
                events.push(event);
            } else {
                show.event(&event);
            }
        };
        let asked = tokio::select! {
            report = agent.answer(&self.prompt, &mut tell) => Some(report),
            _ = tokio::signal::ctrl_c() => None,
        };
        show.done();
        agent.close().await;
        if let Some(error) = unwritten {
            show::error(&error.to_string());
        }
        let Some(report) = asked else {
            show::error("stopped");
            return Ok(ExitCode::from(INTERRUPTED));
        };
        let report = report?;
        if json {
            print_json(&report, &events)?;
        } else if words == Words::AtTheEnd {
            anstream::println!("{}", show::plain(&report.answer));
        }
        Ok(if report.stopped.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn print_json(report: &Report, events: &[Event]) -> anyhow::Result<()> {
    let events: Vec<_> =
        events.iter().filter(|event| !matches!(event, Event::Piece { .. })).collect();
    let whole = json!({
        "answer": report.answer,
        "stopped": report.stopped,
        "rounds": report.rounds,
        "usage": report.usage,
        "events": events,
    });
    anstream::println!("{}", serde_json::to_string(&whole)?);
    Ok(())
}

/// What shells expect of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;
