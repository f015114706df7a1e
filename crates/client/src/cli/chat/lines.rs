//! What the person says next: edited at a terminal, or a line of a pipe.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    pin::pin,
};

use rustyline::{DefaultEditor, error::ReadlineError};
use tokio::sync::oneshot;

use crate::{
    cli::terminal::{Keyboard, Signal, Signals},
    config::Environment,
};

/// What the person typed.
#[derive(Debug)]
pub(super) enum Typed {
    Line(String),
    Nothing,
    Stop(Signal),
    End,
}

/// Lines from the keyboard, or from a pipe. While an answer is under way nobody reads: what is typed
/// then waits, or answers a question of the server's.
pub(super) enum Lines {
    /// Given to the thread that reads, and given back with what it read.
    Edited(Option<Box<Edited>>),
    Plain(Keyboard),
}

pub(super) struct Edited {
    editor: DefaultEditor,
    history: Option<PathBuf>,
}

impl Lines {
    pub(super) fn new(history: Option<PathBuf>) -> anyhow::Result<Self> {
        if !can_edit() {
            return Ok(Self::Plain(Keyboard::default()));
        }
        let mut editor = DefaultEditor::new()?;
        if let Some(path) = history.as_ref().filter(|path| path.exists()) {
            editor.load_history(path)?;
        }
        Ok(Self::Edited(Some(Box::new(Edited { editor, history }))))
    }

    /// The next line, or a signal that comes before it.
    pub(super) async fn next(&mut self, signals: &mut Signals) -> anyhow::Result<Typed> {
        match self {
            Self::Edited(place) => {
                let Some(edited) = place.take() else { return Ok(Typed::End) };
                let mut reading = pin!(edited.read_aside());
                loop {
                    tokio::select! {
                        read = &mut reading => {
                            let (edited, typed) = read?;
                            *place = Some(edited);
                            return typed;
                        }
                        signal = signals.next() => if signal == Signal::Terminate {
                            // The editor goes on waiting; it would have said this in the end.
                            drop(io::stdout().write_all(PASTE_AS_EVER));
                            return Ok(Typed::Stop(signal));
                        },
                    }
                }
            }
            Self::Plain(keyboard) => {
                if can_see() {
                    drop(write!(io::stderr(), "{PROMPT}"));
                }
                tokio::select! {
                    line = keyboard.line() => Ok(line?.map_or(Typed::End, Typed::from)),
                    signal = signals.next() => {
                        if can_see() {
                            drop(writeln!(io::stderr()));
                        }
                        Ok(Typed::Stop(signal))
                    }
                }
            }
        }
    }
}

impl From<String> for Typed {
    fn from(line: String) -> Self {
        if line.is_empty() { Self::Nothing } else { Self::Line(line) }
    }
}

impl Edited {
    /// Reads on a thread of its own, so that the sessions live on, and so that the program can end
    /// while it waits for a key: the runtime waits for its own threads.
    async fn read_aside(mut self: Box<Self>) -> anyhow::Result<(Box<Self>, anyhow::Result<Typed>)> {
        let (give_back, given_back) = oneshot::channel();
        std::thread::Builder::new().name("keyboard".to_owned()).spawn(move || {
            let typed = self.read();
            drop(give_back.send((self, typed)));
        })?;
        Ok(given_back.await?)
    }

    fn read(&mut self) -> anyhow::Result<Typed> {
        let line = match self.editor.readline(PROMPT) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => return Ok(Typed::Stop(Signal::Interrupt)),
            Err(ReadlineError::Eof) => return Ok(Typed::End),
            Err(error) => return Err(error.into()),
        };
        let line = line.trim();
        if !line.is_empty() {
            self.editor.add_history_entry(line)?;
            if let Some(path) = &self.history {
                self.editor.append_history(path)?;
            }
        }
        Ok(Typed::from(line.to_owned()))
    }
}

/// The editor moves the cursor about, on standard output.
fn can_edit() -> bool {
    let terminal = Environment::of_this_process().value("TERM");
    let able = terminal.is_some_and(|name| !["dumb", "cons25", "emacs"].contains(&name.as_str()));
    able && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Whether somebody sees that a line is waited for.
fn can_see() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

const PROMPT: &str = "> ";
/// No marks around what is pasted; and a new line.
const PASTE_AS_EVER: &[u8] = b"\x1b[?2004l\r\n";
