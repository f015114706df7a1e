//! What is shown while it happens: on standard error, in colour where that is a terminal.

use std::{io::Write as _, time::Duration};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::agent::event::{Event, Verdict};

/// Shows a conversation as it goes.
#[derive(Debug)]
pub(super) struct Show {
    spinner: ProgressBar,
    /// Whether the words of the model go to standard output as they come.
    words: Words,
    /// Whether the line that the model is saying has not been ended.
    within_a_line: bool,
}

/// What becomes of a model's words as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// Printed.
    AsTheyCome,
    /// Kept for the end.
    AtTheEnd,
}

/// Something went wrong.
pub(super) fn error(text: &str) {
    note(BAD, "error", text);
}

/// A word and more about it.
pub(super) fn note(style: Style, word: &str, text: &str) {
    // A reader that has gone away ends the telling, not the work.
    drop(writeln!(anstream::stderr(), "{style}{word}{style:#} {text}"));
}

impl Show {
    pub(super) fn new(words: Words) -> Self {
        let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            spinner.set_style(style);
        }
        Self { spinner, words, within_a_line: false }
    }

    /// The model is being waited for.
    pub(super) fn waiting(&self, what: &str) {
        self.spinner.reset_elapsed();
        self.spinner.set_message(what.to_owned());
        self.spinner.enable_steady_tick(Duration::from_millis(100));
    }

    /// Nothing is waited for any more.
    pub(super) fn done(&mut self) {
        self.spinner.disable_steady_tick();
        self.spinner.finish_and_clear();
        self.end_line();
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Piece { text } if self.words == Words::AsTheyCome => {
                self.spinner.disable_steady_tick();
                self.spinner.finish_and_clear();
                let mut out = anstream::stdout();
                drop(write!(out, "{}", plain(text)));
                drop(out.flush());
                self.within_a_line = true;
            }
            Event::Calling { by, tool, arguments, .. } => {
                let call = format!("{tool} {}", plain(arguments));
                self.line(DIM, "call", &format!("{call} {DIM}by {by}{DIM:#}"));
            }
            Event::Called { tool, verdict, text, took_ms, .. } => {
                let (style, word) = match verdict {
                    Verdict::Done => (GOOD, "done"),
                    Verdict::Failed => (WARN, "failed"),
                    Verdict::Refused(_) => (BAD, "refused"),
                    Verdict::NotSent(_) => (BAD, "not sent"),
                    Verdict::Unknown(_) => (WARN, "no answer"),
                };
                let why = if *verdict == Verdict::Done { String::new() } else { plain(text) };
                self.line(style, word, &format!("{tool} {DIM}{took_ms} ms{DIM:#} {why}"));
            }
            Event::SteppedUp { scopes, .. } => {
                self.line(WARN, "step-up", &format!("asks for {}", plain(&scopes.join(" "))));
            }
            Event::Waiting { after, .. } => {
                let after = humantime::format_duration(*after);
                self.line(WARN, "waiting", &format!("{after} for a limit to leave room"));
            }
            Event::Again { model, why, after } => {
                let after = humantime::format_duration(Duration::from_millis(
                    after.as_millis().try_into().unwrap_or(u64::MAX),
                ));
                self.line(
                    WARN,
                    "again",
                    &format!("{model} {}; asked again in {after}", plain(why)),
                );
            }
            Event::Instead { failed, next, why } => {
                let text = format!("{failed} {}; asking {next} instead", plain(why));
                self.line(WARN, "instead", &text);
            }
            Event::Finished { stopped: Some(stopped), .. } => {
                self.line(WARN, "stopped", stopped.words());
            }
            _ => {}
        }
    }

    fn line(&mut self, style: Style, word: &str, text: &str) {
        self.end_line();
        self.spinner.suspend(|| note(style, &format!("{word:>9}"), text));
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.within_a_line) {
            drop(writeln!(anstream::stdout()));
        }
    }
}

/// Text of others without what a terminal would act on.
pub(super) fn plain(text: &str) -> String {
    let harmless = |c: char| c == '\n' || c == '\t' || !c.is_control();
    text.chars().map(|c| if harmless(c) { c } else { '\u{fffd}' }).collect()
}

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const WARN: Style = AnsiColor::Yellow.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default();
