//! ToolHive's configuration of its authorization, as JSON or YAML.

use serde_json::{Value, json};

use super::ToolHive;
use crate::authz::import::expression::named;

/// What a file holds beside its policies' meaning.
#[derive(Debug, Default)]
pub(in crate::authz::import) struct Configured {
    pub(in crate::authz::import) toolhive: ToolHive,
    pub(in crate::authz::import) policies: Vec<String>,
    /// Groups in groups, as our entities file has them.
    pub(in crate::authz::import) groups: Vec<Value>,
    /// What there is to do by hand.
    pub(in crate::authz::import) notes: Vec<String>,
    /// What of it has no place here.
    pub(in crate::authz::import) left: Vec<String>,
}

impl Configured {
    /// Reads the file's text.
    pub(in crate::authz::import) fn read(text: &str) -> Result<Self, String> {
        let is_json = text.trim_start().starts_with('{');
        let config: Value = match is_json {
            true => serde_json::from_str(text).map_err(|e| format!("is no JSON: {e}"))?,
            false => serde_saphyr::from_str(text).map_err(|e| {
                format!("is no YAML: {}", e.to_string().lines().next().unwrap_or_default())
            })?,
        };
        let of = config.get("type").and_then(Value::as_str).unwrap_or_default();
        if !of.is_empty() && of != "cedarv1" {
            return Err(format!("is of type `{of}`; only `cedarv1` holds Cedar policies"));
        }
        let cedar = config.get("cedar").and_then(Value::as_object);
        let cedar = cedar
            .ok_or("holds no `cedar`: neither ToolHive's configuration nor a file `*.cedar`")?;
        let mut found = Self::default();
        for (name, value) in cedar {
            found.take(name, value)?;
        }
        if found.policies.is_empty() {
            return Err("holds no `cedar.policies`".to_owned());
        }
        // Only now is it known what groups are called.
        if let Some(entities) = cedar.get("entities_json") {
            found.take_entities(entities)?;
        }
        Ok(found)
    }

    fn take(&mut self, name: &str, value: &Value) -> Result<(), String> {
        let text = value.as_str().filter(|text| !text.is_empty());
        match (name, text) {
            ("policies", _) => {
                let texts = value.as_array().ok_or("`cedar.policies` is no list")?.iter();
                let texts = texts.map(|text| text.as_str().map(str::to_owned));
                self.policies = texts.collect::<Option<_>>().ok_or("`cedar.policies` holds what is no text")?;
            }
            ("group_entity_type", Some(of)) => of.clone_into(&mut self.toolhive.group_type),
            ("group_claim_name", Some(claim)) => self.notes.push(format!(
                "groups come from the claim `{claim}`: configure `claims = {{ groups = {claim:?} }}` for the issuer"
            )),
            ("role_claim_name", Some(claim)) => self.notes.push(format!(
                "roles come from the claim `{claim}`: configure `claims = {{ roles = {claim:?} }}` for the issuer; they are groups there too, and `principal.roles` alone here"
            )),
            ("primary_upstream_provider", Some(provider)) => self.notes.push(format!(
                "claims are those of the provider `{provider}`: configure it as the issuer"
            )),
            // Entities are read when all the rest is known.
            ("entities_json" | "multi_valued_claims", _) => {}
            (_, None) if value.is_string() || value.is_null() => {}
            (other, _) => self.left.push(format!("`cedar.{other}` has no counterpart")),
        }
        Ok(())
    }

    fn take_entities(&mut self, entities: &Value) -> Result<(), String> {
        let read: Value = match entities.as_str().map(str::trim) {
            Some("") => return Ok(()),
            Some(text) => serde_json::from_str(text)
                .map_err(|e| format!("`cedar.entities_json` is no JSON: {e}"))?,
            None => entities.clone(),
        };
        if read.is_null() {
            return Ok(());
        }
        let all = read.as_array().ok_or("`cedar.entities_json` is no list")?;
        all.iter().for_each(|entity| self.take_entity(entity));
        Ok(())
    }

    fn take_entity(&mut self, entity: &Value) {
        let uid = |of: &Value| {
            let (of, id) = named(of.get("__entity").unwrap_or(of))?;
            Some((of.to_owned(), id.to_owned()))
        };
        let Some((of, id)) = entity.get("uid").and_then(uid) else {
            self.left.push("`cedar.entities_json` holds what is no entity".to_owned());
            return;
        };
        if of != self.toolhive.group_type {
            self.left.push(format!("entity `{of}::{id:?}`: only groups are declared here; what is said of users is in their tokens, and of tools in tools.lock"));
            return;
        }
        let parents = entity.get("parents").and_then(Value::as_array).into_iter().flatten();
        let mut above = Vec::new();
        for parent in parents {
            match uid(parent) {
                Some((of, id)) if of == self.toolhive.group_type => {
                    above.push(json!({ "type": "Mcp::Group", "id": id }));
                }
                _ => self.left.push(format!("group `{id}` is in what is no group: {parent}")),
            }
        }
        if entity.get("attrs").and_then(Value::as_object).is_some_and(|attrs| !attrs.is_empty()) {
            self.left.push(format!("group `{id}` has attributes; groups have none here"));
        }
        self.groups.push(json!({
            "uid": { "type": "Mcp::Group", "id": id }, "attrs": {}, "parents": above,
        }));
    }
}
