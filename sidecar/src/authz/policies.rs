//! A whole set of policies as loaded: immutable, validated, cut up by action.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use cedar_policy::{
    ActionConstraint, Entities, Entity, EntityUid, PolicySet, Schema, SchemaFragment,
    ValidationMode, Validator,
};
use serde_json::Value;

use super::{
    issued_names::IssuedNames,
    scopes,
    shape::{RecordShape, TypeNames},
    source::{self, PolicyError, PolicyFile},
    subject::SubjectShape,
    vocabulary::{EntityTypes, INPUT, NAMESPACE, SYSTEM},
};
use crate::config::{Config, Disclosure};

/// A snapshot of schema and policies. A reload makes a new one and swaps it in whole.
pub(crate) struct Policies {
    pub(super) schema: Schema,
    pub(super) actions: HashMap<String, ActionRules>,
    pub(super) types: EntityTypes,
    pub(super) server: EntityUid,
    pub(super) advertised_scopes: Vec<String>,
    pub(super) denied_tools: Disclosure,
    pub(super) several_issuers: bool,
    pub(super) subject: SubjectShape,
    summary: Summary,
}

/// What bears on one action, so that a decision looks at nothing else.
pub(crate) struct ActionRules {
    pub(super) uid: EntityUid,
    /// The policies whose action constraint admits this action; Cedar looks at every one it gets.
    pub(super) policies: PolicySet,
    /// The action, its groups and the server.
    pub(super) entities: Entities,
    /// The type of `context.input`, when the schema declares one.
    pub(super) input: Option<RecordShape>,
    pub(super) wants_system: bool,
}

/// What an operator is told about a loaded set.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) policies: usize,
    pub(crate) files: usize,
    pub(crate) tools: usize,
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").field("summary", &self.summary).finish_non_exhaustive()
    }
}

impl ActionRules {
    pub(super) fn name(&self) -> &str {
        self.uid.id().unescaped()
    }
}

impl Policies {
    /// Loads schema and policies, or says what is wrong with the first file that is.
    ///
    /// Cedar's readers recurse, so they run on a deep stack. Its evaluator recurses too, and its
    /// validator passes what is too deep for the stack it has; so what was read is then tried on
    /// the stack that a request has.
    pub(crate) fn load(config: &Config) -> Result<Self, PolicyError> {
        let broken = |what: String| PolicyError::new(&config.policies.directory, what);
        let (mut policies, files) =
            on_stack(READER_STACK_BYTES, || Self::read(config)).map_err(broken)??;
        on_stack(REQUEST_STACK_BYTES, || policies.require_answerable())
            .and_then(|answerable| answerable)
            .map_err(broken)?;
        // Only now is their depth known to be within bounds for what looks at them as JSON.
        let looked_at = || look_at(&files, config);
        let scopes = on_stack(READER_STACK_BYTES, looked_at).map_err(broken)??;
        if config.resource.scopes_supported.is_none() {
            policies.advertised_scopes = scopes;
        }
        Ok(policies)
    }

    /// The scopes that callers are told of: as configured, or those that policies speak of.
    pub(crate) fn advertised_scopes(&self) -> &[String] {
        &self.advertised_scopes
    }

    pub(crate) fn summary(&self) -> &Summary {
        &self.summary
    }

    fn read(config: &Config) -> Result<(Self, Vec<PolicyFile>), PolicyError> {
        let schema_file = &config.policies.schema;
        let broken = |what: String| PolicyError::new(schema_file, what);
        let text = source::bounded_text(schema_file)?;
        let (schema, namespace) = read_schema(schema_file, &text)?;
        let files = source::read_all(&config.policies.directory)?;
        validate(&schema, &files)?;

        let types = EntityTypes::new().map_err(broken)?;
        let server = types.server(&config.upstream.name);
        let actions = compile(&schema, &namespace, &types, &server, &files).map_err(broken)?;
        let in_call_tool = |rules: &&ActionRules| {
            rules
                .entities
                .ancestors(&rules.uid)
                .is_some_and(|mut groups| groups.any(|group| group.id().unescaped() == "call_tool"))
        };
        let summary = Summary {
            policies: files.iter().map(|file| file.policies.len()).sum(),
            files: files.len(),
            tools: actions.values().filter(in_call_tool).count(),
        };
        let policies = Self {
            schema,
            actions,
            types,
            server,
            advertised_scopes: config.resource.scopes_supported.clone().unwrap_or_default(),
            denied_tools: config.answers.denied_tools,
            several_issuers: config.issuers.len() > 1,
            subject: SubjectShape::of(&namespace, &TypeNames::of(&namespace)),
            summary,
        };
        Ok((policies, files))
    }
}

/// What `work` yields on a thread of its own with this much stack.
fn on_stack<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("policy-loader".to_owned())
            .stack_size(bytes)
            .spawn_scoped(scope, work)
            .map_err(|cause| cause.to_string())?
            .join()
            .map_err(|_| "Cedar gave up on them".to_owned())
    })
}

/// The schema, and the namespace in Cedar's JSON form, from which argument types are read.
fn read_schema(path: &Path, text: &str) -> Result<(Schema, Value), PolicyError> {
    let (fragment, warnings) = SchemaFragment::from_cedarschema_str(text)
        .map_err(|error| PolicyError::at(path, text, &error))?;
    if let Some(warning) = warnings.into_iter().next() {
        return Err(PolicyError::new(path, warning));
    }
    let json = fragment.clone().to_json_value().map_err(|e| PolicyError::new(path, e))?;
    let namespace = json
        .get(NAMESPACE)
        .cloned()
        .ok_or_else(|| PolicyError::new(path, format!("declares no `namespace {NAMESPACE}`")))?;
    let schema =
        Schema::from_schema_fragments([fragment]).map_err(|e| PolicyError::at(path, text, &e))?;
    Ok((schema, namespace))
}

/// Strict validation; a warning is an error too, since it tells of a policy that cannot mean what
/// its author meant.
fn validate(schema: &Schema, files: &[PolicyFile]) -> Result<(), PolicyError> {
    let validator = Validator::new(schema.clone());
    for file in files {
        let set = PolicySet::from_policies(file.policies.iter().cloned())
            .map_err(|e| PolicyError::new(&file.path, e))?;
        let outcome = validator.validate(&set, ValidationMode::Strict);
        if let Some(error) = outcome.validation_errors().next() {
            return Err(PolicyError::at(&file.path, &file.text, error));
        }
        if let Some(warning) = outcome.validation_warnings().next() {
            return Err(PolicyError::at(&file.path, &file.text, warning));
        }
    }
    Ok(())
}

/// What stands in policies: names are held against the issuers, and scopes are told.
fn look_at(files: &[PolicyFile], config: &Config) -> Result<Vec<String>, PolicyError> {
    let issuers: Vec<_> = config.issuers.iter().map(|i| i.identifier.as_str()).collect();
    let names = IssuedNames::of(&issuers);
    for file in files {
        for policy in &file.policies {
            names.require_in(policy).map_err(|what| {
                PolicyError::new(&file.path, format!("policy `{}` {what}", policy.id()))
            })?;
        }
    }
    let policies = files.iter().flat_map(|file| &file.policies);
    Ok(scopes::spoken_of(policies).into_iter().collect())
}

fn compile(
    schema: &Schema,
    namespace: &Value,
    types: &EntityTypes,
    server: &EntityUid,
    files: &[PolicyFile],
) -> Result<HashMap<String, ActionRules>, String> {
    let declared = namespace.get("actions").and_then(Value::as_object);
    let declared = declared.ok_or("declares no actions")?;
    let names = TypeNames::of(namespace);
    let action_entities = schema.action_entities().map_err(|e| e.to_string())?;
    let mut actions = HashMap::new();
    for (id, action) in declared {
        let uid = types.action(id);
        let Some(context) = action.pointer("/appliesTo/context").filter(|_| applies(action)) else {
            continue;
        };
        let groups: HashSet<EntityUid> = action_entities
            .ancestors(&uid)
            .map(|groups| groups.cloned().collect())
            .unwrap_or_default();
        let mut entities: Vec<Entity> = action_entities
            .iter()
            .filter(|e| e.uid() == uid || groups.contains(&e.uid()))
            .cloned()
            .collect();
        entities.push(Entity::new_no_attrs(server.clone(), HashSet::new()));
        let (input, wants_system) =
            context_needs(&names, context).map_err(|what| format!("action `{id}`: {what}"))?;
        let rules = ActionRules {
            policies: policies_on(&uid, &groups, files).map_err(|e| e.to_string())?,
            entities: Entities::from_entities(entities, None).map_err(|e| e.to_string())?,
            uid,
            input,
            wants_system,
        };
        actions.insert(id.clone(), rules);
    }
    Ok(actions)
}

/// Whether an action is one that can be asked about, and not a mere group.
fn applies(action: &Value) -> bool {
    action
        .pointer("/appliesTo/principalTypes")
        .and_then(Value::as_array)
        .is_some_and(|types| !types.is_empty())
}

/// What of the context has to be supplied; what cannot be is an error here and not at a request.
fn context_needs(
    names: &TypeNames<'_>,
    context: &Value,
) -> Result<(Option<RecordShape>, bool), String> {
    let (mut input, mut wants_system) = (None, false);
    for (name, definition) in names.members(context)? {
        match name {
            INPUT => {
                let shape = names.record(definition).map_err(|e| format!("`context.input` {e}"))?;
                input = Some(shape);
            }
            SYSTEM if names.record(definition)? == RecordShape::of_system() => wants_system = true,
            _ if definition.get("required") == Some(&Value::Bool(false)) => {}
            other => return Err(format!("nobody supplies `context.{other}` as declared")),
        }
    }
    Ok((input, wants_system))
}

fn policies_on(
    uid: &EntityUid,
    groups: &HashSet<EntityUid>,
    files: &[PolicyFile],
) -> Result<PolicySet, Box<cedar_policy::PolicySetError>> {
    let admits = |constraint: ActionConstraint| match constraint {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(only) => only == *uid,
        ActionConstraint::In(any) => any.iter().any(|one| one == uid || groups.contains(one)),
    };
    let all = files.iter().flat_map(|file| &file.policies);
    let admitting = all.filter(|policy| admits(policy.action_constraint())).cloned();
    PolicySet::from_policies(admitting).map_err(Box::new)
}

/// Enough for the longest statement that `source` lets through.
const READER_STACK_BYTES: usize = 64 * 1024 * 1024;
/// Half of a worker's stack; the other half is for whatever leads to the evaluation.
const REQUEST_STACK_BYTES: usize = 1024 * 1024;
