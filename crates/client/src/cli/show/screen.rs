//! The one terminal of this process: a line that is not ended, a question that is open and something
//! that turns while one waits share it, whoever writes.

use std::{
    io::Write as _,
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

struct Screen {
    /// Hidden where standard error is no terminal, or a dumb one.
    spinner: ProgressBar,
    /// The model is in the middle of a line on standard output.
    within_a_line: AtomicBool,
    /// What was asked on standard error has not been answered.
    within_a_question: AtomicBool,
    /// A person types: nothing may turn.
    held: AtomicBool,
}

static SCREEN: LazyLock<Screen> = LazyLock::new(|| {
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        spinner.set_style(style);
    }
    // It is drawn from its first wait on, whatever is written before.
    spinner.finish_and_clear();
    let [within_a_line, within_a_question, held] = Default::default();
    Screen { spinner, within_a_line, within_a_question, held }
});

impl Screen {
    fn stop(&self) {
        self.spinner.disable_steady_tick();
        self.spinner.finish_and_clear();
    }

    fn end_line(&self) {
        if self.within_a_line.swap(false, Ordering::SeqCst) {
            drop(writeln!(anstream::stdout()));
        }
        if self.within_a_question.swap(false, Ordering::SeqCst) {
            drop(writeln!(anstream::stderr()));
        }
    }
}

/// Writes whole lines, on lines of their own.
pub(super) fn between(write: impl FnOnce()) {
    SCREEN.spinner.suspend(|| {
        SCREEN.end_line();
        write();
    });
}

/// More of what the model says.
pub(super) fn piece(text: &str) {
    SCREEN.stop();
    let mut out = anstream::stdout();
    drop(write!(out, "{text}"));
    drop(out.flush());
    SCREEN.within_a_line.store(!text.ends_with('\n'), Ordering::SeqCst);
}

/// Something is waited for.
pub(super) fn wait_for(what: &'static str) {
    if SCREEN.held.load(Ordering::SeqCst) || SCREEN.within_a_line.load(Ordering::SeqCst) {
        return;
    }
    SCREEN.spinner.reset();
    SCREEN.spinner.set_message(what);
    SCREEN.spinner.enable_steady_tick(Duration::from_millis(100));
}

/// Nothing is waited for any more.
pub(super) fn rest() {
    SCREEN.stop();
    SCREEN.end_line();
}

/// While it lives a person is asked and types.
#[derive(Debug)]
pub(in crate::cli) struct Held(());

/// Nothing turns until what is returned is dropped.
pub(in crate::cli) fn hold() -> Held {
    SCREEN.held.store(true, Ordering::SeqCst);
    SCREEN.stop();
    Held(())
}

impl Held {
    /// Writes what typed text stands after.
    pub(in crate::cli) fn ask(&self, text: &str) {
        SCREEN.end_line();
        let mut out = anstream::stderr();
        drop(write!(out, "{text}"));
        drop(out.flush());
        SCREEN.within_a_question.store(true, Ordering::SeqCst);
    }

    /// A line was typed, with its end.
    pub(in crate::cli) fn answered(&self) {
        SCREEN.within_a_question.store(false, Ordering::SeqCst);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        SCREEN.held.store(false, Ordering::SeqCst);
    }
}
