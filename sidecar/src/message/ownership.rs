//! Whose is what a message names? Sealed ids are opened for their owner or refused, as if what they
//! name had never been.

use super::{
    Content, META_RELATED_TASK, Message, Origin, RequestId, TargetKind,
    json::Json,
    method::{Method, RESPONSE},
};
use crate::{
    rejection::Rejection,
    session::{Kind, Owner, Seals},
};

impl Message {
    /// The message in the upstream's own ids, if everything that it names is `owner`'s.
    pub(crate) fn owned_by(mut self, owner: &Owner, seals: &Seals) -> Result<Self, Rejection> {
        if let Some(sealed) = self.route.session.take() {
            let opened = seals.open(Kind::Session, owner, "", &sealed);
            let [session] = opened.ok_or(Rejection::UnknownSession)?;
            self.route.session = Some(session);
        }
        self.open_event(owner, seals)?;
        if *self.method == RESPONSE {
            self.open_answered_request(owner, seals)?;
        }
        let related = match &mut self.content {
            Content::Answer(_, Json::Object(value)) => value.get_mut("_meta"),
            Content::Params(Some(params)) => params.get_mut("_meta"),
            Content::Answer(..) | Content::Params(None) => None,
        };
        open_related_task(related, owner, seals)?;
        if let Some((TargetKind::Task, sealed)) = &self.target {
            let (tool, task) = open_task(owner, seals, sealed)?;
            if let Some(params) = self.params_mut() {
                params.set("taskId", Json::from(task.as_str()));
            }
            self.mirror = self.mirror.take().and(Some(task));
            self.target = Some((TargetKind::Task, tool));
        }
        self.open_watched_tasks(owner, seals);
        self.open_request_state(owner, seals)?;
        Ok(self)
    }

    fn open_event(&mut self, owner: &Owner, seals: &Seals) -> Result<(), Rejection> {
        let Some(sealed) = self.route.after_event.take() else { return Ok(()) };
        let within = self.route.session.as_deref().unwrap_or_default();
        let opened = seals.open(Kind::Event, owner, within, &sealed);
        let [event, id, method, kind, target] = opened.ok_or(Rejection::UnknownSession)?;
        self.route.after_event = Some(event);
        self.route.origin = RequestId::from_text(&id).and_then(|id| {
            let method = Method::named(&method)?;
            let target = TargetKind::named(&kind).map(|kind| (kind, target));
            Some(Origin { id, method, target })
        });
        Ok(())
    }

    /// A response answers what the upstream asked of this very caller, or nothing.
    fn open_answered_request(&mut self, owner: &Owner, seals: &Seals) -> Result<(), Rejection> {
        let sealed = self.id.as_ref().and_then(|id| id.as_json().as_str());
        let within = self.route.session.as_deref().unwrap_or_default();
        let opened = sealed.and_then(|id| seals.open(Kind::Request, owner, within, id));
        let [id, method] = opened.ok_or(Rejection::UnexpectedResponse)?;
        self.id = RequestId::from_text(&id);
        self.method = Method::asked_of_clients(&method).ok_or(Rejection::UnexpectedResponse)?;
        Ok(())
    }

    /// `taskIds` of a subscription; what is not the caller's is not watched.
    fn open_watched_tasks(&mut self, owner: &Owner, seals: &Seals) {
        let filter = self.params_mut().and_then(|params| params.get_mut("notifications"));
        if let Some(Json::Object(filter)) = filter
            && let Some(Json::Array(tasks)) = filter.get_mut("taskIds")
        {
            let open = |task: &Json| open_task(owner, seals, task.as_str()?).ok();
            *tasks = tasks.iter().filter_map(open).map(|(_, id)| Json::String(id)).collect();
        }
    }
}

/// A task's id as its owner gets it.
pub(crate) fn sealed_task(seals: &Seals, owner: &Owner, tool: &str, task: &str) -> Option<String> {
    seals.seal(Kind::Task, owner, "", &[tool, task])
}

/// The tool that made a task, and the upstream's id of it.
fn open_task(owner: &Owner, seals: &Seals, sealed: &str) -> Result<(String, String), Rejection> {
    let opened = seals.open(Kind::Task, owner, "", sealed);
    let [tool, task] =
        opened.ok_or_else(|| Rejection::UnknownTarget(TargetKind::Task, sealed.to_owned()))?;
    Ok((tool, task))
}

fn open_related_task(
    meta: Option<&mut Json>,
    owner: &Owner,
    seals: &Seals,
) -> Result<(), Rejection> {
    let Some(Json::Object(meta)) = meta else { return Ok(()) };
    let related = match meta.get_mut(META_RELATED_TASK) {
        None => return Ok(()),
        Some(Json::Object(related)) => related,
        Some(_) => return Err(Rejection::InvalidParams),
    };
    let task = related.get("taskId").and_then(Json::as_str).ok_or(Rejection::InvalidParams)?;
    let (_, own) = open_task(owner, seals, task)?;
    related.set("taskId", Json::String(own));
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::{
        message::{Envelope, Target},
        token::Claims,
    };

    pub(in crate::message) fn owner(name: &str) -> Owner {
        Owner::of(&Claims::for_test(name, &[]))
    }

    fn legacy(pairs: &[(&'static str, &str)], body: &str) -> Message {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        Envelope::read(&headers, body.as_bytes()).unwrap().confirmed_by(&headers).unwrap()
    }

    pub(in crate::message) fn modern(method: &str, name: Option<&str>, params: &str) -> Message {
        let version = "2026-07-28";
        let mut pairs = vec![("mcp-protocol-version", version), ("mcp-method", method)];
        pairs.extend(name.map(|name| ("mcp-name", name)));
        let meta = format!(
            r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}","io.modelcontextprotocol/clientCapabilities":{{"extensions":{{"io.modelcontextprotocol/tasks":{{}}}}}}}}"#
        );
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params},{meta}}}}}"#
        );
        legacy(&pairs, &body)
    }

    pub(in crate::message) fn refusal(
        message: Message,
        owner: &Owner,
        seals: &Seals,
    ) -> &'static str {
        message.owned_by(owner, seals).unwrap_err().reason()
    }

    pub(in crate::message) fn text(message: &Message) -> String {
        String::from_utf8(message.write()).unwrap()
    }

    #[test]
    fn a_session_and_its_streams_are_their_owners() {
        let (seals, alice, bob) = (Seals::new(None, "r").unwrap(), owner("alice"), owner("bob"));
        let session = seals.seal(Kind::Session, &alice, "", &["s-1"]).unwrap();
        let event = seals
            .seal(Kind::Event, &alice, "s-1", &["e-1", "7", "tools/call", "tool", "t"])
            .unwrap();
        let listening = |session: &str, event: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("mcp-session-id", HeaderValue::from_str(session).unwrap());
            headers.insert("last-event-id", HeaderValue::from_str(event).unwrap());
            Message::without_body(&http::Method::GET, &headers).unwrap()
        };
        let route = listening(&session, &event).owned_by(&alice, &seals).unwrap().route;
        assert_eq!(route.session.as_deref(), Some("s-1"));
        assert_eq!(route.after_event.as_deref(), Some("e-1"));
        let origin = route.origin.unwrap();
        assert!(origin.id.is("7"));
        assert_eq!((origin.method.name, origin.target()), ("tools/call", Target::Tool("t")));
        assert_eq!(refusal(listening(&session, &event), &bob, &seals), "unknown-session");
        assert_eq!(refusal(listening("s-1", &event), &alice, &seals), "unknown-session");
        assert_eq!(refusal(listening(&session, "e-1"), &alice, &seals), "unknown-session");
        let elsewhere = seals.seal(Kind::Event, &alice, "s-2", &["e-1", "", "", "", ""]).unwrap();
        assert_eq!(refusal(listening(&session, &elsewhere), &alice, &seals), "unknown-session");
    }

    #[test]
    fn a_response_answers_what_was_asked_of_its_sender() {
        let (seals, alice, bob) = (Seals::new(None, "r").unwrap(), owner("alice"), owner("bob"));
        let asked = seals.seal(Kind::Request, &alice, "", &["5", "elicitation/create"]).unwrap();
        let body = format!(r#"{{"jsonrpc":"2.0","id":"{asked}","result":{{"action":"accept"}}}}"#);
        let message = legacy(&[], &body).owned_by(&alice, &seals).unwrap();
        assert_eq!(message.method().name, "elicitation/create");
        assert_eq!(text(&message), r#"{"jsonrpc":"2.0","id":5,"result":{"action":"accept"}}"#);
        assert_eq!(refusal(legacy(&[], &body), &bob, &seals), "unexpected-response");
        for id in ["5", "\"5\""] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
            assert_eq!(refusal(legacy(&[], &body), &alice, &seals), "unexpected-response");
        }
    }

    #[test]
    fn a_task_is_its_owners_and_its_tools() {
        let (seals, alice, bob) = (Seals::new(None, "r").unwrap(), owner("alice"), owner("bob"));
        let task = sealed_task(&seals, &alice, "make_report", "t-1").unwrap();
        let params = format!(r#""taskId":"{task}""#);
        let get = |name: &str| modern("tasks/get", Some(name), &params);
        let message = get(&task).owned_by(&alice, &seals).unwrap();
        assert_eq!(message.target(), Target::Tool("make_report"));
        assert_eq!(message.mirror(), Some("t-1"));
        assert!(text(&message).contains(r#""taskId":"t-1""#), "{}", text(&message));
        assert_eq!(refusal(get(&task), &bob, &seals), "unknown-task");
        let raw = modern("tasks/get", Some("t-1"), r#""taskId":"t-1""#);
        assert_eq!(refusal(raw, &alice, &seals), "unknown-task");
    }

    #[test]
    fn only_own_tasks_are_watched_or_related_to() {
        let (seals, alice, bob) = (Seals::new(None, "r").unwrap(), owner("alice"), owner("bob"));
        let [own, other] =
            [&alice, &bob].map(|who| sealed_task(&seals, who, "tool", "t-1").unwrap());
        let params = format!(r#""notifications":{{"taskIds":["{own}","{other}","t-1"]}}"#);
        let listen = modern("subscriptions/listen", None, &params);
        let message = listen.owned_by(&alice, &seals).unwrap();
        assert!(text(&message).contains(r#""taskIds":["t-1"]"#), "{}", text(&message));
        let related = |id: &str| {
            let meta = format!(r#"{{"{META_RELATED_TASK}":{{"taskId":"{id}"}}}}"#);
            legacy(
                &[],
                &format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"_meta":{meta}}}}}"#
                ),
            )
        };
        assert!(text(&related(&own).owned_by(&alice, &seals).unwrap()).contains("t-1"));
        assert_eq!(refusal(related(&other), &alice, &seals), "unknown-task");
        let misshapen = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"_meta":{{"{META_RELATED_TASK}":"t-1"}}}}}}"#
        );
        assert_eq!(refusal(legacy(&[], &misshapen), &alice, &seals), "invalid-params");
    }
}
