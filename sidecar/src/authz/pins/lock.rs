//! `tools.lock`: what a server offers, as it was accepted, each tool with its digest.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    super::{
        offer::Offer,
        problems::{PolicyError, Problem},
        source,
    },
    change::{self, Change},
};
use crate::files;

/// The accepted offer of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) server: String,
    offer: Offer,
    digests: BTreeMap<String, String>,
}

/// As it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    version: u32,
    server: String,
    tools: BTreeMap<String, WrittenTool>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    prompts: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    resources: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    resource_templates: BTreeMap<String, Value>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTool {
    digest: String,
    definition: Value,
}

impl Lock {
    /// Accepts all of an offer.
    pub(crate) fn of(server: &str, offer: Offer) -> Self {
        let digests = offer.tools().map(|(name, tool)| (name.to_owned(), digest_of(tool)));
        Self { server: server.to_owned(), digests: digests.collect(), offer }
    }

    /// Reads the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, PolicyError> {
        if !path.exists() {
            let what = "is not there, and the schema lets policies ask for a tool's `pin`";
            return Err(Problem::new(path, what).help(HOW_TO_WRITE_IT).into());
        }
        let text = source::bounded(path, MAX_LOCK_BYTES)?;
        Self::parse(&text).map_err(|what| Problem::new(path, what).help(HOW_TO_WRITE_IT).into())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let written: Written = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if written.version != VERSION {
            return Err(format!("is of version {}, and this reads {VERSION}", written.version));
        }
        let (mut tools, mut digests) = (BTreeMap::new(), BTreeMap::new());
        for (name, WrittenTool { digest, definition }) in written.tools {
            if digest_of(&definition) != digest {
                return Err(format!(
                    "the digest of `{name}` is not that of its definition: one of them was edited"
                ));
            }
            if definition.get("name").and_then(Value::as_str) != Some(&name) {
                return Err(format!("the definition of `{name}` has another name"));
            }
            digests.insert(name.clone(), digest);
            tools.insert(name, definition);
        }
        let offer = Offer {
            tools,
            prompts: written.prompts,
            resources: written.resources,
            resource_templates: written.resource_templates,
        };
        Ok(Self { server: written.server, offer, digests })
    }

    /// Writes it to `path`, all or nothing.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        files::replace(path, &self.to_text()?)
    }

    /// As it stands in the file.
    pub(crate) fn to_text(&self) -> io::Result<String> {
        let tool = |(name, digest, definition): (&str, &str, &Value)| {
            let (digest, definition) = (digest.to_owned(), definition.clone());
            (name.to_owned(), WrittenTool { digest, definition })
        };
        let written = Written {
            version: VERSION,
            server: self.server.clone(),
            tools: self.tools().map(tool).collect(),
            prompts: self.offer.prompts.clone(),
            resources: self.offer.resources.clone(),
            resource_templates: self.offer.resource_templates.clone(),
        };
        let text = serde_json::to_string_pretty(&written).map_err(io::Error::other)?;
        Ok(text + "\n")
    }

    pub(crate) fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Name, digest and definition of each tool.
    pub(crate) fn tools(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.offer.tools().map(|(name, definition)| {
            let digest = self.digests.get(name).map_or("", String::as_str);
            (name, digest, definition)
        })
    }

    /// Every tool that is not as it was accepted, with what has changed.
    pub(crate) fn differences(&self, offer: &Offer) -> BTreeMap<String, BTreeSet<Change>> {
        let mut differences = BTreeMap::new();
        for (name, now) in offer.tools() {
            let changes = match self.offer.tool(name) {
                Some(before) if self.digests.get(name).is_some_and(|d| *d == digest_of(now)) => {
                    debug_assert_eq!(digest_of(before), digest_of(now));
                    continue;
                }
                Some(before) => change::between(before, now),
                None => self.change_of_new(now, offer),
            };
            differences.insert(name.to_owned(), changes);
        }
        let gone = self.offer.tools().filter(|(name, _)| offer.tool(name).is_none());
        differences.extend(gone.map(|(name, _)| (name.to_owned(), BTreeSet::from([Change::Gone]))));
        differences
    }

    /// A tool that is not recorded is new, unless it is one that is gone under another name.
    fn change_of_new(&self, now: &Value, offer: &Offer) -> BTreeSet<Change> {
        let gone = self.offer.tools().filter(|(name, _)| offer.tool(name).is_none());
        match gone.into_iter().find(|(_, before)| change::is_renamed(before, now)) {
            Some((_, before)) => change::between(before, now),
            None => BTreeSet::from([Change::New]),
        }
    }

    /// Accepts one tool as it is now, or that it is gone.
    pub(crate) fn accept(&mut self, name: &str, definition: Option<&Value>) {
        match definition {
            Some(definition) => {
                self.digests.insert(name.to_owned(), digest_of(definition));
                self.offer.tools.insert(name.to_owned(), definition.clone());
            }
            None => {
                self.digests.remove(name);
                self.offer.tools.remove(name);
            }
        }
    }

    /// Accepts everything but the tools as it is now.
    pub(crate) fn accept_others(&mut self, offer: &Offer) {
        let tools = std::mem::take(&mut self.offer.tools);
        self.offer = Offer { tools, ..offer.clone() };
    }
}

/// The digest of a definition: of everything but `_meta`, in the canonical form of RFC 8785.
pub(crate) fn digest_of(definition: &Value) -> String {
    let mut definition = definition.clone();
    if let Some(members) = definition.as_object_mut() {
        members.remove("_meta");
    }
    // What was read as JSON can be written as JSON; if not, it is like nothing else.
    let canonical = serde_json_canonicalizer::to_vec(&definition).unwrap_or_default();
    format!("sha256:{}", HEXLOWER.encode(digest(&SHA256, &canonical).as_ref()))
}

const HOW_TO_WRITE_IT: &str =
    "`cedargate tools accept --all` writes it anew from what the server offers";
const VERSION: u32 = 1;
/// Hundreds of tools with long descriptions.
const MAX_LOCK_BYTES: u64 = 16 * 1024 * 1024;
