//! Policies of ToolHive: no schema, six actions, claims and arguments as attributes.

mod conditions;
pub(super) mod config;
mod scope;

use serde_json::Value;

use super::{
    Scene,
    expression::{as_entity, is_variable, operator},
    parts::Parts,
};

/// What of its configuration policies depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToolHive {
    /// The entity type of groups.
    pub(super) group_type: String,
}

impl Default for ToolHive {
    fn default() -> Self {
        Self { group_type: "THVGroup".to_owned() }
    }
}

impl ToolHive {
    /// A policy in our words, or why there is none.
    pub(super) fn translated(
        &self,
        policy: &Parts,
        scene: &mut Scene<'_>,
    ) -> Result<Parts, String> {
        let mut made = scope::translated(self, policy, scene)?;
        let scope: Option<Vec<String>> =
            made.action_ids().map(|ids| ids.into_iter().map(str::to_owned).collect());
        for clause in &mut made.clauses {
            clause.body = conditions::Conditions {
                toolhive: self,
                scope: scope.as_deref(),
                scene: &mut *scene,
            }
            .translated(&clause.body)?;
        }
        Ok(made)
    }

    /// Our name of a type of entities that both sides have.
    fn entity_type(&self, of: &str) -> Result<&'static str, String> {
        Ok(match of {
            "Client" => "Mcp::OAuthUser",
            "Tool" => "Mcp::Tool",
            "Prompt" => "Mcp::Prompt",
            "Resource" => "Mcp::Resource",
            "MCP" | "FeatureType" => SERVER,
            of if of == self.group_type => "Mcp::Group",
            other => {
                return Err(format!("names the entity type `{other}`, which has no counterpart"));
            }
        })
    }

    /// Our entity; a server is the configured upstream, whatever it is called there.
    fn entity(
        &self,
        of: &str,
        id: &str,
        scene: &mut Scene<'_>,
    ) -> Result<(String, String), String> {
        let own = self.entity_type(of)?.to_owned();
        match of {
            "FeatureType" => Err("names a `FeatureType` where that has no counterpart".to_owned()),
            "MCP" => Ok((own, scene.server(id))),
            _ => Ok((own, id.to_owned())),
        }
    }
}

/// The tools that a condition holds `resource` to be one of, when it does nothing else.
fn tools_in(condition: &Value) -> Option<Vec<String>> {
    let (name, operands) = operator(condition)?;
    let left = operands.get("left")?;
    let right = operands.get("right")?;
    match name {
        "||" => Some([tools_in(left)?, tools_in(right)?].concat()),
        "==" | "in" if is_variable(left, "resource") => tools_among(right),
        "==" if is_variable(right, "resource") => tools_among(left),
        "contains" if is_variable(right, "resource") => tools_among(left),
        _ => None,
    }
}

fn tools_among(written: &Value) -> Option<Vec<String>> {
    if let Some((of, id)) = as_entity(written) {
        return (of == "Tool").then(|| vec![id.to_owned()]);
    }
    let all = written.get("Set")?.as_array().filter(|all| !all.is_empty())?;
    all.iter().map(tools_among).collect::<Option<Vec<_>>>().map(|tools| tools.concat())
}

const ACTION: &str = "Mcp::Action";
const SERVER: &str = "Mcp::Server";
