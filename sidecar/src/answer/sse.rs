//! Server-sent events, read and written again one by one as they come (WHATWG HTML, section 9.2).

/// One event, or a comment that keeps a stream alive.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: Option<String>,
    pub(crate) id: Option<String>,
    /// How long a client waits before it takes a stream up again, in milliseconds.
    pub(crate) retry: Option<u64>,
    pub(crate) data: Option<String>,
    comment: bool,
}

/// Collects lines into events. Lines end with CR, LF or CRLF; what is incomplete at the end is
/// dropped, as the standard says.
#[derive(Debug)]
pub(crate) struct EventReader {
    line: Vec<u8>,
    after_cr: bool,
    event: Event,
    size: usize,
    max_event_bytes: usize,
    at_start: bool,
}

/// Why a text is no event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoEvents {
    #[error("an event is too large")]
    TooLarge,
    #[error("a line is not UTF-8")]
    NotUtf8,
}

impl Event {
    /// One that holds this message.
    pub(crate) fn message(data: Option<String>) -> Self {
        Self { name: Some("message".to_owned()), data, ..Self::default() }
    }

    /// Appends this event to `out` in the form that every reader takes the same.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if self.comment {
            out.extend_from_slice(COMMENT);
        }
        let before = out.len();
        if let Some(name) = &self.name {
            line("event", name, out);
        }
        if let Some(id) = &self.id {
            line("id", id, out);
        }
        if let Some(retry) = self.retry {
            line("retry", &retry.to_string(), out);
        }
        if let Some(data) = &self.data {
            data.split('\n').for_each(|part| line("data", part, out));
        }
        if out.len() > before {
            out.push(b'\n');
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn line(field: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(field.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

impl EventReader {
    pub(crate) fn new(max_event_bytes: usize) -> Self {
        Self {
            line: Vec::new(),
            after_cr: false,
            event: Event::default(),
            size: 0,
            max_event_bytes,
            at_start: true,
        }
    }

    /// The events that `chunk` completes.
    pub(crate) fn read(&mut self, chunk: &[u8]) -> Result<Vec<Event>, NoEvents> {
        let mut events = Vec::new();
        let mut rest = chunk;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let end = rest.iter().position(|&byte| byte == b'\r' || byte == b'\n');
            let (text, after) = rest.split_at(end.unwrap_or(rest.len()));
            self.size += text.len();
            if self.size > self.max_event_bytes {
                return Err(NoEvents::TooLarge);
            }
            self.line.extend_from_slice(text);
            let Some((ending, after)) = after.split_first() else { break };
            self.after_cr = *ending == b'\r';
            rest = after;
            events.extend(self.end_of_line()?);
        }
        Ok(events)
    }

    /// Takes the line in; at an empty one, yields the event.
    fn end_of_line(&mut self) -> Result<Option<Event>, NoEvents> {
        let line = std::mem::take(&mut self.line);
        let text = std::str::from_utf8(&line).map_err(|_| NoEvents::NotUtf8)?;
        let text = match std::mem::take(&mut self.at_start) {
            true => text.strip_prefix('\u{feff}').unwrap_or(text),
            false => text,
        };
        if text.is_empty() {
            self.size = 0;
            let event = std::mem::take(&mut self.event);
            return Ok((!event.is_empty()).then_some(event));
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.event.comment = true,
            "event" => self.event.name = Some(value.to_owned()),
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => {
                self.event.retry = value.parse().ok();
            }
            "data" => match &mut self.event.data {
                None => self.event.data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            _ => {}
        }
        Ok(None)
    }
}

/// What keeps a stream alive and says nothing.
pub(crate) const COMMENT: &[u8] = b":\n\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn through(chunks: &[&[u8]]) -> Result<String, NoEvents> {
        let mut reader = EventReader::new(200);
        let mut out = Vec::new();
        for chunk in chunks {
            reader.read(chunk)?.iter().for_each(|event| event.write(&mut out));
        }
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_line_ending_and_every_cut_reads_the_same() {
        let wanted = "event: message\nid: 9\nretry: 5\ndata: {\"id\":7,\ndata: \"result\":1}\n\n";
        for ending in ["\n", "\r", "\r\n"] {
            let lines = [
                "id: 9",
                "event: message",
                "retry:5",
                "data: {\"id\":7,",
                "data:\"result\":1}",
                "",
                "",
            ];
            let text = lines.join(ending);
            for cut in 0..text.len() {
                let (head, tail) = text.as_bytes().split_at(cut);
                assert_eq!(through(&[head, tail]).unwrap(), wanted, "{ending:?} at {cut}");
            }
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(through(&bytes).unwrap(), wanted, "{ending:?} byte by byte");
        }
    }

    #[test]
    fn comments_keep_the_stream_alive_and_unfinished_events_are_dropped() {
        assert_eq!(through(&[b": ping\n\n", b"data: {}\n"]).unwrap(), ":\n\n");
        assert_eq!(through(&[b"\xEF\xBB\xBFdata: x\n\n"]).unwrap(), "data: x\n\n");
        assert_eq!(through(&[b"id: 1\ndata:\n\n"]).unwrap(), "id: 1\ndata: \n\n");
        assert_eq!(through(&[b"\n\n\r\n\r\r"]).unwrap(), "");
    }

    #[test]
    fn fields_that_mean_nothing_are_left_out() {
        for field in
            ["retry: 5s", "retry: -1", "id: a\0b", "colour: red", "retry: 99999999999999999999"]
        {
            let text = format!("{field}\ndata: x\n\n");
            assert_eq!(through(&[text.as_bytes()]).unwrap(), "data: x\n\n", "{field}");
        }
    }

    #[test]
    fn an_endless_event_and_a_line_of_noise_are_no_events() {
        assert_eq!(through(&[b"data: ", &[b'x'; 300]]), Err(NoEvents::TooLarge));
        assert_eq!(through(&[b"data: x\n".repeat(100).as_slice()]), Err(NoEvents::TooLarge));
        assert_eq!(through(&[b"data: \xFF\n\n"]), Err(NoEvents::NotUtf8));
        assert!(through(&[b"data: x\n\n".repeat(100).as_slice()]).is_ok(), "each is small");
    }
}
