//! What files were in force, as SHA-256 in hexadecimal digits.

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use serde::Serialize;

use super::source::PolicyFile;
use crate::config::PolicyConfig;

/// Of each thing that decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Digests {
    /// Of the names and texts of all policy files, each with its length before it.
    pub(crate) policies: String,
    pub(crate) schema: String,
    /// Of nothing when there is no lock.
    pub(crate) lock: String,
    /// Of nothing when there are no entities.
    pub(crate) entities: String,
}

impl Digests {
    pub(super) fn of(schema: &str, policies: &[PolicyFile], files: &PolicyConfig) -> Self {
        let of_file = |path| digest(&[&std::fs::read(path).unwrap_or_default()]);
        let mut of_policies = Context::new(&SHA256);
        for file in policies {
            for part in
                [file.path.file_name().unwrap_or_default().as_encoded_bytes(), file.text.as_bytes()]
            {
                of_policies.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                of_policies.update(part);
            }
        }
        Self {
            policies: HEXLOWER.encode(of_policies.finish().as_ref()),
            schema: digest(&[schema.as_bytes()]),
            lock: of_file(&files.lock),
            entities: of_file(&files.entities),
        }
    }

    /// Names all of it: the first 16 digits of a digest over the four.
    pub(super) fn version(&self) -> String {
        let all = [&self.policies, &self.schema, &self.lock, &self.entities];
        digest(&all.map(|digest| digest.as_bytes())).chars().take(16).collect()
    }
}

fn digest(parts: &[&[u8]]) -> String {
    let mut digest = Context::new(&SHA256);
    parts.iter().for_each(|part| digest.update(part));
    HEXLOWER.encode(digest.finish().as_ref())
}
