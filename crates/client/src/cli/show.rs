//! What is shown while it happens: on standard error, in colour where that is a terminal.

mod screen;

use std::{io::Write as _, sync::LazyLock, time::Duration};

use anstyle::{AnsiColor, Style};
use regex::{Captures, Regex};

use crate::agent::event::{Event, Verdict};

pub(super) use screen::{Held, hold};

/// Shows a conversation as it goes.
#[derive(Debug)]
pub(super) struct Show {
    /// Whether the words of the model go to standard output as they come.
    words: Words,
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

/// A word of ours and more about it, which may be the words of others.
pub(super) fn note(style: Style, word: &str, text: &str) {
    let text = beneath(text);
    screen::between(|| {
        // A reader that has gone away ends the telling, not the work.
        drop(writeln!(anstream::stderr(), "{style}{word}{style:#} {text}"));
    });
}

/// What was asked for, on standard output.
pub(super) fn say(text: &str) {
    screen::between(|| drop(writeln!(anstream::stdout(), "{}", plain(text))));
}

impl Show {
    pub(super) fn new(words: Words) -> Self {
        Self { words }
    }

    /// Something is waited for.
    pub(super) fn waiting(&self, what: &'static str) {
        screen::wait_for(what);
    }

    /// Nothing is waited for any more.
    pub(super) fn done(&self) {
        screen::rest();
    }

    pub(super) fn event(&self, event: &Event) {
        match event {
            Event::Piece { text } if self.words == Words::AsTheyCome => {
                screen::piece(&plain(text));
            }
            Event::Calling { by, tool, arguments, .. } => {
                line(DIM, "call", &format!("{tool} {arguments} (by {by})"));
                self.waiting("working");
            }
            Event::Called { tool, verdict, text, took_ms, .. } => {
                let (style, word) = look(verdict);
                let why = if *verdict == Verdict::Done { "" } else { text };
                line(style, word, format!("{tool} ({took_ms} ms) {why}").trim_end());
                self.waiting("thinking");
            }
            Event::SteppedUp { scopes, .. } => {
                line(WARN, "step-up", &format!("asks for {}", scopes.join(" ")));
            }
            Event::Waiting { after, .. } => {
                let after = humantime::format_duration(*after);
                line(WARN, "waiting", &format!("{after} for a limit to leave room"));
            }
            Event::Again { model, why, after } => {
                let after = humantime::format_duration(Duration::from_millis(
                    after.as_millis().try_into().unwrap_or(u64::MAX),
                ));
                line(WARN, "again", &format!("{model} {why}; asked again in {after}"));
            }
            Event::Instead { failed, next, why } => {
                line(WARN, "instead", &format!("{failed} {why}; asking {next} instead"));
            }
            Event::Finished { stopped: Some(stopped), .. } => {
                line(WARN, "stopped", stopped.words());
            }
            _ => {}
        }
    }
}

fn look(verdict: &Verdict) -> (Style, &'static str) {
    match verdict {
        Verdict::Done => (GOOD, "done"),
        Verdict::Failed => (WARN, "failed"),
        Verdict::Refused(_) => (BAD, "refused"),
        Verdict::NotSent(_) => (BAD, "not sent"),
        Verdict::Unknown(_) => (WARN, "no answer"),
    }
}

fn line(style: Style, word: &str, text: &str) {
    note(style, &format!("{word:>9}"), text);
}

/// Text of others without what a terminal would act on, or what would show it otherwise than it is
/// read: controls, directions, characters without a width.
pub(super) fn plain(text: &str) -> String {
    made_harmless(&text.replace("\r\n", "\n"), |_| "\u{fffd}".to_owned())
}

/// The same on one line, for what stands before typed text.
pub(super) fn on_one_line(text: &str) -> String {
    shortened(&plain(text).replace(['\n', '\t'], " "))
}

/// JSON that is safe to look at as well: what is harmful can only be within its strings.
pub(super) fn json(value: &serde_json::Value) -> String {
    made_harmless(&value.to_string(), |harmful| {
        harmful.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
    })
}

fn made_harmless(text: &str, instead: impl Fn(&str) -> String) -> String {
    static HARMFUL_ONE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(HARMFUL).ok());
    // The pattern is a constant, and a test reads it; without it nothing is shown.
    let Some(harmful) = HARMFUL_ONE.as_ref() else { return String::new() };
    harmful
        .replace_all(text, |found: &Captures<'_>| instead(found.get_match().as_str()))
        .into_owned()
}

/// No line of others' begins where ours do.
fn beneath(text: &str) -> String {
    shortened(&plain(text)).replace('\n', "\n          ")
}

/// The transcript has all of it.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST).and_then(|(end, _)| text.get(..end)) {
        Some(start) => format!("{start} …"),
        None => text.to_owned(),
    }
}

/// Invisible are also some that no category names; those that choose how an emoji looks may stay.
const HARMFUL: &str =
    r"[[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]--[\n\t\u{fe0e}\u{fe0f}]]";

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const WARN: Style = AnsiColor::Yellow.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// In characters, of what others say on the side.
const LONGEST: usize = 2000;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_a_terminal_acts_on_and_what_nobody_sees_is_replaced() {
        for harmful in [
            '\0',
            '\u{7}',
            '\u{8}',
            '\r',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{ad}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{2028}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{3164}',
            '\u{feff}',
            '\u{fff9}',
            '\u{e0041}',
        ] {
            assert_eq!(plain(&format!("a{harmful}b")), "a\u{fffd}b", "{harmful:?}");
            let value = json!({ "text": harmful.to_string() });
            let written = json(&value);
            assert!(written.is_ascii() && !written.contains('\u{7f}'), "{written:?}");
            assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
        }
        assert_eq!(plain("Grüße\r\n\t❤\u{fe0f} 日本 👍🏽"), "Grüße\n\t❤\u{fe0f} 日本 👍🏽");
    }

    #[test]
    fn no_line_of_others_begins_where_ours_do_and_none_goes_on_for_ever() {
        assert_eq!(beneath("a\nerror forged"), "a\n          error forged");
        assert!(beneath(&"ß\n".repeat(100_000)).chars().count() < 12 * LONGEST);
        assert_eq!(on_one_line("a\n> b"), "a > b");
    }
}
