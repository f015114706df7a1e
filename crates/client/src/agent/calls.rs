//! One call, from what a model wrote to what it is told. The model may be told no; it is never told
//! how to get around it, and nothing is sent twice that may have been done.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc::UnboundedSender, oneshot},
    time::timeout,
};

use super::{
    event::{Event, Verdict},
    zones::Zone,
};
use crate::{
    model::{Call, ModelName, ToolResult},
    session::{SessionError, text_of},
    tools::{ReadyCall, Toolbox, Unusable},
};

/// Makes calls of one turn.
pub(super) struct Caller<'a> {
    pub(super) by: &'a ModelName,
    pub(super) zone: &'a Zone,
    pub(super) toolbox: Arc<Toolbox>,
    /// Waits for a limit at most this long in all.
    pub(super) patience: Duration,
    /// Several calls run side by side and tell what happens as it does.
    pub(super) events: UnboundedSender<Event>,
}

impl Caller<'_> {
    /// Makes the call, and says what the model is told.
    pub(super) async fn make(&self, call: &Call) -> ToolResult {
        let begun = Instant::now();
        let tool = self.toolbox.name_of(&call.tool).unwrap_or(&call.tool).to_owned();
        self.tell(Event::Calling {
            by: self.by.clone(),
            id: call.id.clone(),
            tool: tool.clone(),
            arguments: call.arguments.clone(),
        });
        let (verdict, text) = match self.read(call).await {
            Ok(ready) => self.send(&call.id, ready).await,
            Err(unusable) => {
                let verdict = Verdict::NotSent(unusable.reason().to_owned());
                (verdict, format!("Not called: {unusable}."))
            }
        };
        let text = shortened(&text);
        let succeeded = verdict == Verdict::Done;
        let took_ms = begun.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        self.tell(Event::Called {
            id: call.id.clone(),
            tool,
            verdict,
            text: text.clone(),
            took_ms,
        });
        ToolResult { id: call.id.clone(), tool: call.tool.clone(), text, succeeded }
    }

    /// On a thread of its own, which nobody waits for longer than a moment: a server's schema can
    /// make checking take for ever, and would stop everything else with it.
    async fn read(&self, call: &Call) -> Result<ReadyCall, Unusable> {
        let (toolbox, call) = (Arc::clone(&self.toolbox), call.clone());
        let (tell, told) = oneshot::channel();
        // Nobody may be waiting any more.
        thread::spawn(move || drop(tell.send(toolbox.read(&call))));
        match timeout(READING_LIMIT, told).await {
            Ok(Ok(read)) => read,
            _ => Err(Unusable::TooCostly),
        }
    }

    /// Once, and once more after a step-up or after a limit has left room: neither of them was done.
    async fn send(&self, id: &str, ready: ReadyCall) -> (Verdict, String) {
        let mut patience = self.patience;
        let (mut stepped_up, mut waited) = (false, 0);
        loop {
            let error = match self.zone.session().call_for(self.by, ready.clone()).await {
                Ok(result) => {
                    let failed = result.is_error == Some(true);
                    let verdict = if failed { Verdict::Failed } else { Verdict::Done };
                    return (verdict, text_of(&result));
                }
                Err(error) => error,
            };
            match error {
                SessionError::StepUp { required } if !stepped_up => {
                    stepped_up = true;
                    self.tell(Event::SteppedUp { id: id.to_owned(), scopes: required.clone() });
                    if let Err(error) = self.zone.session().step_up(&required).await {
                        return refused(&SessionError::StepUp { required }, Some(&error));
                    }
                }
                SessionError::Limited { after: Some(after) }
                    if after <= patience && waited < MOST_WAITS =>
                {
                    waited += 1;
                    patience -= after;
                    let after = after.max(SHORTEST_WAIT);
                    self.tell(Event::Waiting { id: id.to_owned(), after });
                    tokio::time::sleep(after).await;
                }
                error => return refused(&error, None),
            }
        }
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more when the conversation is being stopped.
        drop(self.events.send(event));
    }
}

/// What a model is told of a call that nobody made, or that was not answered.
fn refused(error: &SessionError, cause: Option<&SessionError>) -> (Verdict, String) {
    let reason = error.reason().to_owned();
    let because = cause.map_or_else(String::new, |cause| format!(" ({cause})"));
    match error {
        SessionError::StepUp { .. } => (
            Verdict::Refused(reason),
            format!(
                "Refused: {error}, and that was not granted{because}. Say so; do not try again."
            ),
        ),
        SessionError::Limited { .. } => {
            (Verdict::Refused(reason), format!("Refused: {error}. Do not try before."))
        }
        SessionError::Refused { message, .. } => (
            Verdict::Refused(reason.clone()),
            format!("Refused ({reason}): {message}. Trying the same again will not help."),
        ),
        SessionError::Open(_) | SessionError::Token(_) => {
            (Verdict::NotSent(reason), format!("Not called: {error}."))
        }
        SessionError::Call(_) => (
            Verdict::Unknown(reason),
            format!(
                "No answer: {error}. Whether it was done is not known; do not simply repeat it."
            ),
        ),
    }
}

/// As much as a model reads of a result or a refusal.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{} [cut off]", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Honest schemas take microseconds.
const READING_LIMIT: Duration = Duration::from_secs(2);
/// A server that says "not now" more often does not mean it.
const MOST_WAITS: usize = 3;
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// Characters: what `text_of` yields at most, and the note that it was cut.
const LONGEST_TEXT: usize = 65 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_told_whether_to_try_again_and_whether_it_may_have_been_done() {
        let step_up = || SessionError::StepUp { required: vec!["a:b".to_owned()] };
        let not_granted = SessionError::Open("not granted".to_owned());
        let denied = SessionError::Refused {
            code: 403,
            reason: Some("denied".to_owned()),
            message: "policy does not permit this".to_owned(),
        };
        let limited = SessionError::Limited { after: Some(Duration::from_secs(90)) };
        let lost = SessionError::Call("broken off".to_owned());
        for (error, cause, verdict, words) in [
            (step_up(), Some(&not_granted), "refused", ["`a:b`", "do not try again"]),
            (step_up(), None, "refused", ["`a:b`", "do not try again"]),
            (denied, None, "refused", ["denied", "will not help"]),
            (limited, None, "refused", ["1m 30s", "Do not try before"]),
            (lost, None, "unknown", ["broken off", "do not simply repeat"]),
        ] {
            let (told, text) = refused(&error, cause);
            let name = match told {
                Verdict::Refused(_) => "refused",
                Verdict::Unknown(_) => "unknown",
                _ => "another",
            };
            assert_eq!(name, verdict, "{text}");
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
    }
}
