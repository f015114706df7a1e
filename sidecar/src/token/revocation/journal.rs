//! Where revocations are kept over a restart.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use super::{Entry, Revoked};

/// What a journal says. A last line that was cut off was never confirmed and is passed over.
pub(super) fn read(path: &Path) -> io::Result<Revoked> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let mut revoked = Revoked::default();
    for (position, line) in text.split_inclusive('\n').enumerate() {
        match serde_json::from_str(line) {
            Ok(entry) => revoked.apply(&entry),
            Err(_) if !line.ends_with('\n') => {
                tracing::warn!("the last line of the revocations was cut off and never in force");
            }
            Err(cause) => return Err(io::Error::other(format!("line {}: {cause}", position + 1))),
        }
    }
    revoked.forget_ended();
    Ok(revoked)
}

/// One entry a line, appended and synced, by one process at a time.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    /// After a failure that left the file in doubt nothing is added to it.
    broken: bool,
    /// Held for as long as the process runs.
    _lock: File,
}

impl Journal {
    /// Takes the journal's lock, reads it and writes it anew without what was lifted or has ended.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Revoked)> {
        let lock = File::create(beside(path, ".lock"))?;
        lock.try_lock().map_err(|_| io::Error::other("another process has taken it up"))?;
        let revoked = read(path)?;
        let fresh = beside(path, ".new");
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&fresh)?;
        let mut journal = Self { file, broken: false, _lock: lock };
        for entry in revoked.entries() {
            journal.write(&entry)?;
        }
        journal.file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok((journal, revoked))
    }

    pub(super) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier failure left it in doubt; restart"));
        }
        let end = self.file.stream_position()?;
        let written = self.write(entry).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // Half a line would spoil the next one.
            let undone = self.file.set_len(end).and_then(|()| self.file.seek(SeekFrom::Start(end)));
            self.broken = undone.is_err();
        }
        written
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

/// The same path with more to its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
