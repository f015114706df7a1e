//! Policies tried out: a supposed caller, a supposed call, and what would be decided. The same
//! code decides as for real callers; nothing is forwarded and nothing is recorded.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Asker, Circumstances, Decided, Policies, Verdict, context::Supposition, subject::Principal,
};
use crate::{
    message::{Envelope, Message, Method, TargetKind},
    rejection::Rejection,
    token::{Claims, Supposed},
    watch::OpenFindings,
};

/// A supposed request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trial {
    pub(crate) who: Supposed,
    pub(crate) method: String,
    /// The name of a tool or a prompt, or the URI of a resource.
    pub(crate) target: Option<String>,
    pub(crate) arguments: Option<Map<String, Value>>,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) provider: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) at: Option<Timestamp>,
    /// Calls, denials and tools of the last minutes.
    pub(crate) history: [i64; 3],
    /// What is open about the caller.
    pub(crate) risk: OpenFindings,
    /// Whether the tool's definition was seen changed.
    pub(crate) changed: bool,
}

/// Why a trial cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoTrial {
    #[error("`{0}` is no method that a caller can ask for")]
    Method(String),
    #[error("`{method}` names {kind}; say which")]
    Target { method: String, kind: &'static str },
    #[error("this is no message that the gate would read: {0}")]
    Message(&'static str),
}

impl Trial {
    pub(super) fn claims(&self) -> Claims {
        Claims::supposed(self.who.clone())
    }

    pub(crate) fn circumstances(&self) -> Circumstances {
        let [calls, denials, tools] = self.history;
        Circumstances::supposed(Supposition {
            peer: self.peer,
            provider: self.provider.clone(),
            model: self.model.clone(),
            at: self.at,
            history: super::history::Tally { calls, denials, tools },
            risk: self.risk.clone(),
        })
    }

    /// The message that it is, as the gate would read it.
    pub(super) fn message(&self) -> Result<Message, NoTrial> {
        let unknown = || NoTrial::Method(self.method.clone());
        let method = Method::named(&self.method).ok_or_else(unknown)?;
        let mut params = Map::new();
        match (method.target.member(), method.target, &self.target) {
            (Some(_), TargetKind::Task, _) => return Err(unknown()),
            (Some(member), _, Some(target)) => {
                params.insert(member.to_owned(), Value::from(target.as_str()));
            }
            (Some(_), kind, None) => {
                let method = self.method.clone();
                let kind = kind.name();
                return Err(NoTrial::Target { method, kind });
            }
            (None, TargetKind::Reference, Some(target)) => {
                let reference = json!({ "type": "ref/prompt", "name": target });
                params.insert("ref".to_owned(), reference);
                params.insert("argument".to_owned(), json!({ "name": "x", "value": "" }));
            }
            (None, ..) => {}
        }
        if let Some(arguments) = &self.arguments {
            params.insert("arguments".to_owned(), Value::Object(arguments.clone()));
        }
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": self.method, "params": params });
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let read = Envelope::read(&headers, body.to_string().as_bytes());
        read.and_then(|envelope| envelope.confirmed_by(&headers))
            .map_err(|rejection| NoTrial::Message(rejection.reason()))
    }
}

impl Policies {
    /// What would be decided.
    pub(crate) fn try_out(&self, trial: &Trial) -> Result<Tried, NoTrial> {
        let message = trial.message()?;
        let (claims, circumstances) = (trial.claims(), trial.circumstances());
        let asker = Asker { claims: &claims, circumstances: &circumstances };
        if let Some(tool) = trial.target.as_deref().filter(|_| trial.changed) {
            self.pins.suppose_changed(Some(tool));
        }
        let Decided { outcome, shadow, .. } = self.authorize(&asker, message);
        self.pins.suppose_changed(None);
        let outcome = outcome.map(|authorized| authorized.determining_policies().to_vec());
        Ok(Tried { outcome, shadow: shadow.map(|shadow| shadow.policies).unwrap_or_default() })
    }
}

impl Policies {
    /// A trial as `cedar run-tests` of the stock Cedar CLI reads it: request, entities, decision and
    /// reasons. Nothing for one that is refused before any policy is asked.
    pub(crate) fn as_cedar_test(
        &self,
        trial: &Trial,
    ) -> Result<Option<Map<String, Value>>, NoTrial> {
        let message = trial.message()?;
        let claims = trial.claims();
        let Some(action) = self.action(message.method(), message.target()) else { return Ok(None) };
        let asked = self.asked(Principal::of(&claims), action, message.target());
        let Ok(context) = action.context_of(message.arguments(), &trial.circumstances()) else {
            return Ok(None);
        };
        let (decision, policies, errors) = match self.ask(&asked, &context) {
            Verdict::Permitted(by) => ("allow", by, 0),
            Verdict::Refused(by) => ("deny", by, 0),
            Verdict::Failed(by) => ("deny", Vec::new(), by.len()),
        };
        let written = |what: Option<String>| what.ok_or(NoTrial::Message("it cannot be written"));
        let context = context.to_json_value().map_err(|_| NoTrial::Message("its context"));
        let entities =
            self.entities(&asked).ok().and_then(|entities| entities.to_json_value().ok());
        let entities = entities.ok_or(NoTrial::Message("its entities"))?;
        let request = json!({
            "principal": written(Some(self.principal(&asked.principal).to_string()))?,
            "action": asked.action.uid.to_string(),
            "resource": self.resource(asked.target).to_string(),
            "context": context?,
        });
        Ok(Some(Map::from_iter([
            ("request".to_owned(), request),
            ("entities".to_owned(), entities),
            ("decision".to_owned(), json!(decision)),
            ("reason".to_owned(), json!(policies)),
            ("num_errors".to_owned(), json!(errors)),
        ])))
    }

    /// All policies that are enforced, in one text.
    pub(crate) fn enforced_text(&self) -> String {
        let in_shadow = |id: &str| {
            let id = cedar_policy::PolicyId::new(id);
            let shadow = self.actions.values().filter_map(|rules| rules.shadow.as_ref());
            shadow.into_iter().any(|set| set.policy(&id).is_some())
        };
        let enforced = self.texts.iter().filter(|(id, _)| !in_shadow(id));
        enforced.map(|(_, text)| format!("{text}\n\n")).collect()
    }
}

/// What would be decided, and what policies in the shadow would say.
#[derive(Debug, Clone)]
pub(crate) struct Tried {
    /// The policies that permit, or the refusal.
    pub(crate) outcome: Result<Vec<String>, Rejection>,
    pub(crate) shadow: Vec<String>,
}

impl Tried {
    /// `permit` or the reason code of the refusal.
    pub(crate) fn decision(&self) -> &'static str {
        match &self.outcome {
            Ok(_) => PERMIT,
            Err(rejection) => rejection.reason(),
        }
    }

    /// The policies that decided.
    pub(crate) fn policies(&self) -> &[String] {
        match &self.outcome {
            Ok(policies) => policies,
            Err(rejection) => rejection.policies(),
        }
    }

    /// All scopes that the call needs, when more would permit it.
    pub(crate) fn required_scopes(&self) -> &[String] {
        match &self.outcome {
            Err(Rejection::InsufficientScope { required, .. }) => required,
            _ => &[],
        }
    }
}

/// What a decision to permit is called.
pub(crate) const PERMIT: &str = "permit";
