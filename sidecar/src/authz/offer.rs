//! What a server offers: its tools, prompts, resources and resource templates, as it lists them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The lists of one server, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Offer {
    #[serde(default)]
    pub(super) tools: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) prompts: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) resources: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) resource_templates: BTreeMap<String, Value>,
}

/// What cannot be an offer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnusableOffer {
    #[error(
        "holds no list of tools: expected the result of `tools/list`, or an object with `tools`"
    )]
    NoTools,
    #[error("`{list}[{position}]` has no `{member}`")]
    Nameless { list: &'static str, position: usize, member: &'static str },
    #[error("`{list}` names `{name}` twice")]
    Repeated { list: &'static str, name: String },
}

impl Offer {
    /// From a saved `tools/list`: the result, the whole response, its list alone, or an object that
    /// holds the other lists too.
    pub(crate) fn read(saved: &Value) -> Result<Self, UnusableOffer> {
        let lists = saved.get("result").unwrap_or(saved);
        let tools = lists.as_array().or_else(|| lists.get("tools")?.as_array());
        let of = |member: &str| lists.get(member).and_then(Value::as_array);
        Ok(Self {
            tools: by_name("tools", "name", Some(tools.ok_or(UnusableOffer::NoTools)?))?,
            prompts: by_name("prompts", "name", of("prompts"))?,
            resources: by_name("resources", "uri", of("resources"))?,
            resource_templates: by_name(
                "resourceTemplates",
                "uriTemplate",
                of("resourceTemplates"),
            )?,
        })
    }

    /// Tools with their names, in the order of these.
    pub(crate) fn tools(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.tools.iter().map(|(name, tool)| (name.as_str(), tool))
    }

    pub(crate) fn prompts(&self) -> impl Iterator<Item = &Value> {
        self.prompts.values()
    }

    pub(crate) fn tool(&self, name: &str) -> Option<&Value> {
        self.tools.get(name)
    }
}

fn by_name(
    list: &'static str,
    member: &'static str,
    items: Option<&Vec<Value>>,
) -> Result<BTreeMap<String, Value>, UnusableOffer> {
    let mut named = BTreeMap::new();
    for (position, item) in items.into_iter().flatten().enumerate() {
        let name = item.get(member).and_then(Value::as_str);
        let name = name.ok_or(UnusableOffer::Nameless { list, position, member })?;
        if named.insert(name.to_owned(), item.clone()).is_some() {
            return Err(UnusableOffer::Repeated { list, name: name.to_owned() });
        }
    }
    Ok(named)
}
