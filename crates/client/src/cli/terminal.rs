//! The person at the terminal, who is asked what servers want to know.

mod form;
mod keyboard;
mod signals;

use std::{
    io::{self, IsTerminal as _},
    sync::LazyLock,
};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::watch;

use super::show::{self, DIM, Held, WARN};
use crate::session::host::{Answer, Host, Progress, Question};
pub(super) use keyboard::{Keyboard, Modes};
pub(super) use signals::{Signal, Signals};

/// A person at a terminal; nobody, where there is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal;

/// While it lives the person waits for an answer, and may be asked things. Dropped, it takes back
/// what is being asked, also where the library goes on waiting for it.
#[derive(Debug)]
pub(super) struct Sitting(());

/// How often a sitting has begun or ended: odd while there is one.
static SITTINGS: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// Several sessions may ask at a time; there is one keyboard.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

impl Sitting {
    pub(super) fn begin() -> Self {
        SITTINGS.send_modify(|count| *count += 1);
        Self(())
    }
}

impl Drop for Sitting {
    fn drop(&mut self) {
        SITTINGS.send_modify(|count| *count += 1);
    }
}

/// Ends when the sitting does; `None` when there is none.
fn sitting() -> Option<watch::Receiver<u64>> {
    let mut sittings = SITTINGS.subscribe();
    let present = *sittings.borrow_and_update() % 2 == 1;
    present.then_some(sittings)
}

#[async_trait]
impl Host for Terminal {
    fn can_be_asked(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    async fn asked(&self, question: Question) -> Answer {
        if !self.can_be_asked() {
            return Answer::Decline;
        }
        let Some(mut sitting) = sitting() else { return Answer::Cancel };
        tokio::select! {
            // First, so that nothing is read that is typed for somebody else.
            biased;
            _ = sitting.changed() => Answer::Cancel,
            answer = put(&question) => answer.unwrap_or(Answer::Cancel),
        }
    }

    fn progressed(&self, Progress { done, total, message }: Progress) {
        if sitting().is_some() {
            let of = total.map_or_else(String::new, |total| format!(" of {total}"));
            let message = message.unwrap_or_default();
            show::note(DIM, " progress", format!("{done}{of} {message}").trim_end());
        }
    }
}

async fn put(question: &Question) -> io::Result<Answer> {
    let _one_at_a_time = ONE_AT_A_TIME.lock().await;
    let held = show::hold();
    // A person must be able to tell the server's words from the program's.
    let announce = |message: &str| show::note(WARN, "the server asks:", message);
    match question {
        Question::Page { message, url } => {
            announce(message);
            show::note(DIM, "         ", &format!("it wants you to visit {url}"));
            confirm(&held, "Have you, and shall it go on?").await
        }
        Question::Form { message, schema } => {
            announce(message);
            match form::fields(schema) {
                Some(fields) => {
                    show::note(DIM, "         ", "(`!` declines)");
                    form::fill(&held, fields, schema).await
                }
                None => confirm(&held, "Shall it go on?").await,
            }
        }
    }
}

/// What has no fields to fill is agreed to or not.
async fn confirm(held: &Held, question: &str) -> io::Result<Answer> {
    Ok(match line(held, &format!("  {question} [y/N] ")).await?.as_deref() {
        Some("y" | "Y" | "yes") => Answer::Accept(Value::Object(serde_json::Map::new())),
        Some(_) => Answer::Decline,
        None => Answer::Cancel,
    })
}

/// One typed line; `None` at Ctrl-D.
async fn line(held: &Held, prompt: &str) -> io::Result<Option<String>> {
    held.ask(prompt);
    // The terminal hands out whole lines: nothing is read that is not ours.
    let typed = Keyboard::default().line().await?;
    if typed.is_some() {
        held.answered();
    }
    Ok(typed)
}
