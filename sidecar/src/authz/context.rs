//! The context of a request: of what the schema declares, what policies look at.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use cedar_policy::{Context, RestrictedExpression};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    arguments::Misfit,
    facts::FactsShape,
    history::{Histories, Tally},
    shape::{self, Known, RecordShape, TypeNames},
};
use crate::{
    message::{
        Message,
        json::{Json, Object},
    },
    watch::{OpenFindings, Watch, WatchConfig},
};

/// What of a request is neither in its caller's token nor among its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Circumstances {
    peer: IpAddr,
    /// Which model's provider the client claims to speak for, and which model.
    provider: Option<String>,
    model: Option<String>,
    histories: Arc<Histories>,
    watch: Arc<Watch>,
    /// Whose history and findings are looked at.
    principal: String,
    supposition: Option<Supposition>,
}

impl Circumstances {
    pub(crate) fn of(
        message: &Message,
        peer: IpAddr,
        (histories, watch): (&Arc<Histories>, &Arc<Watch>),
        principal: String,
    ) -> Self {
        let meta = message.params().and_then(|params| params.get("_meta")?.as_object());
        let claimed = |name| {
            let text = meta.and_then(|meta| meta.get(name)).and_then(Json::as_str);
            text.filter(|text| text.len() <= MAX_CLAIMED_BYTES).map(str::to_owned)
        };
        let (provider, model) = (claimed(META_PROVIDER), claimed(META_MODEL));
        let (histories, watch) = (Arc::clone(histories), Arc::clone(watch));
        Self { peer, provider, model, histories, watch, principal, supposition: None }
    }

    /// For which model's provider the client says that it speaks.
    pub(crate) fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// For which model.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Remembers what was decided.
    pub(crate) fn note(&self, permitted: bool, tool: Option<&str>) {
        self.histories.note(&self.principal, permitted, tool, Instant::now());
    }

    /// Of nobody, for policies that are tried out.
    pub(super) fn supposed(supposition: Supposition) -> Self {
        Self {
            peer: supposition.peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            provider: supposition.provider.clone(),
            model: supposition.model.clone(),
            histories: Arc::new(Histories::new(Duration::from_secs(1))),
            watch: Arc::new(Watch::new(WatchConfig::default())),
            principal: String::new(),
            supposition: Some(supposition),
        }
    }

    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self::supposed(Supposition::default())
    }

    /// Of whom this watch may know something.
    #[cfg(test)]
    pub(super) fn watched(watch: &Arc<Watch>, principal: &str) -> Self {
        let (watch, principal) = (Arc::clone(watch), principal.to_owned());
        Self { watch, principal, supposition: None, ..Self::none() }
    }
}

/// What is supposed of a request that nobody makes.
#[derive(Debug, Clone, Default)]
pub(super) struct Supposition {
    pub(super) peer: Option<IpAddr>,
    pub(super) provider: Option<String>,
    pub(super) model: Option<String>,
    pub(super) at: Option<Timestamp>,
    pub(super) history: Tally,
    pub(super) risk: OpenFindings,
}

/// What has to be supplied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ContextShape {
    /// The type of `context.input`, when the schema declares one: arguments are held against it.
    input: Option<RecordShape>,
    /// What of it policies look at.
    looked_at: Option<RecordShape>,
    facts: Option<FactsShape>,
    system: Option<Vec<&'static str>>,
    peer: Option<Vec<&'static str>>,
    history: Option<Vec<&'static str>>,
    risk: Option<Vec<&'static str>>,
}

const SYSTEM: Known = &[("now", "datetime")];
const PEER: Known = &[("ip", "ipaddr"), ("provider", "String"), ("model", "String")];
const HISTORY: Known = &[("calls", "Long"), ("denials", "Long"), ("tools", "Long")];
const RISK: Known = &[
    ("open", "Long"),
    ("low", "Long"),
    ("medium", "Long"),
    ("high", "Long"),
    ("critical", "Long"),
    ("detectors", "Set<String>"),
];

impl ContextShape {
    /// What a context declares; what cannot be supplied is an error here and not at a request.
    pub(super) fn of(names: &TypeNames<'_>, context: &Value) -> Result<Self, String> {
        Self::read(names, context, None)
    }

    /// The same, of a schema that is cut down to what policies look at.
    pub(super) fn cut_down(self, names: &TypeNames<'_>, context: &Value) -> Result<Self, String> {
        let cut = Self::read(names, context, self.input.as_ref())?;
        Ok(Self { input: self.input, ..cut })
    }

    /// Facts are about `whole`, or about what the context itself declares.
    fn read(
        names: &TypeNames<'_>,
        context: &Value,
        whole: Option<&RecordShape>,
    ) -> Result<Self, String> {
        let mut shape = Self::default();
        let mut members = names.members(context)?;
        // Facts are about what the input has.
        members.sort_by_key(|(name, _)| *name != "input");
        for (name, definition) in members {
            let known = |known| shape::wanted(names, definition, known);
            let within = |what: String| format!("`context.{name}` {what}");
            match name {
                "input" => {
                    let input = names.record(definition).map_err(within)?;
                    shape.input = Some(input.clone());
                    shape.looked_at = Some(match whole {
                        Some(whole) => input.left_of(whole),
                        None => input,
                    });
                }
                "facts" => {
                    let input = whole.or(shape.input.as_ref());
                    let input = input.ok_or("declares facts and no input")?;
                    shape.facts = Some(FactsShape::of(names, definition, input).map_err(within)?);
                }
                "system" => shape.system = Some(known(SYSTEM).map_err(within)?),
                "peer" => {
                    for (claimed, definition) in names.members(definition)? {
                        if claimed != "ip"
                            && definition.get("required") != Some(&Value::Bool(false))
                        {
                            return Err(within(format!(
                                "has `{claimed}`, which must be optional (`?`)"
                            )));
                        }
                    }
                    shape.peer = Some(known(PEER).map_err(within)?);
                }
                "history" => shape.history = Some(known(HISTORY).map_err(within)?),
                "risk" => shape.risk = Some(known(RISK).map_err(within)?),
                _ if definition.get("required") == Some(&Value::Bool(false)) => {}
                other => return Err(format!("nobody supplies `context.{other}` as declared")),
            }
        }
        Ok(shape)
    }

    /// Whether policies look at what callers did before.
    pub(super) fn reads_history(&self) -> bool {
        self.history.is_some()
    }

    /// The context for a request with these arguments, or what of them does not fit.
    pub(super) fn build(
        &self,
        arguments: Option<&Object>,
        circumstances: &Circumstances,
    ) -> Result<Context, Misfit> {
        let mut pairs = Vec::with_capacity(6);
        let none = Object::default();
        let arguments = arguments.unwrap_or(&none);
        if let Some(input) = &self.input {
            input.check(arguments).map_err(Misfit::at)?;
            if let Some(looked_at) = &self.looked_at {
                pairs.push(("input".to_owned(), looked_at.build(arguments)));
            }
            if let Some(facts) = &self.facts {
                pairs.push(("facts".to_owned(), facts.about(arguments, input)));
            }
        }
        if let Some(wanted) = &self.system {
            let now = circumstances.now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
            let now = || RestrictedExpression::new_datetime(&now);
            pairs.push(("system".to_owned(), shape::select(wanted, |_| Some(now()))));
        }
        if let Some(wanted) = &self.peer {
            pairs.push(("peer".to_owned(), circumstances.peer(wanted)));
        }
        if let Some(wanted) = &self.history {
            pairs.push(("history".to_owned(), circumstances.history(wanted)));
        }
        if let Some(wanted) = &self.risk {
            pairs.push(("risk".to_owned(), circumstances.risk(wanted)));
        }
        // What fails here is an extension value in the input: a duration that is none, say.
        Context::from_pairs(pairs).map_err(|_| Misfit::at("arguments".to_owned()))
    }
}

impl Circumstances {
    fn now(&self) -> Timestamp {
        let supposed = self.supposition.as_ref().and_then(|supposition| supposition.at);
        supposed.unwrap_or_else(Timestamp::now)
    }

    fn peer(&self, wanted: &[&'static str]) -> RestrictedExpression {
        let text = |text: &Option<String>| text.clone().map(RestrictedExpression::new_string);
        shape::select(wanted, |member| match member {
            "ip" => Some(RestrictedExpression::new_ip(self.peer.to_canonical().to_string())),
            "provider" => text(&self.provider),
            _ => text(&self.model),
        })
    }

    fn history(&self, wanted: &[&'static str]) -> RestrictedExpression {
        let tally = match &self.supposition {
            Some(supposition) => supposition.history,
            None => self.histories.tally(&self.principal, Instant::now()),
        };
        shape::select(wanted, |member| {
            Some(RestrictedExpression::new_long(match member {
                "calls" => tally.calls,
                "denials" => tally.denials,
                _ => tally.tools,
            }))
        })
    }

    fn risk(&self, wanted: &[&'static str]) -> RestrictedExpression {
        let open = match &self.supposition {
            Some(supposition) => supposition.risk.clone(),
            None => self.watch.open_findings(&self.principal, Timestamp::now()),
        };
        let count = |number| i64::try_from(number).unwrap_or(i64::MAX);
        let text = |code: &&str| RestrictedExpression::new_string((*code).to_owned());
        shape::select(wanted, |member| {
            let number = match member {
                "open" => open.all(),
                "low" => open.low,
                "medium" => open.medium,
                "high" => open.high,
                "critical" => open.critical,
                _ => return Some(RestrictedExpression::new_set(open.detectors.iter().map(text))),
            };
            Some(RestrictedExpression::new_long(count(number)))
        })
    }
}

/// Where a client says for which provider and which model it asks.
const META_PROVIDER: &str = "cedargate/provider";
const META_MODEL: &str = "cedargate/model";
/// Longer than any name of a model.
const MAX_CLAIMED_BYTES: usize = 128;
