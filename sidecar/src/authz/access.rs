//! Cedar's question: principal, action, resource and context, and the entities behind them.
//!
//! Everything a caller wrote reaches Cedar as a value, never through Cedar's own JSON, in which
//! `__entity` and `__extn` would turn a caller's data into entities and function calls.

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{Context, Entities, Entity, EntityUid, Request, RestrictedExpression};
use serde_json::Value;

use super::{
    facts,
    pins::Pin,
    policies::{ActionRules, Policies},
    shape,
    subject::Principal,
    vocabulary::{tool_action, uid},
};
use crate::message::{Method, Target};

/// Cedar's question but for its context: who, what, on what.
#[derive(Clone, Copy)]
pub(super) struct AccessRequest<'a> {
    pub(super) principal: Principal<'a>,
    pub(super) action: &'a ActionRules,
    pub(super) target: Target<'a>,
    /// Of the tool that it is about, if it is about one.
    pub(super) pin: Pin,
}

impl<'a> AccessRequest<'a> {
    /// The same question about a token with other scopes.
    pub(super) fn with_scopes<'b>(&'b self, scopes: &'b BTreeSet<String>) -> AccessRequest<'b> {
        AccessRequest { principal: Principal { scopes, ..self.principal }, ..*self }
    }
}

impl Policies {
    /// The action that stands for a method on a target; `None` when the schema has none.
    pub(super) fn action(&self, method: &Method, target: Target<'_>) -> Option<&ActionRules> {
        match target {
            Target::Tool(name) if method.calls_a_tool() => self.actions.get(&tool_action(name)),
            _ => self.actions.get(method.name),
        }
    }

    /// The request that Cedar evaluates, held against the schema.
    pub(super) fn request(
        &self,
        asked: &AccessRequest<'_>,
        context: Context,
    ) -> Result<Request, String> {
        Request::new(
            self.principal(&asked.principal),
            asked.action.uid.clone(),
            self.resource(asked.target),
            context,
            Some(&self.schema),
        )
        .map_err(|e| e.to_string())
    }

    /// The entities that the evaluation may look at.
    pub(super) fn entities(&self, asked: &AccessRequest<'_>) -> Result<Entities, String> {
        let mut all = self.principal_entities(&asked.principal)?;
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let attributes = match asked.target {
            Target::Server => None,
            Target::Tool(name) => Some(self.tool_attributes(name, asked.pin)),
            Target::Prompt(name) => Some(vec![("name", text(name))]),
            Target::Resource(uri) => Some(self.resource_attributes(uri)),
        };
        if let Some(attributes) = attributes {
            let resource = self.resource(asked.target);
            all.push(entity(resource, attributes, Some(self.server.clone()))?);
        }
        if asked.principal.groups.len() > 1 {
            let mut seen = HashSet::new();
            all.retain(|entity| seen.insert(entity.uid()));
        }
        asked.action.entities.clone().add_entities(all, None).map_err(|e| e.to_string())
    }

    fn tool_attributes(&self, name: &str, pin: Pin) -> Vec<(&'static str, RestrictedExpression)> {
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let mut attributes = vec![("name", text(name))];
        if self.has_pins {
            attributes.push(("pin", text(pin.as_str())));
            attributes.push(("claims", claims_of(self.pins.accepted(name))));
        }
        attributes
    }

    fn resource_attributes(&self, uri: &str) -> Vec<(&'static str, RestrictedExpression)> {
        let text = |value: String| RestrictedExpression::new_string(value);
        let mut attributes = vec![("uri", text(uri.to_owned()))];
        if self.has_resource_parts {
            let parts = facts::parts_of(uri);
            attributes.push(("scheme", text(parts.scheme)));
            attributes.push(("host", text(parts.host)));
            attributes.push(("path", text(parts.path)));
        }
        attributes
    }

    pub(super) fn resource(&self, target: Target<'_>) -> EntityUid {
        match target {
            Target::Server => self.server.clone(),
            Target::Tool(name) => uid(&self.types.tool, name),
            Target::Prompt(name) => uid(&self.types.prompt, name),
            Target::Resource(uri) => uid(&self.types.resource, uri),
        }
    }
}

/// What the upstream claims of a tool, as it was accepted (MCP 2026-07-28, `ToolAnnotations`).
fn claims_of(definition: Option<&Value>) -> RestrictedExpression {
    let hints = definition.and_then(|definition| definition.get("annotations"));
    shape::select(&["readOnly", "destructive", "idempotent", "openWorld"], |claim| {
        let hint = hints?.get(format!("{claim}Hint"))?.as_bool()?;
        Some(RestrictedExpression::new_bool(hint))
    })
}

fn entity(
    uid: EntityUid,
    attributes: Vec<(&'static str, RestrictedExpression)>,
    parent: Option<EntityUid>,
) -> Result<Entity, String> {
    let attributes: HashMap<String, RestrictedExpression> =
        attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let parents: HashSet<EntityUid> = parent.into_iter().collect();
    Entity::new(uid, attributes, parents).map_err(|e| e.to_string())
}
