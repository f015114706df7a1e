//! One message a line, and no line longer than is allowed.

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    process::ChildStderr,
    sync::mpsc,
};

/// Why no more lines are read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineFault {
    #[error("it closed its end")]
    Closed,
    #[error("its streams failed: {0}")]
    Broken(#[from] std::io::Error),
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    /// How one begins and ends that is longer than is allowed; the rest of it is thrown away.
    TooLong(&'a [u8], &'a [u8]),
}

/// Gives every line to `take`, and of one longer than `most` both ends, until there are no more. What is unfinished at the end is dropped.
pub(super) async fn read(
    mut input: impl AsyncBufRead + Unpin,
    most: usize,
    mut take: impl FnMut(Line<'_>),
) -> LineFault {
    let mut line = Vec::new();
    // Of a line that is too long, its end so far.
    let mut skipping: Option<Vec<u8>> = None;
    loop {
        let chunk = match input.fill_buf().await {
            Ok([]) => return LineFault::Closed,
            Ok(chunk) => chunk,
            Err(error) => return LineFault::Broken(error),
        };
        let consumed = chunk.len();
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            match &mut skipping {
                Some(end) => keep_the_last(end, text),
                None if line.len() + text.len() <= most => line.extend_from_slice(text),
                None => keep_the_last(skipping.insert(Vec::new()), text),
            }
            if ends {
                match skipping.take() {
                    Some(end) => take(Line::TooLong(&line, &end)),
                    None => take(Line::Whole(&line)),
                }
                line.clear();
            }
        }
        input.consume(consumed);
        line.shrink_to(KEPT_BYTES);
    }
}

fn keep_the_last(end: &mut Vec<u8>, text: &[u8]) {
    end.extend_from_slice(text.get(text.len().saturating_sub(END_BYTES)..).unwrap_or_default());
    end.drain(..end.len().saturating_sub(END_BYTES));
}

/// Writes every message of `queue` as a line, until the queue is closed.
pub(super) async fn write(
    mut output: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Vec<u8>>,
) -> LineFault {
    while let Some(mut line) = queue.recv().await {
        // INVARIANT (one-line): `Json::write` escapes every control character in strings and puts
        // no space between tokens, so a message holds no line break.
        line.push(b'\n');
        if let Err(error) = output.write_all(&line).await {
            return LineFault::Broken(error);
        }
    }
    LineFault::Closed
}

/// Writes what the child says on its standard error to the log, long lines in pieces.
pub(super) async fn log(stderr: ChildStderr) {
    let mut input = BufReader::with_capacity(MAX_LOGGED_BYTES, stderr);
    let mut line = Vec::new();
    while let Ok(chunk @ [_, ..]) = input.fill_buf().await {
        let room = MAX_LOGGED_BYTES - line.len();
        let piece = chunk.get(..room).unwrap_or(chunk);
        let end = piece.iter().position(|&byte| byte == b'\n');
        line.extend_from_slice(end.and_then(|end| piece.get(..end)).unwrap_or(piece));
        let consumed = end.map_or(piece.len(), |end| end + 1);
        input.consume(consumed);
        if end.is_some() || line.len() == MAX_LOGGED_BYTES {
            tracing::info!(target: "cedargate::upstream", "{}", printable(&line));
            line.clear();
        }
    }
    if !line.is_empty() {
        tracing::info!(target: "cedargate::upstream", "{}", printable(&line));
    }
}

/// `bytes` as text that moves no cursor and starts no line; the rest of long ones is left out.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..MAX_LOGGED_BYTES).unwrap_or(bytes));
    let mut shown = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        if c.is_control() { shown.extend(c.escape_debug()) } else { shown.push(c) }
    }
    shown
}

/// As long as a line of a log is useful.
const MAX_LOGGED_BYTES: usize = 4 * 1024;
/// Where an id stands that comes last.
const END_BYTES: usize = 256;
/// One long answer must not hold its memory for ever.
const KEPT_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &[u8], most: usize) -> (Vec<String>, String) {
        let mut seen = Vec::new();
        // A small buffer: lines come in pieces.
        let input = BufReader::with_capacity(3, text);
        let fault = read(input, most, |line| {
            seen.push(match line {
                Line::Whole(text) => String::from_utf8(text.to_vec()).unwrap(),
                Line::TooLong(beginning, end) => {
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    format!("{}...{}", text(beginning), text(end))
                }
            });
        });
        let fault = fault.await.to_string();
        (seen, fault)
    }

    #[tokio::test]
    async fn lines_are_read_whole_and_the_unfinished_one_is_dropped() {
        let (seen, fault) = lines(b"one\n\nthree and more\nunfinished", 20).await;
        assert_eq!(seen, ["one", "", "three and more"]);
        assert_eq!(fault, "it closed its end");
    }

    #[tokio::test]
    async fn of_a_line_that_is_too_long_both_ends_are_told_and_the_next_is_read() {
        let (seen, _) = lines(b"1234\n123456789\n1\n12345\n2\n123456", 4).await;
        assert_eq!(seen, ["1234", "1234...56789", "1", "1234...5", "2"]);
        let long = [b"a".repeat(1000), b"z".repeat(END_BYTES), b"\n".to_vec()].concat();
        let (seen, _) = lines(&long, 9).await;
        assert!(seen[0].ends_with(&format!("...{}", "z".repeat(END_BYTES))), "{seen:?}");
    }

    #[test]
    fn what_is_logged_moves_no_cursor() {
        assert_eq!(printable(b"a\x1b[2Jb\rc\td\xff\r\n"), "a\\u{1b}[2Jb\\rc\\td\u{fffd}");
        assert_eq!(printable(&[b'x'; 9000]).len(), MAX_LOGGED_BYTES);
    }
}
