//! `chat`: a conversation at the terminal.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use clap::Args;
use rustyline::{DefaultEditor, error::ReadlineError};

use super::{
    connect::{self, Personal},
    show::{self, BOLD, DIM, Show, Words},
};
use crate::{
    agent::{Agent, event::Event},
    config::Config,
    transcript::Transcript,
};

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

/// What the person typed.
enum Typed {
    Line(String),
    Nothing,
    End,
}

impl Chat {
    pub(super) async fn run(self, config: &Config) -> anyhow::Result<ExitCode> {
        let mut transcript = self.transcript.as_deref().map(Transcript::open).transpose()?;
        let mut agent = connect::agent(config, Personal::AtTheTerminal).await?;
        agent.zones().list().await?;
        let mut lines = Lines::new(self.history)?;
        welcome(&agent);
        loop {
            let typed;
            (lines, typed) = lines.next().await?;
            let prompt = match typed {
                Typed::End => break,
                Typed::Nothing => continue,
                Typed::Line(line) => line,
            };
            match prompt.as_str() {
                "/quit" | "/exit" => break,
                "/help" => anstream::println!("{HELP}"),
                "/tools" => list_tools(&agent),
                command if command.starts_with('/') => show::error(HELP),
                _ => answer(&mut agent, &prompt, transcript.as_mut()).await,
            }
        }
        agent.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// Answers, until that is done or Ctrl-C is pressed; either way the conversation can go on.
async fn answer(agent: &mut Agent, prompt: &str, mut transcript: Option<&mut Transcript>) {
    let mut show = Show::new(Words::AsTheyCome);
    show.waiting("thinking");
    let mut unwritten = None;
    let mut tell = |event: Event| {
        if let Some(Err(error)) = transcript.as_mut().map(|to| to.write(&event)) {
            unwritten.get_or_insert(error);
        }
        show.event(&event);
    };
    let asked = tokio::select! {
        report = agent.answer(prompt, &mut tell) => Some(report),
        _ = tokio::signal::ctrl_c() => None,
    };
    show.done();
    match asked {
        Some(Ok(_)) => {}
        Some(Err(error)) => show::error(&error.to_string()),
        None => show::note(DIM, "stopped", "what was under way has been cancelled"),
    }
    if let Some(error) = unwritten {
        show::error(&error.to_string());
    }
}

fn welcome(agent: &Agent) {
    let model = agent.model().name();
    let toolbox = agent.zones().of(model.provider()).toolbox();
    let tools = toolbox.offered().len();
    anstream::eprintln!(
        "{BOLD}{model}{BOLD:#} with {tools} tools {DIM}(/help, Ctrl-D ends){DIM:#}"
    );
    for out in toolbox.left_out() {
        show::note(DIM, "left out", &format!("{}: {}", show::plain(&out.name), out.reason));
    }
}

fn list_tools(agent: &Agent) {
    let toolbox = agent.zones().of(agent.model().name().provider()).toolbox();
    anstream::println!("{}", super::tools::table(&toolbox));
}

/// Lines from the keyboard, or from a pipe.
struct Lines {
    editor: Option<DefaultEditor>,
    history: Option<PathBuf>,
}

impl Lines {
    fn new(history: Option<PathBuf>) -> anyhow::Result<Self> {
        let mut editor = std::io::stdin().is_terminal().then(DefaultEditor::new).transpose()?;
        if let (Some(editor), Some(path)) = (&mut editor, &history)
            && path.exists()
        {
            editor.load_history(path)?;
        }
        Ok(Self { editor, history })
    }

    /// The next line. The keyboard is read on a thread of its own, so that the session lives on.
    async fn next(mut self) -> anyhow::Result<(Self, Typed)> {
        tokio::task::spawn_blocking(move || {
            let typed = self.read()?;
            anyhow::Ok((self, typed))
        })
        .await?
    }

    fn read(&mut self) -> anyhow::Result<Typed> {
        let line = match &mut self.editor {
            Some(editor) => match editor.readline("> ") {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => return Ok(Typed::Nothing),
                Err(ReadlineError::Eof) => return Ok(Typed::End),
                Err(error) => return Err(error.into()),
            },
            None => {
                let mut line = String::new();
                if std::io::stdin().read_line(&mut line)? == 0 {
                    return Ok(Typed::End);
                }
                line
            }
        };
        let line = line.trim();
        if line.is_empty() {
            return Ok(Typed::Nothing);
        }
        if let Some(editor) = &mut self.editor {
            editor.add_history_entry(line)?;
            if let Some(path) = &self.history {
                editor.append_history(path)?;
            }
        }
        Ok(Typed::Line(line.to_owned()))
    }
}

const HELP: &str = "/tools lists the tools, /quit ends; everything else is said to the model. Ctrl-C stops an answer.";
