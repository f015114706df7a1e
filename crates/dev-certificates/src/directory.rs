//! The same as files: made once, kept, renewed in time, never half written.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use time::OffsetDateTime;

use crate::{AssertionKey, CertificateError, LocalAuthority, authority};

/// What to do with files that are there and have life left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave them; make only what is missing and renew what is about to expire.
    Keep,
    /// Make everything anew (`--force`).
    Replace,
}

/// What happened to one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was there and stays.
    Kept,
    /// It was not there.
    Created,
    /// It was there and within a week of expiring, or signed by an authority that was.
    Renewed,
    /// It was there and [`Existing::Replace`] was asked for.
    Replaced,
}

/// One certificate or key pair, by the name of its first file, and what happened to it.
pub type Report = Vec<(&'static str, Outcome)>;

/// Why the directory could not be brought in order. Nothing is half written then: each file is
/// put in place whole, and a pair's private half before its public one.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A file could not be read or written.
    #[error("cannot {doing} `{path}`: {cause}")]
    File {
        /// `read`, `write` or `make`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// Half of a pair is missing, so the other half is of no use, and may be somebody's.
    #[error(
        "`{directory}` holds `{present}` without `{missing}`: restore it, or make everything anew with --force"
    )]
    Incomplete {
        /// The directory.
        directory: PathBuf,
        /// The file that is there.
        present: &'static str,
        /// The file that is not.
        missing: &'static str,
    },
    /// A key or certificate could not be made or understood.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Names of the files, in the order in which they are made.
pub mod file {
    /// The authority's certificate: what clients trust.
    pub const AUTHORITY: &str = "ca.pem";
    /// The authority's private key.
    pub const AUTHORITY_KEY: &str = "ca-key.pem";
    /// Cedargate's certificate.
    pub const GATE: &str = "cedargate.pem";
    /// Cedargate's private key.
    pub const GATE_KEY: &str = "cedargate-key.pem";
    /// The customer server's certificate.
    pub const CUSTOMER_SERVER: &str = "customer-server.pem";
    /// The customer server's private key.
    pub const CUSTOMER_SERVER_KEY: &str = "customer-server-key.pem";
    /// The development authorization server's certificate.
    pub const AUTHORIZATION_SERVER: &str = "authorization-server.pem";
    /// The development authorization server's private key.
    pub const AUTHORIZATION_SERVER_KEY: &str = "authorization-server-key.pem";
    /// The public half of Cedargate's assertion key, as a JWK set.
    pub const ASSERTION_JWKS: &str = "assertion-jwks.json";
    /// The private half of Cedargate's assertion key.
    pub const ASSERTION_KEY: &str = "assertion-key.pem";
}

/// Brings `directory` in order: everything in [`mod@file`] is there, whole, and good for a week.
pub fn ensure(directory: &Path, existing: Existing) -> Result<Report, DirectoryError> {
    fs::create_dir_all(directory).map_err(|cause| DirectoryError::File {
        doing: "make",
        path: directory.to_owned(),
        cause,
    })?;
    let place = Place { directory, existing };
    let mut report = Report::new();
    let (authority, authority_state) = place.authority()?;
    report.push((file::AUTHORITY, authority_state.outcome()));
    for (certificate, key) in LEAVES {
        let state = place.leaf(certificate, key, &authority, authority_state)?;
        report.push((certificate, state.outcome()));
    }
    report.push((file::ASSERTION_JWKS, place.assertion_key()?.outcome()));
    Ok(report)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    Missing,
    Expiring,
    Unwanted,
}

impl State {
    fn outcome(self) -> Outcome {
        match self {
            Self::Good => Outcome::Kept,
            Self::Missing => Outcome::Created,
            Self::Expiring => Outcome::Renewed,
            Self::Unwanted => Outcome::Replaced,
        }
    }
}

struct Place<'a> {
    directory: &'a Path,
    existing: Existing,
}

impl Place<'_> {
    fn authority(&self) -> Result<(LocalAuthority, State), DirectoryError> {
        let state = self.certificate(file::AUTHORITY, file::AUTHORITY_KEY)?;
        let authority = match state {
            State::Good => LocalAuthority::from_pem(
                &self.read(file::AUTHORITY)?,
                &self.read(file::AUTHORITY_KEY)?,
            )?,
            State::Missing | State::Expiring | State::Unwanted => {
                if state == State::Missing {
                    self.refuse_orphans()?;
                }
                let made = LocalAuthority::generate()?;
                self.write(file::AUTHORITY_KEY, made.key_pem(), SECRET)?;
                self.write(file::AUTHORITY, made.certificate_pem(), PUBLIC)?;
                made
            }
        };
        Ok((authority, state))
    }

    fn leaf(
        &self,
        certificate: &'static str,
        key: &'static str,
        authority: &LocalAuthority,
        authority_state: State,
    ) -> Result<State, DirectoryError> {
        let state = match self.certificate(certificate, key)? {
            // What a replaced authority signed is trusted by nobody any more.
            State::Good => authority_state,
            own => own,
        };
        if state != State::Good {
            let identity = authority.issue(certificate.trim_end_matches(".pem"))?;
            self.write(key, &identity.key_pem, SECRET)?;
            self.write(certificate, &identity.certificate_pem, PUBLIC)?;
        }
        Ok(state)
    }

    fn assertion_key(&self) -> Result<State, DirectoryError> {
        let state = self.pair(file::ASSERTION_JWKS, file::ASSERTION_KEY)?;
        if state != State::Good {
            let key = AssertionKey::generate()?;
            self.write(file::ASSERTION_KEY, &key.key_pem, SECRET)?;
            self.write(file::ASSERTION_JWKS, &key.jwks_json, PUBLIC)?;
        }
        Ok(state)
    }

    fn certificate(
        &self,
        certificate: &'static str,
        key: &'static str,
    ) -> Result<State, DirectoryError> {
        let soon = OffsetDateTime::now_utc().unix_timestamp() + RENEW_WITHIN_SECONDS;
        match self.pair(certificate, key)? {
            State::Good if authority::expires_at(&self.read(certificate)?)? < soon => {
                Ok(State::Expiring)
            }
            state => Ok(state),
        }
    }

    fn pair(&self, public: &'static str, secret: &'static str) -> Result<State, DirectoryError> {
        match (self.has(public), self.has(secret)) {
            (false, false) => Ok(State::Missing),
            _ if self.existing == Existing::Replace => Ok(State::Unwanted),
            (true, true) => Ok(State::Good),
            (true, false) => Err(self.incomplete(public, secret)),
            (false, true) => Err(self.incomplete(secret, public)),
        }
    }

    /// Without its authority a leaf certificate cannot be judged, so it is not overwritten.
    fn refuse_orphans(&self) -> Result<(), DirectoryError> {
        match LEAVES.iter().find(|(certificate, _)| self.has(certificate)) {
            Some((certificate, _)) => Err(self.incomplete(certificate, file::AUTHORITY)),
            None => Ok(()),
        }
    }

    fn incomplete(&self, present: &'static str, missing: &'static str) -> DirectoryError {
        DirectoryError::Incomplete { directory: self.directory.to_owned(), present, missing }
    }

    fn has(&self, name: &str) -> bool {
        self.directory.join(name).exists()
    }

    fn read(&self, name: &str) -> Result<String, DirectoryError> {
        let path = self.directory.join(name);
        fs::read_to_string(&path).map_err(|cause| DirectoryError::File {
            doing: "read",
            path,
            cause,
        })
    }

    /// Writes beside the target, sets the mode, then renames: never half a file, never a moment
    /// in which a key is readable by others.
    fn write(&self, name: &str, content: &str, mode: u32) -> Result<(), DirectoryError> {
        let path = self.directory.join(name);
        let put = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(self.directory)?;
            file.write_all(content.as_bytes())?;
            file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        put().map_err(|cause| DirectoryError::File { doing: "write", path: path.clone(), cause })
    }
}

const LEAVES: [(&str, &str); 3] = [
    (file::GATE, file::GATE_KEY),
    (file::CUSTOMER_SERVER, file::CUSTOMER_SERVER_KEY),
    (file::AUTHORIZATION_SERVER, file::AUTHORIZATION_SERVER_KEY),
];
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;
/// A week: long enough that a demo started on Friday still runs on Monday.
const RENEW_WITHIN_SECONDS: i64 = 7 * 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(report: &Report) -> Vec<Outcome> {
        report.iter().map(|(_, outcome)| *outcome).collect()
    }

    #[test]
    fn a_second_run_keeps_everything() {
        let home = tempfile::tempdir().unwrap();
        let first = ensure(home.path(), Existing::Keep).unwrap();
        assert!(outcomes(&first).iter().all(|o| *o == Outcome::Created), "{first:?}");
        let before = fs::read(home.path().join(file::GATE)).unwrap();
        let second = ensure(home.path(), Existing::Keep).unwrap();
        assert!(outcomes(&second).iter().all(|o| *o == Outcome::Kept), "{second:?}");
        assert_eq!(before, fs::read(home.path().join(file::GATE)).unwrap());
    }

    #[test]
    fn force_replaces_everything() {
        let home = tempfile::tempdir().unwrap();
        ensure(home.path(), Existing::Keep).unwrap();
        let before = fs::read(home.path().join(file::AUTHORITY)).unwrap();
        let report = ensure(home.path(), Existing::Replace).unwrap();
        assert!(outcomes(&report).iter().all(|o| *o == Outcome::Replaced), "{report:?}");
        assert_ne!(before, fs::read(home.path().join(file::AUTHORITY)).unwrap());
    }

    #[test]
    fn keys_are_readable_by_their_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        ensure(home.path(), Existing::Keep).unwrap();
        for entry in fs::read_dir(home.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            let secret = entry.file_name().to_string_lossy().ends_with("-key.pem");
            assert_eq!(mode, if secret { 0o600 } else { 0o644 }, "{entry:?}");
        }
    }

    #[test]
    fn a_missing_leaf_is_issued_by_the_same_authority() {
        let home = tempfile::tempdir().unwrap();
        ensure(home.path(), Existing::Keep).unwrap();
        let authority = fs::read(home.path().join(file::AUTHORITY)).unwrap();
        fs::remove_file(home.path().join(file::GATE)).unwrap();
        fs::remove_file(home.path().join(file::GATE_KEY)).unwrap();
        let report = ensure(home.path(), Existing::Keep).unwrap();
        assert_eq!(report.iter().filter(|(_, o)| *o == Outcome::Created).count(), 1);
        assert_eq!(authority, fs::read(home.path().join(file::AUTHORITY)).unwrap());
    }

    #[test]
    fn half_a_pair_is_left_alone_and_named() {
        let home = tempfile::tempdir().unwrap();
        ensure(home.path(), Existing::Keep).unwrap();
        fs::remove_file(home.path().join(file::AUTHORITY_KEY)).unwrap();
        let error = ensure(home.path(), Existing::Keep).unwrap_err().to_string();
        assert!(error.contains("ca.pem") && error.contains("ca-key.pem"), "{error}");
        assert!(error.contains("--force"), "{error}");
    }

    #[test]
    fn a_certificate_about_to_expire_is_renewed() {
        let home = tempfile::tempdir().unwrap();
        ensure(home.path(), Existing::Keep).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = OffsetDateTime::now_utc() + time::Duration::days(6);
        let old = params.self_signed(&key).unwrap().pem();
        fs::write(home.path().join(file::GATE), &old).unwrap();
        let report = ensure(home.path(), Existing::Keep).unwrap();
        assert!(report.contains(&(file::GATE, Outcome::Renewed)), "{report:?}");
        assert_ne!(old, fs::read_to_string(home.path().join(file::GATE)).unwrap());
    }
}
