//! May they? The one place that turns a [`Message`] into an [`Authorized`] one.
//!
//! Cedar decides over principal, action, resource and context. A request is permitted when Cedar
//! allows it *and* no policy failed to evaluate: Cedar passes over a policy that errors, so an
//! erroring `forbid` would otherwise forbid nothing.

mod access;
mod annotations;
mod arguments;
mod compile;
mod context;
mod digests;
pub(crate) mod example;
pub(crate) mod explain;
mod facts;
mod groups;
mod history;
pub(crate) mod import;
mod issued_names;
mod listing;
mod mentions;
pub(crate) mod offer;
pub(crate) mod pins;
mod policies;
mod problems;
mod reload;
mod residual;
pub(crate) mod schema;
mod scopes;
mod shape;
mod source;
mod standing;
mod step_up;
mod subject;
pub(crate) mod tool_needs;
pub(crate) mod tryout;
mod validation;
mod vocabulary;

use cedar_policy::{AuthorizationError, Authorizer, Context, Decision, PolicySet};

use crate::{
    config::Disclosure,
    message::{Form, Message, Method, Target, TargetKind},
    rejection::Rejection,
    token::Claims,
};
use access::AccessRequest;
pub(crate) use digests::Digests;
use listing::Visibility;
pub(crate) use pins::Lock;
pub(crate) use policies::{Policies, PolicyStatus, Summary};
use subject::Principal;

pub(crate) use annotations::{AuditLevel, Obligations, RateLimit};
pub(crate) use arguments::Misfit;
pub(crate) use context::Circumstances;
pub(crate) use history::Histories;
pub(crate) use listing::Listing;
pub use problems::PolicyError;
pub(crate) use reload::PolicyStore;
pub(crate) use scopes::ScopeHierarchy;
pub(crate) use source::is_kebab_case;
pub(crate) use standing::Standing;
pub(crate) use vocabulary::tool_action;

/// Proof that policy permitted `T`, with the policies that did.
///
/// Only the authorizer makes one, and only one of these opens the way upstream:
///
/// ```
/// fn forward(_: sidecar::Authorized<sidecar::Message>) {}
/// ```
///
/// Nothing else can, since the fields are private:
///
/// ```compile_fail,E0451
/// fn forward(_: sidecar::Authorized<sidecar::Message>) {}
/// fn forge(message: sidecar::Message) {
///     forward(sidecar::Authorized {
///         value: message,
///         determining_policies: Vec::new(),
///         obligations: todo!(),
///     });
/// }
/// ```
#[derive(Debug)]
pub struct Authorized<T> {
    value: T,
    determining_policies: Vec<String>,
    obligations: Obligations,
}

impl Authorized<Message> {
    /// What the gate itself asks, for nobody: to be told what there is, and nothing else.
    pub(crate) fn of_the_gates_own(message: Message) -> Result<Self, Rejection> {
        const ASKED: [&str; 7] = [
            "server/discover",
            "initialize",
            "notifications/initialized",
            "tools/list",
            "prompts/list",
            "resources/list",
            "resources/templates/list",
        ];
        if !ASKED.contains(&message.method().name) {
            return Err(Rejection::UnknownMethod);
        }
        let determining_policies = vec!["built-in:survey".to_owned()];
        Ok(Self { value: message, determining_policies, obligations: Obligations::default() })
    }
}

/// Who asks, and from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) claims: &'a Claims,
    pub(crate) circumstances: &'a Circumstances,
}

/// What is decided about a message, and what would be if policies in the shadow were enforced.
pub(crate) struct Decided {
    pub(crate) outcome: Result<Authorized<Message>, Rejection>,
    pub(crate) shadow: Option<Shadow>,
    /// Whether it is refused by nothing but policies that look at `context.risk`.
    pub(crate) for_risk: bool,
}

/// What policies in the shadow say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shadow {
    /// Those that would have decided.
    pub(crate) policies: Vec<String>,
    /// Whether the decision would have been another.
    pub(crate) flips: bool,
}

impl<T> Authorized<T> {
    /// What was permitted.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// Ids of the policies that permitted it.
    pub fn determining_policies(&self) -> &[String] {
        &self.determining_policies
    }

    /// What these policies ask for beside.
    pub(crate) fn obligations(&self) -> &Obligations {
        &self.obligations
    }
}

/// Cedar's answer, its errors already counted as a refusal of their own.
enum Verdict {
    Permitted(Vec<String>),
    Refused(Vec<String>),
    Failed(Vec<String>),
}

impl Policies {
    /// Asks whether the caller may send this message, and says why not.
    pub(crate) fn authorize(&self, asker: &Asker<'_>, message: Message) -> Decided {
        let mut shadow = None;
        let outcome = self.decide(asker, message, &mut shadow);
        let by = outcome.as_ref().err().map(Rejection::policies).unwrap_or_default();
        let for_risk = !by.is_empty() && by.iter().all(|id| self.risk_readers.contains(id));
        Decided { outcome, shadow, for_risk }
    }

    fn decide(
        &self,
        asker: &Asker<'_>,
        mut message: Message,
        shadow: &mut Option<Shadow>,
    ) -> Result<Authorized<Message>, Rejection> {
        let claims = asker.claims;
        let permitted = |message, determining_policies, obligations| {
            Ok(Authorized { value: message, determining_policies, obligations })
        };
        // Without these no client speaks at all, so they are for everyone who has a token.
        if let Some(by) = handshake(message.method()) {
            return permitted(message, vec![by.to_owned()], Obligations::default());
        }
        let target = message.target();
        let Some(action) = self.action(message.method(), target) else {
            return Err(absent(message.method(), target));
        };
        self.require_usable_task(claims, &message)?;
        self.require_resumable(claims, &message)?;
        self.require_answerable_questions(asker, &message)?;
        let asked = self.asked(Principal::of(claims), action, target);
        let context = match action.context_of(message.arguments(), asker.circumstances) {
            Ok(context) => context,
            // From whom a tool is hidden, its arguments are too.
            Err(Misfit { path, what }) => {
                let told = Rejection::InvalidArguments { path, what };
                return Err(self.unless_hidden(&asked, told, Vec::new())?);
            }
        };
        let verdict = self.ask(&asked, &context);
        *shadow = self.ask_shadow(&asked, &context, &verdict);
        match verdict {
            Verdict::Permitted(by) => {
                message.keep_subscriptions(|uri| self.may_watch(asker, uri));
                let obligations = action.obligations_of(by.iter().cloned());
                permitted(message, by, obligations)
            }
            Verdict::Failed(policies) => {
                tracing::error!(action = action.name(), ?policies, "policies failed to evaluate");
                let told = Rejection::EvaluationFailed { policies: policies.clone() };
                Err(self.unless_hidden(&asked, told, policies)?)
            }
            Verdict::Refused(policies) => Err(self.why_not(&asked, &context, policies)?),
        }
    }

    /// Whether the upstream may ask this of the caller's client, or tell it of this resource: a
    /// message that goes the other way.
    pub(crate) fn permits(&self, asker: &Asker<'_>, method: &str, target: Target<'_>) -> bool {
        let Some(action) = Method::of_action(method).and_then(|m| self.action(m, target)) else {
            return false;
        };
        let asked = self.asked(Principal::of(asker.claims), action, target);
        let Ok(context) = action.context.build(None, asker.circumstances) else { return false };
        matches!(self.ask(&asked, &context), Verdict::Permitted(_))
    }

    /// Whether the caller may be told when the resource changes.
    pub(crate) fn may_watch(&self, asker: &Asker<'_>, uri: &str) -> bool {
        self.permits(asker, "resources/subscribe", Target::Resource(uri))
    }

    /// What a tool does later is for whom the tool is.
    fn require_usable_task(&self, claims: &Claims, message: &Message) -> Result<(), Rejection> {
        let Target::Tool(tool) = message.target() else { return Ok(()) };
        if message.method().calls_a_tool() || self.shows(claims, "tools/call", message.target())? {
            return Ok(());
        }
        tracing::debug!(tool, "a task of a tool that is no longer the caller's to use");
        Err(Rejection::Denied { policies: Vec::new() })
    }

    /// A stream is taken up again by whom may still ask what it answers.
    fn require_resumable(&self, claims: &Claims, message: &Message) -> Result<(), Rejection> {
        let Some(origin) = &message.route().origin else { return Ok(()) };
        let task = origin.method.target == TargetKind::Task;
        if self.shows(claims, origin.method.name, origin.target())?
            && (!task || self.shows(claims, "tools/call", origin.target())?)
        {
            return Ok(());
        }
        Err(Rejection::Denied { policies: Vec::new() })
    }

    /// A question is answered by whom it may be put to.
    fn require_answerable_questions(
        &self,
        asker: &Asker<'_>,
        message: &Message,
    ) -> Result<(), Rejection> {
        let may = |method: &&Method| self.permits(asker, method.name, Target::Server);
        match message.answering().iter().find(|method| !may(method)) {
            None => Ok(()),
            Some(method) => Err(Rejection::QuestionDenied { method: method.name.to_owned() }),
        }
    }

    /// A denial in the caller's terms: which scopes would do, else no, else as if it were absent.
    fn why_not(
        &self,
        asked: &AccessRequest<'_>,
        context: &Context,
        policies: Vec<String>,
    ) -> Result<Rejection, Rejection> {
        if let Some(required) = self.scopes_that_permit(asked, context) {
            return Ok(Rejection::InsufficientScope { required, policies });
        }
        let told = Rejection::Denied { policies: policies.clone() };
        self.unless_hidden(asked, told, policies)
    }

    /// `told`, unless the caller must not know that there is anything to be told about: neither
    /// now nor after a step-up could it be permitted with any arguments.
    fn unless_hidden(
        &self,
        asked: &AccessRequest<'_>,
        told: Rejection,
        policies: Vec<String>,
    ) -> Result<Rejection, Rejection> {
        let scopes = self.attainable_scopes(asked);
        if self.visibility(&asked.with_scopes(&scopes))? != Visibility::Never {
            return Ok(told);
        }
        let Some((kind, name)) = asked.target.named() else { return Ok(told) };
        Ok(match self.denied_tools {
            Disclosure::Hidden => Rejection::HiddenTarget { kind, name: name.to_owned(), policies },
            Disclosure::Told if matches!(told, Rejection::InvalidArguments { .. }) => {
                Rejection::Denied { policies }
            }
            Disclosure::Told => told,
        })
    }

    fn ask(&self, asked: &AccessRequest<'_>, context: &Context) -> Verdict {
        self.ask_of(&asked.action.policies, asked, context)
    }

    /// What the decision would be if policies in the shadow were enforced beside the others.
    fn ask_shadow(
        &self,
        asked: &AccessRequest<'_>,
        context: &Context,
        enforced: &Verdict,
    ) -> Option<Shadow> {
        let shadow = asked.action.shadow.as_ref()?;
        let is_forbid = |id: &String| {
            let policy = shadow.policy(&cedar_policy::PolicyId::new(id));
            policy.is_some_and(|policy| policy.effect() == cedar_policy::Effect::Forbid)
        };
        let (policies, flips) = match (self.ask_of(shadow, asked, context), enforced) {
            // An error refuses.
            (Verdict::Failed(by), Verdict::Permitted(_)) => (by, true),
            (Verdict::Failed(by), _) => (by, false),
            (Verdict::Refused(by), Verdict::Permitted(_)) => {
                let forbids = by.iter().any(is_forbid);
                (by, forbids)
            }
            (Verdict::Permitted(by), Verdict::Refused(forbids)) => (by, forbids.is_empty()),
            (Verdict::Permitted(by) | Verdict::Refused(by), _) => (by, false),
        };
        (!policies.is_empty()).then_some(Shadow { policies, flips })
    }

    fn ask_of(
        &self,
        policies: &PolicySet,
        asked: &AccessRequest<'_>,
        context: &Context,
    ) -> Verdict {
        let built = self
            .request(asked, context.clone())
            .and_then(|request| Ok((request, self.entities(asked)?)));
        let (request, entities) = match built {
            Ok(built) => built,
            Err(_) => {
                // Cedar's words hold what the caller wrote.
                let action = asked.action.name();
                tracing::error!(action, "a request does not fit the schema in force");
                return Verdict::Failed(Vec::new());
            }
        };
        let response = Authorizer::new().is_authorized(&request, policies, &entities);
        let diagnostics = response.diagnostics();
        let mut failed: Vec<String> = diagnostics
            .errors()
            .map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id().to_string())
            .collect();
        if !failed.is_empty() {
            failed.sort();
            return Verdict::Failed(failed);
        }
        let mut determining: Vec<String> = diagnostics.reason().map(ToString::to_string).collect();
        determining.sort();
        match response.decision() {
            Decision::Allow => Verdict::Permitted(determining),
            Decision::Deny => Verdict::Refused(determining),
        }
    }
}

/// The answer for what does not exist.
fn absent(method: &Method, target: Target<'_>) -> Rejection {
    if matches!(method.form, Form::Listening | Form::Ending) {
        return Rejection::NotPost;
    }
    match target.named().filter(|_| method.target != TargetKind::Task) {
        Some((kind, name)) => Rejection::UnknownTarget(kind, name.to_owned()),
        None => Rejection::UnknownMethod,
    }
}

/// What stands in records where a policy id stands otherwise, for the messages with which a client
/// finds out in which era to speak and opens the conversation.
fn handshake(method: &Method) -> Option<&'static str> {
    match method.name {
        "server/discover" => Some("built-in:server-discover"),
        "initialize" => Some("built-in:initialize"),
        "notifications/initialized" => Some("built-in:initialized"),
        "session/end" => Some("built-in:session-end"),
        "ping" if method.form == Form::Response => Some("built-in:pong"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
