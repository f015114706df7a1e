//! A conversation as JSON lines: every event with its time, on disk before the next one happens.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rustix::fs::OFlags;

use crate::agent::event::Event;

/// A file that takes events. It holds what customers' data the tools return, so nobody else may
/// read it.
#[derive(Debug)]
pub struct Transcript {
    path: PathBuf,
    file: File,
}

/// The transcript cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the transcript `{}`: {cause}", path.display())]
pub struct Unwritable {
    path: PathBuf,
    cause: io::Error,
}

impl Transcript {
    /// Adds to the file at `path`, which is made with mode 0600 when it is not there.
    pub fn open(path: &Path) -> Result<Self, Unwritable> {
        let unwritable = |cause| Unwritable { path: path.to_owned(), cause };
        let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600).custom_flags(no_link);
        let file = options.open(path).map_err(unwritable)?;
        if file.metadata().map_err(unwritable)?.mode() & 0o077 != 0 {
            return Err(unwritable(io::Error::other("others can read it; `chmod 600` it")));
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// Writes down what happened now. Pieces are left out: what was said comes whole.
    pub fn write(&mut self, event: &Event) -> Result<(), Unwritable> {
        if matches!(event, Event::Piece { .. }) {
            return Ok(());
        }
        // One write, so that two conversations in one file do not mix within a line.
        let line = format!("{}\n", event.at(&Timestamp::now().to_string()));
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|cause| Unwritable { path: self.path.clone(), cause })
    }
}
