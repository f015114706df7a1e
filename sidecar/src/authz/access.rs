//! Cedar's question: principal, action, resource and context, and the entities behind them.
//!
//! Everything a caller wrote reaches Cedar as a value, never through Cedar's own JSON, in which
//! `__entity` and `__extn` would turn a caller's data into entities and function calls.

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{Context, Entities, Entity, EntityUid, Request, RestrictedExpression};
use jiff::Timestamp;

use super::{
    policies::{ActionRules, Policies},
    subject::Principal,
    vocabulary::{INPUT, SYSTEM, tool_action, uid},
};
use crate::message::{Method, Target, json::Object};

/// Cedar's question but for its context: who, what, on what.
#[derive(Clone, Copy)]
pub(super) struct AccessRequest<'a> {
    pub(super) principal: Principal<'a>,
    pub(super) action: &'a ActionRules,
    pub(super) target: Target<'a>,
}

impl<'a> AccessRequest<'a> {
    /// The same question about a token with other scopes.
    pub(super) fn with_scopes<'b>(&'b self, scopes: &'b BTreeSet<String>) -> AccessRequest<'b> {
        AccessRequest { principal: Principal { scopes, ..self.principal }, ..*self }
    }
}

impl ActionRules {
    /// The context for a call with these arguments, or the path of the argument that does not fit.
    pub(super) fn context(&self, arguments: Option<&Object>) -> Result<Context, String> {
        let mut pairs = Vec::with_capacity(2);
        if let Some(input) = &self.input {
            let none = Object::default();
            pairs.push((INPUT.to_owned(), input.read(arguments.unwrap_or(&none))?));
        }
        if self.wants_system {
            let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
            let now = RestrictedExpression::new_datetime(now);
            pairs.push((SYSTEM.to_owned(), record([("now", now)])?));
        }
        // What fails here is an extension value in the input: a date that is none, say.
        Context::from_pairs(pairs).map_err(|_| "arguments".to_owned())
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
        let attribute = match asked.target {
            Target::Server => None,
            Target::Tool(name) | Target::Prompt(name) => Some(("name", text(name))),
            Target::Resource(uri) => Some(("uri", text(uri))),
        };
        if let Some(attribute) = attribute {
            let resource = self.resource(asked.target);
            all.push(entity(resource, [attribute], Some(self.server.clone()))?);
        }
        asked.action.entities.clone().add_entities(all, None).map_err(|e| e.to_string())
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

fn entity<const N: usize>(
    uid: EntityUid,
    attributes: [(&str, RestrictedExpression); N],
    parent: Option<EntityUid>,
) -> Result<Entity, String> {
    let attributes: HashMap<String, RestrictedExpression> =
        attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let parents: HashSet<EntityUid> = parent.into_iter().collect();
    Entity::new(uid, attributes, parents).map_err(|e| e.to_string())
}

fn record<const N: usize>(
    fields: [(&str, RestrictedExpression); N],
) -> Result<RestrictedExpression, String> {
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
    RestrictedExpression::new_record(fields).map_err(|e| e.to_string())
}
