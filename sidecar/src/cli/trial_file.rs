//! Trials as people write them, in YAML: who asks, what, and what is expected.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    authz::tryout::Trial,
    token::Supposed,
    watch::{Detector, Severity},
};

/// One test of policies.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PolicyTest {
    /// What it shows.
    pub(super) name: String,
    #[serde(default)]
    who: Who,
    /// The tool that is called.
    tool: Option<String>,
    /// The prompt that is asked for.
    prompt: Option<String>,
    /// The resource that is read.
    resource: Option<String>,
    /// Any other method, or another one on the same target.
    method: Option<String>,
    arguments: Option<Map<String, Value>>,
    #[serde(default)]
    circumstances: Given,
    /// `permit`, or the reason code of the refusal.
    pub(super) expect: String,
    /// The policies that decide, in any order.
    pub(super) by: Option<BTreeSet<String>>,
    /// All scopes that the call needs.
    pub(super) required_scopes: Option<BTreeSet<String>>,
    /// The policies in the shadow that would have decided.
    pub(super) shadow: Option<BTreeSet<String>>,
}

/// A caller.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Who {
    sub: Option<String>,
    iss: Option<String>,
    client: Option<String>,
    pub(super) scopes: BTreeSet<String>,
    groups: BTreeSet<String>,
    roles: BTreeSet<String>,
    tenant: Option<String>,
    zone: Option<String>,
    tags: BTreeMap<String, String>,
}

/// What else there is to say of a request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Given {
    ip: Option<IpAddr>,
    provider: Option<String>,
    model: Option<String>,
    at: Option<Timestamp>,
    calls: i64,
    denials: i64,
    tools: i64,
    /// What the watch has open about the caller, each with its severity.
    risk: BTreeMap<Detector, Severity>,
    /// Whether the tool's definition was seen changed.
    changed: bool,
}

impl Who {
    pub(super) fn supposed(&self) -> Supposed {
        let or = |given: &Option<String>, usual: &str| given.clone().unwrap_or(usual.to_owned());
        Supposed {
            iss: or(&self.iss, "https://issuer.example"),
            sub: or(&self.sub, "somebody"),
            client_id: or(&self.client, "some-client"),
            scopes: self.scopes.clone(),
            groups: self.groups.clone(),
            roles: self.roles.clone(),
            tenant: self.tenant.clone(),
            zone: self.zone.clone(),
            tags: self.tags.clone(),
        }
    }
}

impl PolicyTest {
    pub(super) fn trial(&self) -> Result<Trial, String> {
        let targets = [
            ("tools/call", &self.tool),
            ("prompts/get", &self.prompt),
            ("resources/read", &self.resource),
        ];
        let mut named = targets.into_iter().filter_map(|(method, of)| Some((method, of.clone()?)));
        let (usual, target) = match (named.next(), named.next()) {
            (Some(_), Some(_)) => {
                return Err("names several of `tool`, `prompt` and `resource`".to_owned());
            }
            (Some((method, target)), None) => (Some(method), Some(target)),
            (None, _) => (None, None),
        };
        let method = self.method.as_deref().or(usual);
        let method = method.ok_or("names no `tool`, `prompt`, `resource` or `method`")?;
        let given = &self.circumstances;
        Ok(Trial {
            who: self.who.supposed(),
            method: method.to_owned(),
            target,
            arguments: self.arguments.clone(),
            peer: given.ip,
            provider: given.provider.clone(),
            model: given.model.clone(),
            at: given.at,
            history: [given.calls, given.denials, given.tools],
            risk: given.risk.iter().map(|(detector, severity)| (*detector, *severity)).collect(),
            changed: given.changed,
        })
    }
}

/// The tests in every YAML file of a folder, by file.
pub(super) fn read_all(folder: &Path) -> Result<Vec<(PathBuf, Vec<PolicyTest>)>, String> {
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(format!("`{}` cannot be read: {cause}", folder.display())),
    };
    let mut paths: Vec<PathBuf> = listed.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml"));
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let failed = |what: String| format!("`{}`: {what}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|e| failed(e.to_string()))?;
        let tests = serde_saphyr::from_str(&text).map_err(|e| failed(e.to_string()))?;
        files.push((path, tests));
    }
    Ok(files)
}
