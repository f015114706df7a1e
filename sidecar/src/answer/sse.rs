//! Server-sent events, read and written again one by one as they come (WHATWG HTML, section 9.2).
//!
//! Fields `id` and `retry` are left out: there is no resumption through the gate.

use axum::Error;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{Revision, list};
use crate::message::RequestId;

/// The events of `chunks`, each held against what was asked. A chunk that completes no event
/// yields nothing; what is incomplete at the end is dropped, as the standard says.
pub(super) fn relayed(
    chunks: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
    revision: Revision,
    max_event_bytes: usize,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
    let mut reader = EventReader::new(max_event_bytes);
    let mut failed = false;
    chunks
        .map(move |chunk| {
            let mut out = Vec::new();
            for event in reader.read(&chunk?)? {
                event.write(&revision, &mut out)?;
            }
            Ok(Bytes::from(out))
        })
        .take_while(move |chunk| {
            let go_on = !failed;
            failed |= chunk.is_err();
            std::future::ready(go_on)
        })
        .filter(|chunk| std::future::ready(!matches!(chunk, Ok(bytes) if bytes.is_empty())))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    name: Option<String>,
    data: String,
    has_data: bool,
    comment: bool,
}

impl Event {
    fn write(&self, revision: &Revision, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.comment {
            out.extend_from_slice(b":\n\n");
        }
        // An empty event primes a stream; it holds no message.
        if !self.has_data || self.data.is_empty() {
            if self.has_data {
                out.extend_from_slice(b"data: \n\n");
            }
            return Ok(());
        }
        if !self.is_for(revision.id.as_ref())? {
            return Ok(());
        }
        let narrowed = match &revision.listing {
            Some(listing) => {
                let bytes = list::narrowed(self.data.as_bytes(), listing)
                    .map_err(|rejection| Error::new(NotRelayed(rejection.reason())))?;
                Some(String::from_utf8(bytes).map_err(Error::new)?)
            }
            None => None,
        };
        if let Some(name) = &self.name {
            out.extend_from_slice(format!("event: {name}\n").as_bytes());
        }
        for line in narrowed.as_deref().unwrap_or(&self.data).split('\n') {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        }
        out.push(b'\n');
        Ok(())
    }
}

/// The outer members of a message; a member that stands twice is an error.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<IgnoredAny>,
    result: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

impl Event {
    /// Whether the message in this event is one for the caller: the answer to its request, or a
    /// notification. A request of the server's is left out, since no policy speaks of those yet;
    /// an answer to another request ends the stream.
    fn is_for(&self, asked: Option<&RequestId>) -> Result<bool, Error> {
        let outline: Outline<'_> = serde_json::from_str(&self.data).map_err(Error::new)?;
        let answers = outline.result.is_some() || outline.error.is_some();
        match (outline.method.is_some(), answers, outline.id) {
            (true, false, None) => Ok(true),
            (true, false, Some(_)) => {
                tracing::warn!("a request of the upstream's is not relayed");
                Ok(false)
            }
            (false, true, Some(id)) if asked.is_some_and(|asked| asked.is(id.get())) => Ok(true),
            _ => Err(Error::new(NotRelayed("it holds a message that answers nothing asked here"))),
        }
    }
}

/// Collects lines into events. Lines end with CR, LF or CRLF.
struct EventReader {
    line: Vec<u8>,
    after_cr: bool,
    event: Event,
    size: usize,
    max_event_bytes: usize,
    at_start: bool,
}

/// Why a stream is cut off.
#[derive(Debug, thiserror::Error)]
#[error("the upstream's event stream is not relayed: {0}")]
struct NotRelayed(&'static str);

impl EventReader {
    fn new(max_event_bytes: usize) -> Self {
        Self {
            line: Vec::new(),
            after_cr: false,
            event: Event::default(),
            size: 0,
            max_event_bytes,
            at_start: true,
        }
    }

    fn read(&mut self, chunk: &[u8]) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        for &byte in chunk {
            let completes_crlf = self.after_cr && byte == b'\n';
            self.after_cr = byte == b'\r';
            if completes_crlf {
                continue;
            }
            if byte != b'\r' && byte != b'\n' {
                self.size += 1;
                if self.size > self.max_event_bytes {
                    return Err(Error::new(NotRelayed("an event is too large")));
                }
                self.line.push(byte);
                continue;
            }
            if let Some(event) = self.end_of_line()? {
                events.push(event);
            }
        }
        Ok(events)
    }

    /// Takes the line in; at an empty one, yields the event.
    fn end_of_line(&mut self) -> Result<Option<Event>, Error> {
        let line = std::mem::take(&mut self.line);
        let text = std::str::from_utf8(&line).map_err(Error::new)?;
        let text = match std::mem::take(&mut self.at_start) {
            true => text.trim_start_matches('\u{feff}'),
            false => text,
        };
        if text.is_empty() {
            self.size = 0;
            let event = std::mem::take(&mut self.event);
            return Ok((event.has_data || event.comment).then_some(event));
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.event.comment = true,
            "event" => self.event.name = Some(value.to_owned()),
            "data" => {
                if self.event.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.event.has_data = true;
            }
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn through(chunks: Vec<&'static [u8]>) -> Result<String, String> {
        let chunks = futures::stream::iter(
            chunks.into_iter().map(|chunk| Ok::<_, Error>(Bytes::from_static(chunk))),
        );
        let revision = Revision {
            id: Some(RequestId::for_test("7")),
            listing: None,
            token_ends: tokio::time::Instant::now() + std::time::Duration::from_secs(60),
        };
        let mut out = String::new();
        let mut relayed = Box::pin(relayed(chunks, revision, 200));
        while let Some(chunk) = relayed.next().await {
            out.push_str(std::str::from_utf8(&chunk.map_err(|e| e.to_string())?).unwrap());
        }
        Ok(out)
    }

    #[tokio::test]
    async fn every_line_ending_and_every_cut_reads_the_same() {
        let wanted = "event: message\ndata: {\"id\":7,\ndata: \"result\":1}\n\n";
        for ending in ["\n", "\r", "\r\n"] {
            let lines =
                ["id: 9", "event: message", "data: {\"id\":7,", "data:\"result\":1}", "", ""];
            let text: &'static [u8] = lines.join(ending).leak().as_bytes();
            for cut in 0..text.len() {
                let (head, tail) = text.split_at(cut);
                assert_eq!(through(vec![head, tail]).await.unwrap(), wanted, "{ending:?} at {cut}");
            }
        }
    }

    #[tokio::test]
    async fn comments_keep_the_stream_alive_and_unfinished_events_are_dropped() {
        assert_eq!(through(vec![b": ping\n\n", b"data: {}\n"]).await.unwrap(), ":\n\n");
        let marked = through(vec![b"\xEF\xBB\xBFdata: {\"method\":\"m\"}\n\n"]).await;
        assert_eq!(marked.unwrap(), "data: {\"method\":\"m\"}\n\n");
        assert_eq!(through(vec![b"id: 1\ndata:\n\n"]).await.unwrap(), "data: \n\n");
    }

    #[tokio::test]
    async fn only_what_was_asked_for_and_notifications_pass() {
        for (data, passes) in [
            (r#"{"id":7,"result":{}}"#, true),
            (r#"{"id":7,"error":{}}"#, true),
            (r#"{"method":"notifications/progress"}"#, true),
            (r#"{"id":1,"method":"elicitation/create"}"#, false),
            (r#"{"id":7,"method":"sampling/createMessage"}"#, false),
        ] {
            let event: &'static [u8] = format!("data: {data}\n\n").leak().as_bytes();
            let relayed = through(vec![event]).await.unwrap();
            assert_eq!(relayed.is_empty(), !passes, "{data}");
        }
        for data in [
            r#"{"id":8,"result":{}}"#,
            r#"{"id":"7","result":{}}"#,
            r#"{"result":{}}"#,
            r#"{"id":7,"id":8,"result":{}}"#,
            r#"{"id":7,"method":"m","result":{}}"#,
            r#"{"id":7}"#,
            "[]",
            "hello",
        ] {
            let event: &'static [u8] = format!("data: {data}\n\n").leak().as_bytes();
            assert!(through(vec![event]).await.is_err(), "{data}");
        }
    }

    #[tokio::test]
    async fn an_endless_event_cuts_the_stream_off() {
        let refused = through(vec![b"data: ", &[b'x'; 300]]).await.unwrap_err();
        assert!(refused.contains("too large"), "{refused}");
    }
}
