//! `chat`: a conversation at the terminal.

mod lines;

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{
    connect::{self, Personal},
    show::{self, BOLD, DIM, Show, Words},
    terminal::{Modes, Signal, Signals, Sitting},
};
use crate::{
    agent::{Agent, event::Event},
    config::Config,
    transcript::Transcript,
};
use lines::{Lines, Typed};

/// Talk; Ctrl-C stops an answer, Ctrl-D ends
#[derive(Debug, Args)]
pub(super) struct Chat {
    /// Add what happens to this file, as JSON lines
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
    /// Keep what is typed in this file, for the next time
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

impl Chat {
    pub(super) async fn run(self, config: &Config) -> anyhow::Result<ExitCode> {
        let mut transcript = self.transcript.as_deref().map(Transcript::open).transpose()?;
        let mut agent = connect::agent(config, Personal::AtTheTerminal).await?;
        agent.zones().list().await?;
        let _restored_in_the_end = Modes::now();
        let mut lines = Lines::new(self.history)?;
        // From here on Ctrl-C ends an answer, not the program.
        let mut signals = Signals::listen()?;
        welcome(&agent);
        let ended = loop {
            match lines.next(&mut signals).await? {
                Typed::Line(line) => match line.as_str() {
                    "/quit" | "/exit" => break None,
                    "/help" => show::say(HELP),
                    "/tools" => list_tools(&agent),
                    command if command.starts_with('/') => show::error(HELP),
                    _ => {
                        let stopped =
                            answer(&mut agent, &line, transcript.as_mut(), &mut signals).await;
                        if stopped == Some(Signal::Terminate) {
                            break stopped;
                        }
                    }
                },
                Typed::Nothing => {}
                Typed::Stop(Signal::Interrupt) => show::note(DIM, "Ctrl-D", "ends"),
                Typed::Stop(Signal::Terminate) => break Some(Signal::Terminate),
                Typed::End => break None,
            }
        };
        signals.close(agent, ended.is_some()).await;
        Ok(ended.map_or(ExitCode::SUCCESS, |signal| ExitCode::from(signal.exit_code())))
    }
}

/// Answers, until that is done or a signal comes; either way the conversation can go on.
async fn answer(
    agent: &mut Agent,
    prompt: &str,
    mut transcript: Option<&mut Transcript>,
    signals: &mut Signals,
) -> Option<Signal> {
    let show = Show::new(Words::AsTheyCome);
    show.waiting("thinking");
    let mut unwritten = None;
    let mut tell = |event: Event| {
        if let Some(Err(error)) = transcript.as_mut().map(|to| to.write(&event)) {
            unwritten.get_or_insert(error);
        }
        show.event(&event);
    };
    let sitting = Sitting::begin();
    let asked = tokio::select! {
        report = agent.answer(prompt, &mut tell) => Ok(report),
        signal = signals.next() => Err(signal),
    };
    drop(sitting);
    if asked.is_err() {
        agent.stopped(&mut tell);
    }
    show.done();
    match &asked {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => show::error(&error.to_string()),
        Err(_) => show::note(DIM, "stopped", "what was under way has been cancelled"),
    }
    if let Some(error) = unwritten {
        show::error(&error.to_string());
    }
    asked.err()
}

fn welcome(agent: &Agent) {
    let model = agent.model().name().to_string();
    let toolbox = agent.zones().of(agent.model().name().provider()).toolbox();
    let tools = toolbox.offered().len();
    show::note(BOLD, &model, &format!("with {tools} tools (/help, Ctrl-D ends)"));
    for out in toolbox.left_out() {
        show::note(DIM, "left out", &format!("{}: {}", out.name, out.reason));
    }
}

fn list_tools(agent: &Agent) {
    let toolbox = agent.zones().of(agent.model().name().provider()).toolbox();
    show::say(&super::tools::table(&toolbox).to_string());
}

const HELP: &str = "/tools lists the tools, /quit ends; everything else is said to the model. Ctrl-C stops an answer.";
