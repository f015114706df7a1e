//! What is known of the gate that policies are translated for.

use std::collections::BTreeSet;

use cedar_policy::{Policy, PolicySet, Schema, ValidationMode, Validator};
use serde_json::Value;

use super::{
    super::{
        compile,
        issued_names::IssuedNames,
        policies::{READER_STACK_BYTES, on_stack, read_schema},
        problems::PolicyError,
        source,
    },
    inputs::Inputs,
    one_line,
};
use crate::config::Config;

/// The gate, for as far as it is known.
#[derive(Default)]
pub(crate) struct Home {
    /// What policies call the upstream.
    pub(super) server: Option<String>,
    issuers: Vec<String>,
    pub(super) schema: Option<KnownSchema>,
    /// Ids that policies have already.
    pub(super) taken: BTreeSet<String>,
}

pub(super) struct KnownSchema {
    schema: Schema,
    pub(super) inputs: Inputs,
}

impl Home {
    /// Of a configuration; its schema need not be there.
    pub(crate) fn of(config: &Config) -> Result<Self, PolicyError> {
        let files = &config.policies;
        let read = || -> Result<_, PolicyError> {
            let schema = match files.schema.exists() {
                true => {
                    let text = source::bounded_text(&files.schema)?.into();
                    Some(KnownSchema::of(read_schema(&files.schema, &text)?))
                }
                false => None,
            };
            // What is wrong with the policies that are there is for `cedargate check` to say.
            let others = source::read_all(&files.directory).unwrap_or_default();
            let others = others.iter().flat_map(|file| &file.policies);
            Ok((schema, others.map(|named| named.policy.id().to_string()).collect()))
        };
        let broken = |what: String| PolicyError::new(&files.schema, what);
        let (schema, taken) = on_stack(READER_STACK_BYTES, read).map_err(broken)??;
        Ok(Self {
            server: Some(config.upstream.name.clone()),
            issuers: config.issuers.iter().map(|issuer| issuer.identifier.clone()).collect(),
            schema,
            taken,
        })
    }

    /// The validator's words on a policy that the gate would refuse.
    pub(super) fn require_valid(&self, text: &str) -> Result<(), String> {
        let policy: Policy = text.parse().map_err(|e| format!("cannot be written: {e}"))?;
        if !self.issuers.is_empty() {
            let issuers: Vec<&str> = self.issuers.iter().map(String::as_str).collect();
            let json = policy.to_json().map_err(|e| e.to_string())?;
            IssuedNames::of(&issuers).require_in(&json)?;
        }
        let Some(known) = &self.schema else { return Ok(()) };
        let id = policy.id().clone();
        let set = PolicySet::from_policies([policy]).map_err(|e| e.to_string())?;
        let outcome = Validator::new(known.schema.clone()).validate(&set, ValidationMode::Strict);
        let errors = outcome.validation_errors().map(|e| told(e));
        let warnings = outcome.validation_warnings().map(|w| told(w));
        let mut all: Vec<String> = errors.chain(warnings).collect();
        // What speaks of something unknown does not fit anything either, and says so too.
        if all.iter().any(|what| what.contains("unrecognized")) {
            all.retain(|what| !what.contains("unable to find an applicable action"));
        }
        all.dedup();
        let advice = all.iter().find_map(|what| compile::advice(what, &id));
        match (all.is_empty(), advice) {
            (true, _) => Ok(()),
            (false, Some(advice)) => Err(format!("is not valid: {} ({advice})", all.join("; "))),
            (false, None) => Err(format!("is not valid: {}", all.join("; "))),
        }
    }
}

impl KnownSchema {
    fn of((schema, namespace): (Schema, Value)) -> Self {
        Self { schema, inputs: Inputs::of(&namespace) }
    }
}

/// What a complaint says, without the id of a policy that has none here.
fn told(complaint: &dyn miette::Diagnostic) -> String {
    let told = one_line(&complaint.to_string());
    let told = told.split_once("`policy0`, ").map_or(told.as_str(), |(_, what)| what).to_owned();
    match complaint.help() {
        Some(help) => format!("{told}: {}", one_line(&help.to_string())),
        None => told,
    }
}

#[cfg(test)]
impl Home {
    pub(super) fn with(server: &str, schema: (Schema, Value)) -> Self {
        let schema = Some(KnownSchema::of(schema));
        Self { server: Some(server.to_owned()), schema, ..Self::default() }
    }

    pub(super) fn with_issuers(self, issuers: &[&str]) -> Self {
        Self { issuers: issuers.iter().map(|&issuer| issuer.to_owned()).collect(), ..self }
    }
}
