//! A stream of events on its way to the caller: each event revised as it comes, and an end that
//! says why when it is not the upstream's own.

use std::{pin::Pin, time::Duration};

use axum::Error;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use super::{
    revision::{IsAnswer, Revised, Revision},
    sse::{COMMENT, Event, EventReader},
};
use crate::{config::Limits, message::Form, rejection::Rejection};

/// What is known of a stream while it is relayed.
pub(super) struct EventStream {
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>,
    reader: EventReader,
    revision: Revision,
    idle: Idle,
    /// No stream goes on for longer.
    ends: Instant,
    /// The answer has been relayed.
    answered: bool,
    /// Events bear ids, by which the caller can take the stream up again.
    resumable: bool,
    ended: bool,
}

/// What becomes of a stream on which nothing is said.
#[derive(Debug, Clone, Copy)]
enum Idle {
    /// Somebody waits for an answer: it has to come.
    Ends(Duration),
    /// Somebody listens for whatever may come.
    IsKeptAlive(Duration),
}

impl EventStream {
    pub(super) fn new(
        chunks: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
        revision: Revision,
        limits: &Limits,
    ) -> Self {
        let idle = match revision.method.listens() {
            true => Idle::IsKeptAlive(KEEP_ALIVE.min(limits.stream_idle_timeout)),
            false => Idle::Ends(limits.stream_idle_timeout),
        };
        Self {
            chunks: Box::pin(chunks),
            reader: EventReader::new(limits.max_answer_bytes),
            idle,
            ends: revision.token_ends.min(Instant::now() + limits.stream_timeout),
            revision,
            answered: false,
            resumable: false,
            ended: false,
        }
    }

    /// The events as they are to be sent.
    pub(super) fn relayed(self) -> impl Stream<Item = Bytes> + Send + 'static {
        futures::stream::unfold(self, async |mut stream| {
            let out = stream.next().await?;
            Some((Bytes::from(out), stream))
        })
    }

    /// The next bytes, never empty; nothing at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        while out.is_empty() && !self.ended {
            if let Err(rejection) = self.advance(&mut out).await {
                self.ended = true;
                self.say_why(&rejection, &mut out);
            }
        }
        (!out.is_empty()).then_some(out)
    }

    /// Takes in what comes next, or finds that nothing more does.
    async fn advance(&mut self, out: &mut Vec<u8>) -> Result<(), Rejection> {
        let now = Instant::now();
        // A stream that always has something would be polled before any timeout is.
        if now >= self.ends {
            return Err(self.too_long());
        }
        let (Idle::Ends(idle) | Idle::IsKeptAlive(idle)) = self.idle;
        let listens = self.revision.method.listens();
        let next = timeout_at(self.ends.min(now + idle), self.chunks.next());
        let next = tokio::select! {
            next = next => Some(next),
            _ = self.revision.closing.wait_for(|closing| *closing), if listens => None,
        };
        let Some(next) = next else {
            self.end_in_order(out);
            return Ok(());
        };
        self.revision.require_not_revoked()?;
        match next {
            Ok(Some(Ok(chunk))) => self.take(&chunk, out),
            Ok(None) if self.answered || self.resumable || self.is_open_ended() => {
                self.ended = true;
                Ok(())
            }
            Ok(None) => Err(Rejection::UpstreamBrokeOff),
            Ok(Some(Err(cause))) => {
                tracing::warn!(%cause, "the upstream's stream broke off");
                Err(Rejection::UpstreamBrokeOff)
            }
            Err(_) if Instant::now() >= self.ends => Err(self.too_long()),
            Err(_) => match self.idle {
                Idle::Ends(_) => Err(Rejection::UpstreamTooSlow),
                Idle::IsKeptAlive(_) => {
                    out.extend_from_slice(COMMENT);
                    Ok(())
                }
            },
        }
    }

    fn too_long(&self) -> Rejection {
        if self.revision.token_ends <= self.ends {
            Rejection::Expired
        } else {
            Rejection::UpstreamTooSlow
        }
    }

    fn take(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Rejection> {
        let events = self.reader.read(chunk).map_err(|cause| {
            tracing::warn!(%cause, "the upstream's stream cannot be read");
            Rejection::UpstreamAnswer
        })?;
        for event in events {
            self.pass(event, out)?;
        }
        Ok(())
    }

    fn pass(&mut self, mut event: Event, out: &mut Vec<u8>) -> Result<(), Rejection> {
        if self.revision.era.is_modern() {
            // There is no resumption any more (MCP 2026-07-28, streamable HTTP).
            (event.id, event.retry) = (None, None);
        } else if let Some(id) = &mut event.id {
            self.resumable = true;
            *id = self.revision.sealed_event(id)?;
        }
        // An event without data primes a stream; it holds no message.
        if let Some(data) = event.data.as_ref().filter(|data| !data.is_empty()) {
            let (revised, IsAnswer(answers)) = self.revision.revise(data.as_bytes())?;
            self.answered |= answers;
            match revised {
                Revised::AsItIs => {}
                Revised::Changed(bytes) => event.data = String::from_utf8(bytes).ok(),
                Revised::LeftOut => event.data = event.id.is_some().then(String::new),
            }
        }
        event.write(out);
        Ok(())
    }

    /// The end of listening, which is an answer where a request began it (MCP 2026-07-28,
    /// `subscriptions/listen`).
    fn end_in_order(&mut self, out: &mut Vec<u8>) {
        self.ended = true;
        if self.revision.method.form == Form::Request
            && let Some(asked) = &self.revision.answers
        {
            let id = asked.id.to_text();
            let answer = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}}}"#
            );
            Event::message(Some(answer)).write(out);
        }
    }

    /// Whoever listens waits for nothing in particular.
    fn is_open_ended(&self) -> bool {
        self.revision.answers.is_none()
    }

    /// The end of a stream that will not be answered any more: an error in the answer's place,
    /// unless the answer has been relayed or can still be fetched.
    fn say_why(&self, rejection: &Rejection, out: &mut Vec<u8>) {
        let reason = rejection.reason();
        tracing::warn!(
            target: "cedargate::outcome",
            { request.id = %self.revision.request_id, reason, answered = self.answered },
            "a stream was ended"
        );
        let waiting = self.revision.answers.as_ref().filter(|_| !self.answered);
        // What the upstream says may not be relayed will not be when it is said again.
        let final_word =
            matches!(rejection, Rejection::UpstreamAnswer | Rejection::QuestionDenied { .. });
        if let Some(asked) = waiting.filter(|_| !self.resumable || final_word) {
            let text = rejection.in_place_of_an_answer(&asked.id);
            let data = String::from_utf8(text).ok();
            Event::message(data).write(out);
        }
    }
}

/// More often than proxies give up on a silent connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
