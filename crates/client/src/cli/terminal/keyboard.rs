//! Standard input, a line at a time. Nothing is read ahead of being asked for, and nothing goes on
//! reading after whoever asked is gone: what is typed later belongs to whoever asks then.

use std::io;

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, read},
    termios::{OptionalActions, Termios, tcgetattr, tcsetattr},
};
use tokio::sync::oneshot;

/// Lines that are typed, or come through a pipe.
#[derive(Debug, Default)]
pub(in crate::cli) struct Keyboard {
    /// What came after the last line; of a terminal, nothing.
    left: Vec<u8>,
}

impl Keyboard {
    /// The next line without the space around it; `None` at the end.
    pub(in crate::cli) async fn line(&mut self) -> io::Result<Option<String>> {
        let mut ended = false;
        loop {
            let end = self.left.iter().position(|&byte| byte == b'\n').map(|end| end + 1);
            let end = end.or_else(|| (ended && !self.left.is_empty()).then_some(self.left.len()));
            if let Some(end) = end {
                let line: Vec<u8> = self.left.drain(..end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim().to_owned()));
            }
            if ended {
                return Ok(None);
            }
            if self.left.len() > LONGEST_LINE {
                return Err(io::Error::other("a line is longer than 1 MiB"));
            }
            ended = self.more().await? == 0;
        }
    }

    async fn more(&mut self) -> io::Result<usize> {
        let mut some = [0; 4096];
        loop {
            readable().await?;
            match read(io::stdin(), &mut some) {
                Ok(count) => {
                    self.left.extend_from_slice(some.get(..count).unwrap_or_default());
                    return Ok(count);
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Until there is something to read. Of a terminal that is a whole line, which one `read` takes.
///
/// A thread only looks: whoever was gone before there was anything has taken nothing away.
async fn readable() -> io::Result<()> {
    let (gone, _still_there) = io::pipe()?;
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("looks at the keyboard".to_owned()).spawn(move || {
        let input = io::stdin();
        let mut both = [PollFd::new(&input, PollFlags::IN), PollFd::new(&gone, PollFlags::IN)];
        let looked = loop {
            match poll(&mut both, None) {
                Err(Errno::INTR) => {}
                looked => break looked,
            }
        };
        // Nobody may be there to be told.
        let _ = tell.send(looked);
    })?;
    told.await.map_err(io::Error::other)?.map(drop).map_err(io::Error::from)
}

/// How the terminal was set when the program started; so it is set again in the end.
#[derive(Debug)]
pub(in crate::cli) struct Modes(Option<Termios>);

impl Modes {
    pub(in crate::cli) fn now() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }
}

impl Drop for Modes {
    fn drop(&mut self) {
        if let Some(modes) = &self.0 {
            // Whoever closed the terminal needs no modes.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
        }
    }
}

const LONGEST_LINE: usize = 1024 * 1024;
