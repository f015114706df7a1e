//! Server-sent events, read and written again one by one as they come (WHATWG HTML, section 9.2).
//!
//! Fields `id` and `retry` are left out: there is no resumption through the gate.

use axum::Error;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};

use super::list;
use crate::authz::Listing;

/// The events of `chunks`, each narrowed when there is a list to narrow. A chunk that completes no
/// event yields nothing; what is incomplete at the end is dropped, as the standard says.
pub(super) fn relayed(
    chunks: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
    listing: Option<Listing>,
    max_event_bytes: usize,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
    let mut reader = EventReader::new(max_event_bytes);
    let mut failed = false;
    chunks
        .map(move |chunk| {
            let mut out = Vec::new();
            for event in reader.read(&chunk?)? {
                event.write(listing.as_ref(), &mut out)?;
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
    fn write(&self, listing: Option<&Listing>, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.comment {
            out.extend_from_slice(b":\n\n");
        }
        if !self.has_data {
            return Ok(());
        }
        let narrowed = match listing {
            // An empty event primes a stream; it holds no list.
            Some(listing) if !self.data.is_empty() => {
                let bytes = list::narrowed(self.data.as_bytes(), listing)
                    .map_err(|rejection| Error::new(NotRelayed(rejection.reason())))?;
                Some(String::from_utf8(bytes).map_err(Error::new)?)
            }
            _ => None,
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
        let mut out = String::new();
        let mut relayed = Box::pin(relayed(chunks, None, 100));
        while let Some(chunk) = relayed.next().await {
            out.push_str(std::str::from_utf8(&chunk.map_err(|e| e.to_string())?).unwrap());
        }
        Ok(out)
    }

    #[tokio::test]
    async fn every_line_ending_and_every_cut_reads_the_same() {
        let wanted = "event: message\ndata: {\"a\":\ndata: 1}\n\n";
        for ending in ["\n", "\r", "\r\n"] {
            let text = ["id: 7", "event: message", "data: {\"a\":", "data:1}", "", ""].join(ending);
            let text: &'static [u8] = text.leak().as_bytes();
            for cut in 0..text.len() {
                let (head, tail) = text.split_at(cut);
                assert_eq!(through(vec![head, tail]).await.unwrap(), wanted, "{ending:?} at {cut}");
            }
        }
    }

    #[tokio::test]
    async fn comments_keep_the_stream_alive_and_unfinished_events_are_dropped() {
        assert_eq!(through(vec![b": ping\n\n", b"data: x\n"]).await.unwrap(), ":\n\n");
        assert_eq!(through(vec![b"\xEF\xBB\xBFdata: x\n\n"]).await.unwrap(), "data: x\n\n");
        assert_eq!(through(vec![b"id: 1\ndata:\n\n"]).await.unwrap(), "data: \n\n");
    }

    #[tokio::test]
    async fn an_endless_event_cuts_the_stream_off() {
        let refused = through(vec![b"data: ", &[b'x'; 200]]).await.unwrap_err();
        assert!(refused.contains("too large"), "{refused}");
    }
}
