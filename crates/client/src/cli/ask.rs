//! `ask`: one question, one answer.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::json;

use super::{
    connect::{self, Personal},
    show::{self, Show, Words},
    terminal::{Signal, Signals, Sitting},
};
use crate::{
    agent::{AgentError, Report, event::Event},
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

/// How it ended: with a report, or with why there is none.
type Outcome = Result<Result<Report, AgentError>, Signal>;

impl Ask {
    pub(super) async fn run(self, config: &Config, json: bool) -> anyhow::Result<ExitCode> {
        let mut transcript = self.transcript.as_deref().map(Transcript::open).transpose()?;
        let personal = if json { Personal::Nobody } else { Personal::AtTheTerminal };
        let mut agent = connect::agent(config, personal).await?;
        let words = if json || self.no_stream { Words::AtTheEnd } else { Words::AsTheyCome };
        let show = Show::new(words);
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
        let mut signals = Signals::listen()?;
        show.waiting("thinking");
        let sitting = Sitting::begin();
        let outcome = tokio::select! {
            report = agent.answer(&self.prompt, &mut tell) => Ok(report),
            signal = signals.next() => Err(signal),
        };
        drop(sitting);
        if outcome.is_err() {
            agent.stopped(&mut tell);
        }
        show.done();
        signals.close(agent, outcome.is_err()).await;
        if let Some(error) = unwritten {
            show::error(&error.to_string());
        }
        if json {
            print_json(&outcome, &events);
        }
        Ok(end(outcome, words, json))
    }
}

fn end(outcome: Outcome, words: Words, json: bool) -> ExitCode {
    match outcome {
        Ok(Ok(report)) => {
            if words == Words::AtTheEnd && !json {
                show::say(&report.answer);
            }
            if report.stopped.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Ok(Err(error)) => {
            show::error(&error.to_string());
            ExitCode::FAILURE
        }
        Err(signal) => {
            show::error(STOPPED);
            ExitCode::from(signal.exit_code())
        }
    }
}

/// One object, also when there is no answer: what happened until then did happen.
fn print_json(outcome: &Outcome, events: &[Event]) {
    let events: Vec<_> =
        events.iter().filter(|event| !matches!(event, Event::Piece { .. })).collect();
    let whole = match outcome {
        Ok(Ok(report)) => json!({
            "answer": report.answer,
            "stopped": report.stopped,
            "rounds": report.rounds,
            "usage": report.usage,
            "events": events,
        }),
        Ok(Err(error)) => json!({ "error": error.to_string(), "events": events }),
        Err(_) => json!({ "error": STOPPED, "events": events }),
    };
    show::say(&show::json(&whole));
}

const STOPPED: &str = "stopped";
