//! What a caller brings back when it makes a request again with more input (MCP 2026-07-28, MRTR):
//! the upstream's own state and what was asked, sealed, so that nothing else is answered.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{
    Message,
    json::{Json, Object},
    method::Method,
};
use crate::{
    rejection::Rejection,
    session::{Kind, Owner, Seals},
};

impl Message {
    /// What the upstream wants back when a request is made again with more input, and answers to
    /// what it asked for; others are left out.
    pub(super) fn open_request_state(
        &mut self,
        owner: &Owner,
        seals: &Seals,
    ) -> Result<(), Rejection> {
        if !self.era.is_modern() || !self.method.may_ask_back() {
            return Ok(());
        }
        let within = state_context(self.method, self.target_name());
        let Some(params) = self.params_mut() else { return Ok(()) };
        let asked = match params.remove("requestState") {
            None | Some(Json::Null) => Vec::new(),
            Some(state) => {
                let opened =
                    state.as_str().and_then(|s| seals.open(Kind::State, owner, &within, s));
                let state = RequestState::from_parts(opened.ok_or(Rejection::InvalidParams)?)?;
                if let Some(own) = state.own {
                    params.set("requestState", Json::String(own));
                }
                state.asked
            }
        };
        match params.get_mut("inputResponses") {
            None | Some(Json::Null) => {}
            Some(Json::Object(responses)) => {
                responses.retain(|name| asked.iter().any(|(own, _)| own == name));
                let answered = asked.iter().filter(|(name, _)| responses.get(name).is_some());
                self.answering = answered.map(|&(_, method)| method).collect();
            }
            Some(_) => return Err(Rejection::InvalidParams),
        }
        Ok(())
    }
}

/// What was asked, and the upstream's own notes about it.
pub(crate) struct RequestState {
    /// The upstream's own, if it gave one.
    pub(crate) own: Option<String>,
    /// What it asked, each under a name.
    pub(crate) asked: Vec<(String, &'static Method)>,
}

impl RequestState {
    /// Good for its owner, for the same method and target, for a day.
    pub(crate) fn sealed(
        &self,
        seals: &Seals,
        owner: &Owner,
        (method, target): (&Method, Option<&str>),
    ) -> Option<String> {
        let mut asked = Object::default();
        for (name, method) in &self.asked {
            asked.set(name, Json::from(method.name));
        }
        let mut questions = Vec::new();
        asked.write(&mut questions);
        let questions = String::from_utf8(questions).ok()?;
        let (has_own, own) = match &self.own {
            Some(own) => ("own", own.as_str()),
            None => ("", ""),
        };
        let parts = [own, has_own, &questions, &seconds().to_string()];
        seals.seal(Kind::State, owner, &state_context(method, target), &parts)
    }

    fn from_parts([own, has_own, questions, sealed_at]: [String; 4]) -> Result<Self, Rejection> {
        let fresh =
            sealed_at.parse().is_ok_and(|at| seconds().saturating_sub(at) <= STATE_LIFETIME);
        let Ok(Json::Object(questions)) = Json::read_answer(questions.as_bytes()) else {
            return Err(Rejection::InvalidParams);
        };
        let method = |value: &Json| Method::asked_of_clients(value.as_str()?);
        let asked = Object::iter(&questions)
            .filter_map(|(name, value)| Some((name.to_owned(), method(value)?)))
            .collect();
        if fresh {
            Ok(Self { own: (!has_own.is_empty()).then_some(own), asked })
        } else {
            Err(Rejection::InvalidParams)
        }
    }
}

fn state_context(method: &Method, target: Option<&str>) -> String {
    format!("{} {}", method.name, target.unwrap_or_default())
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// People take their time to answer; a day is more than any of them takes.
const STATE_LIFETIME: u64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::{
        super::ownership::tests::{modern, owner, refusal, text},
        *,
    };

    #[test]
    fn a_request_state_is_good_for_one_method_and_target_and_what_was_asked() {
        let (seals, alice, bob) = (Seals::new(None, "r").unwrap(), owner("alice"), owner("bob"));
        let call = Method::named("tools/call").unwrap();
        let asked = vec![("q".to_owned(), Method::asked_of_clients("elicitation/create").unwrap())];
        let state = RequestState { own: Some("s-1".to_owned()), asked };
        let state = state.sealed(&seals, &alice, (call, Some("book"))).unwrap();
        let again = |tool: &str, responses: &str| {
            let params =
                format!(r#""name":"{tool}","requestState":"{state}","inputResponses":{responses}"#);
            modern("tools/call", Some(tool), &params)
        };
        let message = again("book", r#"{"q":1,"z":2}"#).owned_by(&alice, &seals).unwrap();
        let written = text(&message);
        assert!(written.contains(r#""requestState":"s-1""#), "{written}");
        assert!(written.contains(r#""inputResponses":{"q":1}"#), "{written}");
        assert_eq!(message.answering().len(), 1);
        assert_eq!(refusal(again("pay", "{}"), &alice, &seals), "invalid-params");
        assert_eq!(refusal(again("book", "{}"), &bob, &seals), "invalid-params");
        assert_eq!(refusal(again("book", "[]"), &alice, &seals), "invalid-params");

        let unasked = r#""name":"book","inputResponses":{"q":1}"#;
        let unasked = modern("tools/call", Some("book"), unasked);
        let written = text(&unasked.owned_by(&alice, &seals).unwrap());
        assert!(written.contains(r#""inputResponses":{}"#), "nothing was asked: {written}");
        let parts = ["s-1", "own", "{}", "1700000000"];
        let old = seals.seal(Kind::State, &alice, "tools/call book", &parts).unwrap();
        let params = format!(r#""name":"book","requestState":"{old}""#);
        let stale = modern("tools/call", Some("book"), &params);
        assert_eq!(refusal(stale, &alice, &seals), "invalid-params");
    }
}
