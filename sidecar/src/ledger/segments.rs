//! The files of a ledger, each named by the number of its first entry. All but the last are sealed:
//! nothing is added to them.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A file of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The number of its first entry.
    pub(crate) first: u64,
    pub(crate) path: PathBuf,
}

impl Segment {
    pub(crate) fn of(directory: &Path, first: u64) -> Self {
        Self { first, path: directory.join(format!("{first:0DIGITS$}.{EXTENSION}")) }
    }

    fn at(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (digits, extension) = name.split_once('.')?;
        let is_one = extension == EXTENSION
            && digits.len() >= DIGITS
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self { first: digits.parse().ok().filter(|_| is_one)?, path })
    }

    /// The file's name.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Removes it, with what SQLite keeps beside it.
    pub(crate) fn remove(&self) -> io::Result<()> {
        remove(&self.path)
    }
}

/// The segments in a folder, in order.
pub(crate) fn segments(directory: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(directory)? {
        found.extend(Segment::at(file?.path()));
    }
    found.sort_unstable_by_key(|segment| segment.first);
    Ok(found)
}

/// Removes a database with its log and index, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

const EXTENSION: &str = "db";
/// Files in the order of their names are in the order of their entries for a while.
const DIGITS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_known_by_their_names_and_in_order() {
        let home = tempfile::tempdir().unwrap();
        for name in [
            "000000000000.db",
            "000000000000.db-wal",
            "000000012000.db",
            "000000000300.db.new",
            "1000000000000.db",
            "+00000000001.db",
            "7.db",
            "lock",
        ] {
            std::fs::write(home.path().join(name), "").unwrap();
        }
        let found = segments(home.path()).unwrap();
        let firsts: Vec<u64> = found.iter().map(|segment| segment.first).collect();
        assert_eq!(firsts, [0, 12_000, 1_000_000_000_000]);
        for segment in &found {
            assert_eq!(*segment, Segment::of(home.path(), segment.first));
        }
        found[0].remove().unwrap();
        assert!(!home.path().join("000000000000.db-wal").exists());
        assert_eq!(segments(home.path()).unwrap().len(), 2);
    }
}
