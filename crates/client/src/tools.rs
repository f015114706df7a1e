//! MCP tools as models are shown them: one universal form, the same for every provider, with what
//! the gate says a call will need; and the way back from what a model writes to a call.
//!
//! Nothing is lost on the way there: what one provider or another would not take is put differently
//! so that it can be put back, or the tool is left out and the reason is told.

pub mod adapters;
mod arguments;
mod names;
mod schema;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use jsonschema::Validator;
use rmcp::model::{JsonObject, Tool};
use serde::{Deserialize, Serialize};

use crate::model::Call;
pub use arguments::Unusable;
use names::offered_name;
pub use schema::Unfit;
use schema::{Shape, adapted};

/// A tool in the universal form.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UniversalTool {
    /// Its name at the MCP server.
    pub name: String,
    /// The name under which models are offered it: 1 to 64 letters, digits, `_` and `-`.
    pub offered_as: String,
    /// What it does.
    pub description: String,
    /// A JSON Schema of type `object` that every provider takes.
    pub parameters: Arc<JsonObject>,
    /// What the gate says of it.
    pub security: SecurityMetadata,
}

/// What the gate says of a tool in `_meta["cedargate/security"]`; empty for a server without one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityMetadata {
    /// The scopes that a call needs.
    pub required_scopes: Vec<String>,
    /// How often it may be called, such as `30/minute`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<String>,
    /// How much of a call is put on record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_level: Option<String>,
    /// Whether the arguments or the circumstances decide.
    pub conditional: bool,
}

/// The tools of a server, as models are offered them.
#[derive(Debug, Default)]
pub struct Toolbox {
    offered: Vec<UniversalTool>,
    /// In the order of `offered`.
    ways_back: Vec<WayBack>,
    by_offered_name: HashMap<String, usize>,
    left_out: Vec<LeftOut>,
}

/// How arguments as models write them become arguments as the server wants them.
#[derive(Debug)]
struct WayBack {
    shape: Shape,
    input_schema: Arc<JsonObject>,
    /// Made when the tool is first called: making it takes longer than the whole conversion.
    validator: OnceLock<Option<Validator>>,
}

/// A tool that no model is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its name at the MCP server.
    pub name: String,
    /// Why, in words.
    pub reason: String,
}

/// A call that may be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadyCall {
    /// The tool, by its name at the MCP server.
    pub tool: String,
    /// Valid under the tool's own schema.
    pub arguments: JsonObject,
}

impl Toolbox {
    /// Puts these tools into the universal form.
    pub fn of(tools: &[Tool]) -> Self {
        let mut toolbox = Self::default();
        let mut seen = HashSet::with_capacity(tools.len());
        for tool in tools {
            if let Err(reason) = toolbox.add(tool, seen.insert(&*tool.name)) {
                toolbox.left_out.push(LeftOut { name: tool.name.to_string(), reason });
            }
        }
        toolbox
    }

    fn add(&mut self, tool: &Tool, first_of_its_name: bool) -> Result<(), String> {
        if !first_of_its_name {
            return Err("another tool has the same name".to_owned());
        }
        if self.offered.len() == MOST_TOOLS {
            return Err(format!("models take {MOST_TOOLS} tools at most"));
        }
        let offered_as = offered_name(&tool.name);
        if self.by_offered_name.contains_key(&offered_as) {
            return Err(format!("another tool is offered as `{offered_as}`"));
        }
        let described = tool.description.as_deref().unwrap_or_default();
        let (mut parameters, shape) =
            adapted(&tool.input_schema).map_err(|unfit| unfit.to_string())?;
        let description = match described.char_indices().nth(LONGEST_DESCRIPTION) {
            None => described.to_owned(),
            Some(_) => {
                schema::describe(Arc::make_mut(&mut parameters), described);
                BEGINNING.to_owned()
            }
        };
        self.by_offered_name.insert(offered_as.clone(), self.offered.len());
        self.offered.push(UniversalTool {
            name: tool.name.to_string(),
            offered_as,
            description,
            parameters,
            security: SecurityMetadata::of(tool),
        });
        self.ways_back.push(WayBack {
            shape,
            input_schema: Arc::clone(&tool.input_schema),
            validator: OnceLock::new(),
        });
        Ok(())
    }

    /// What models are offered.
    pub fn offered(&self) -> &[UniversalTool] {
        &self.offered
    }

    /// What they are not offered, and why.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Reads what a model wrote, the same way whatever its provider, before anything is sent: one
    /// JSON object, no member twice, valid under the tool's own schema.
    pub fn read(&self, call: &Call) -> Result<ReadyCall, Unusable> {
        let known = self.by_offered_name.get(&call.tool).copied();
        let unknown = || Unusable::UnknownTool(call.tool.clone());
        let place = known.ok_or_else(unknown)?;
        let (Some(tool), Some(back)) = (self.offered.get(place), self.ways_back.get(place)) else {
            return Err(unknown());
        };
        let written = arguments::strictly_read(&call.arguments)?;
        let arguments = back.shape.restored(written)?;
        let validator = back.validator.get_or_init(|| arguments::validator(&back.input_schema));
        arguments::valid(validator.as_ref(), &arguments)?;
        Ok(ReadyCall { tool: tool.name.clone(), arguments })
    }

    /// The name at the MCP server of a tool that was offered under this one.
    pub fn name_of(&self, offered_as: &str) -> Option<&str> {
        let place = self.by_offered_name.get(offered_as)?;
        self.offered.get(*place).map(|tool| tool.name.as_str())
    }
}

impl SecurityMetadata {
    fn of(tool: &Tool) -> Self {
        let told = tool.meta.as_ref().and_then(|meta| meta.get(META_SECURITY));
        // A server without a gate may say anything there: what cannot be read says nothing.
        told.and_then(|told| Self::deserialize(told).ok()).unwrap_or_default()
    }
}

const META_SECURITY: &str = "cedargate/security";
/// OpenAI takes no more functions in a request.
const MOST_TOOLS: usize = 128;
/// Characters that OpenAI takes as a function's description; a longer one goes into the schema, for
/// which there is no such limit.
const LONGEST_DESCRIPTION: usize = 1024;
const BEGINNING: &str = "The description is long: it is that of the parameters.";

#[cfg(test)]
mod tests;
