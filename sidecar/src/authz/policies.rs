//! A whole set of policies as loaded: immutable, validated, cut up by action.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};

use cedar_policy::{Entities, EntityUid, PolicySet, Schema, SchemaFragment};
use serde_json::Value;

use super::{
    annotations::Obligations,
    arguments::ArgumentsSchema,
    compile,
    context::ContextShape,
    digests::Digests,
    groups::Groups,
    issued_names::IssuedNames,
    pins::{Lock, Pins},
    problems::{PolicyError, Problem, none_of},
    scopes::{ScopeHierarchy, SpokenScopes},
    shape::TypeNames,
    source::{self, PolicyFile},
    subject::{Principal, SubjectShape},
    validation::{invalid, looks, misleading, without_effect},
    vocabulary::{EntityTypes, NAMESPACE, tool_action, tool_of_action},
};
use crate::{
    config::{CallLimit, Config, Disclosure, Listed, PolicyConfig},
    token::Claims,
};

/// A snapshot of schema and policies. A reload makes a new one and swaps it in whole.
pub(crate) struct Policies {
    /// The schema, cut down to what policies look at.
    pub(super) schema: Schema,
    pub(super) actions: HashMap<String, ActionRules>,
    pub(super) types: EntityTypes,
    pub(super) server: EntityUid,
    pub(super) groups: Groups,
    pub(super) pins: Pins,
    pub(super) has_pins: bool,
    pub(super) has_resource_parts: bool,
    pub(super) advertised_scopes: Vec<String>,
    pub(super) scope_hierarchy: ScopeHierarchy,
    pub(super) denied_tools: Disclosure,
    pub(super) listed: Listed,
    /// Rules of the configuration, of which lists tell.
    pub(super) call_limits: Arc<[CallLimit]>,
    pub(super) several_issuers: bool,
    pub(super) subject: SubjectShape,
    reads_history: bool,
    /// Those that look at what is open about the caller.
    pub(super) risk_readers: BTreeSet<String>,
    pub(super) texts: BTreeMap<String, Arc<str>>,
    summary: Summary,
}

/// What bears on one action, so that a decision looks at nothing else.
pub(crate) struct ActionRules {
    pub(super) uid: EntityUid,
    /// The policies whose action constraint admits this action; Cedar looks at every one it gets.
    pub(super) policies: PolicySet,
    /// Those of them that are evaluated and recorded, and never enforced.
    pub(super) shadow: Option<PolicySet>,
    /// What permits ask for beside their decision.
    pub(super) obligations: HashMap<String, Obligations>,
    /// The scopes that any of the policies looks for.
    pub(super) scopes: SpokenScopes,
    /// The action, its groups and the server.
    pub(super) entities: Entities,
    pub(super) context: ContextShape,
    /// What the tool itself says that it takes.
    pub(super) arguments: Option<ArgumentsSchema>,
}

/// What an operator is told about a loaded set.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) policies: usize,
    pub(crate) shadow: usize,
    pub(crate) files: usize,
    pub(crate) tools: usize,
    /// Of schema, policies, lock and entities together.
    pub(crate) version: String,
    pub(crate) digests: Digests,
    /// What does not work as well as it might, in words.
    pub(crate) warnings: Vec<String>,
}

/// The same in words.
#[derive(Debug, Clone)]
pub(crate) struct PolicyStatus {
    pub(crate) summary: String,
    pub(crate) version: String,
    pub(crate) warnings: Vec<String>,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} policies in {} files over {} tools", self.policies, self.files, self.tools)?;
        match self.shadow {
            0 => Ok(()),
            shadow => write!(f, ", {shadow} of them in the shadow"),
        }
    }
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

/// Everything that was read, before it is put in order.
struct Sources {
    digests: Digests,
    declared: Schema,
    namespace: Value,
    files: Vec<PolicyFile>,
    lock: Option<Lock>,
    groups: Groups,
}

impl Policies {
    /// Loads schema and policies, or says everything that is wrong with them.
    ///
    /// Cedar's readers recurse, so they run on a deep stack. Its evaluator recurses too, and its
    /// validator passes what is too deep for the stack it has; so what was read is then tried on
    /// the stack that a request has.
    pub(crate) fn load(config: &Config) -> Result<Self, PolicyError> {
        let broken = |what: String| PolicyError::new(&config.policies.directory, what);
        let answerable = |policies: &Self| {
            on_stack(REQUEST_STACK_BYTES, || policies.require_answerable())
                .and_then(|answerable| answerable)
                .map_err(broken)
        };
        let (mut policies, sources) =
            on_stack(READER_STACK_BYTES, || Self::read(config)).map_err(broken)??;
        answerable(&policies)?;
        // Only now is their depth known to be within bounds for what looks at them as JSON.
        on_stack(READER_STACK_BYTES, || policies.look_closer(&sources, config))
            .map_err(broken)??;
        answerable(&policies)?;
        Ok(policies)
    }

    /// The scopes that callers are told of: as configured, or those that policies speak of.
    pub(crate) fn advertised_scopes(&self) -> &[String] {
        &self.advertised_scopes
    }

    pub(crate) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The tools that policies know, by their own names.
    pub(crate) fn tools(&self) -> impl Iterator<Item = &str> {
        let of_tools = self.actions.values().filter(|rules| rules.calls_a_tool());
        of_tools.map(|rules| tool_of_action(rules.name()))
    }

    /// What a command tells of it.
    pub(crate) fn status(&self) -> PolicyStatus {
        let Summary { version, warnings, .. } = self.summary.clone();
        PolicyStatus { summary: self.summary.to_string(), version, warnings }
    }

    /// What policies call the principal of a token.
    pub(crate) fn principal_name(&self, claims: &Claims) -> String {
        self.principal(&Principal::of(claims)).id().unescaped().to_owned()
    }

    /// Takes tools for changed that were when `before` was in force and are accepted no otherwise.
    pub(super) fn remember_changes(&self, before: &Self) {
        self.pins.remember_changes(&before.pins);
    }

    /// The tools that are not as they were accepted, by what passed in lists so far.
    pub(crate) fn changed_tools(&self) -> Arc<BTreeSet<String>> {
        self.pins.changed()
    }

    /// Whether any policy looks at what callers did before.
    pub(crate) fn read_history(&self) -> bool {
        self.reads_history
    }

    /// The text of a policy.
    pub(crate) fn text(&self, id: &str) -> Option<&str> {
        self.texts.get(id).map(|text| &**text)
    }

    /// As if every policy looked at everything.
    fn read(config: &Config) -> Result<(Self, Sources), PolicyError> {
        let mut sources = Sources::read(config)?;
        let schema_file = &config.policies.schema;
        let broken = |what: String| PolicyError::new(schema_file, what);
        let types = EntityTypes::new().map_err(broken)?;
        let server = types.server(&config.upstream.name);
        let compiled = compile::compile(
            &sources.declared,
            &sources.namespace,
            (&types, &server),
            &sources.files,
            sources.lock.as_ref(),
        )
        .map_err(broken)?;
        let named = || sources.files.iter().flat_map(|file| &file.policies);
        let texts = sources.files.iter().flat_map(PolicyFile::texts);
        let mut warnings = compiled.warnings;
        warnings.extend(source::overlooked(&config.policies.directory).iter().map(|folder| {
            format!("`{}` holds policies that are not read: subfolders are not", folder.display())
        }));
        warnings.extend(limits_of_unknown_tools(&config.call_limits, &compiled.actions));
        let summary = Summary {
            policies: named().count(),
            shadow: named().filter(|named| named.annotations.shadow).count(),
            files: sources.files.len(),
            tools: compiled.actions.values().filter(|rules| rules.calls_a_tool()).count(),
            version: sources.digests.version(),
            digests: sources.digests.clone(),
            warnings,
        };
        let tool = sources.namespace.pointer("/entityTypes/Tool");
        let resource = sources.namespace.pointer("/entityTypes/Resource");
        let names = TypeNames::of(&sources.namespace);
        let policies = Self {
            schema: sources.declared.clone(),
            actions: compiled.actions,
            types,
            server,
            groups: std::mem::take(&mut sources.groups),
            pins: sources.lock.as_ref().map(Pins::of).unwrap_or_default(),
            has_pins: tool.is_some_and(|tool| declares(&names, tool, "pin")),
            has_resource_parts: resource.is_some_and(|of| declares(&names, of, "scheme")),
            advertised_scopes: config.resource.scopes_supported.clone().unwrap_or_default(),
            scope_hierarchy: config.policies.scope_hierarchy.clone(),
            denied_tools: config.answers.denied_tools,
            listed: config.answers.listed,
            call_limits: Arc::clone(&config.call_limits),
            several_issuers: config.issuers.len() > 1,
            subject: SubjectShape::of(&sources.namespace, &names),
            reads_history: false,
            risk_readers: BTreeSet::new(),
            texts: texts.collect(),
            summary,
        };
        Ok((policies, sources))
    }

    /// Finds what policies look at, so that nothing else is worked out, and what they would mislead
    /// about.
    fn look_closer(&mut self, sources: &Sources, config: &Config) -> Result<(), PolicyError> {
        let issuers: Vec<_> = config.issuers.iter().map(|i| i.identifier.as_str()).collect();
        let looks = looks(&sources.files, &IssuedNames::of(&issuers));
        let readers = looks.iter().filter(|(_, look)| look.reads_risk());
        self.risk_readers = readers.map(|(id, _)| id.to_string()).collect();
        let mut problems = misleading(&sources.files, &looks);
        problems.extend(without_effect(&sources.files, &self.actions));
        none_of(problems)?;
        self.schema = compile::cut_down(&mut self.actions, &sources.namespace, &looks)
            .map_err(|what| PolicyError::new(&config.policies.schema, what))?;
        self.reads_history = self.actions.values().any(|rules| rules.context.reads_history());
        if config.resource.scopes_supported.is_none() {
            let mut spoken = SpokenScopes::default();
            self.actions.values().for_each(|rules| spoken.join(&rules.scopes));
            self.advertised_scopes = spoken.named.into_iter().collect();
        }
        Ok(())
    }
}

impl Sources {
    /// All files in one state of theirs, each valid for itself and with the others.
    fn read(config: &Config) -> Result<Self, PolicyError> {
        let files = &config.policies;
        let text: Arc<str> = source::bounded_text(&files.schema)
            .map_err(|problems| helped(problems, NO_SCHEMA))?
            .into();
        let (declared, namespace) = read_schema(&files.schema, &text)?;
        let mut problems = Vec::new();
        let policies = source::read_all(&files.directory)
            .map_err(|error| problems.extend(Vec::from(error)))
            .unwrap_or_default();
        let lock = read_lock(files, &namespace)
            .map_err(|error| problems.extend(Vec::from(error)))
            .unwrap_or_default();
        let groups = Groups::read(&files.entities, &declared)
            .map_err(|problem| problems.push(problem))
            .unwrap_or_default();
        problems.extend(invalid(&declared, &namespace, &policies));
        none_of(problems)?;
        let digests = Digests::of(&text, &policies, files);
        Ok(Self { digests, declared, namespace, files: policies, lock, groups })
    }
}

/// What `work` yields on a thread of its own with this much stack.
pub(super) fn on_stack<T: Send>(
    bytes: usize,
    work: impl FnOnce() -> T + Send,
) -> Result<T, String> {
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
pub(super) fn read_schema(path: &Path, text: &Arc<str>) -> Result<(Schema, Value), PolicyError> {
    let (fragment, warnings) = SchemaFragment::from_cedarschema_str(text)
        .map_err(|error| Problem::of_cedar(path, text, &error))?;
    if let Some(warning) = warnings.into_iter().next() {
        return Err(PolicyError::new(path, warning));
    }
    let json = fragment.clone().to_json_value().map_err(|e| PolicyError::new(path, e))?;
    let namespace = json.get(NAMESPACE).cloned().ok_or_else(|| {
        Problem::new(path, format!("declares no `namespace {NAMESPACE}`")).help(NO_SCHEMA)
    })?;
    let schema = Schema::from_schema_fragments([fragment])
        .map_err(|error| Problem::of_cedar(path, text, &error))?;
    Ok((schema, namespace))
}

/// The lock: what tools take, and whether they are as they were accepted.
fn read_lock(files: &PolicyConfig, namespace: &Value) -> Result<Option<Lock>, PolicyError> {
    let names = TypeNames::of(namespace);
    let tool = namespace.pointer("/entityTypes/Tool");
    if !tool.is_some_and(|tool| declares(&names, tool, "pin")) {
        // Nor does it have to be there then; without it, what tools take is not known but by type.
        return if files.lock.exists() { Lock::read(&files.lock).map(Some) } else { Ok(None) };
    }
    Lock::read(&files.lock).map(Some)
}

/// Rules that name tools which cannot be called.
fn limits_of_unknown_tools<'a>(
    limits: &'a [CallLimit],
    actions: &'a HashMap<String, ActionRules>,
) -> impl Iterator<Item = String> + 'a {
    limits.iter().flat_map(move |limit| {
        let named = limit.tools.iter().flatten();
        let unknown = named
            .filter(|tool| !actions.get(&tool_action(tool)).is_some_and(ActionRules::calls_a_tool));
        unknown.map(|tool| {
            let id = &limit.id;
            format!(
                "the rule `{id}` (`call_limits`) limits `{tool}`, which is no tool of the schema's"
            )
        })
    })
}

fn declares(names: &TypeNames<'_>, entity: &Value, attribute: &str) -> bool {
    entity
        .get("shape")
        .and_then(|shape| names.members_of(shape))
        .is_some_and(|members| members.contains(&attribute))
}

fn helped(problems: Vec<Problem>, help: &str) -> Vec<Problem> {
    problems.into_iter().map(|problem| problem.help(help)).collect()
}

const NO_SCHEMA: &str = "`cedargate schema --write` makes one from what the server offers";
/// Enough for the longest statement that `source` lets through.
pub(super) const READER_STACK_BYTES: usize = 64 * 1024 * 1024;
/// Half of a worker's stack; the other half is for whatever leads to the evaluation.
pub(super) const REQUEST_STACK_BYTES: usize = 1024 * 1024;
