use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::response::IntoResponse as _;
use client::{
    agent::{
        Agent, Bounds, INSTRUCTIONS,
        event::{Event, Stopped, Verdict},
        zones::{Zone, Zones},
    },
    model::{Message, Model},
    session::{
        Era, Session,
        host::{Answer, Host, Progress, Question},
    },
    token::TokenSource,
};
use harness::{Fixture, Offered, ScriptedModel, Stack, calls, converse, scripted::Scripted};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::mpsc;

const EVERYTHING: &str = "@id(\"everything\") permit (principal, action, resource);";

async fn tokens(stack: &Stack, scopes: &[&str]) -> Arc<TokenSource> {
    Arc::new(stack.tokens(stack.token_options(scopes)).await.unwrap())
}

async fn session(stack: &Stack, scopes: &[&str]) -> Session {
    let tokens = tokens(stack, scopes).await;
    Session::open(stack.http(), &stack.resource(), tokens, Era::Newest).await.unwrap()
}

fn lookup(id: &str) -> (&'static str, Value) {
    ("get_customer_info", json!({ "customer_id": id }))
}

/// A gate that lets everything through to a server with tools of every kind.
async fn before_the_fixture() -> Stack {
    Stack::with()
        .upstream(Fixture::router())
        .offered(&Offered::with_prompts(&Fixture::tools(), &Fixture::prompts()))
        .policies(EVERYTHING)
        .start()
        .await
}

async fn over(mut stack: Stack) {
    stack.forget_decisions().await;
    stack.finish().await;
}

#[tokio::test]
async fn calls_of_one_turn_are_made_side_by_side_and_told_in_their_order() {
    let stack = Stack::start().await;
    let model = ScriptedModel::calling("a/1", &[&[lookup("ABC123"), lookup("JOHNDOE123")]]);
    let session = session(&stack, &["customer:read"]).await;
    let conversed = converse(model.clone(), session, "both").await;
    assert_eq!(conversed.report.answer, "done");
    assert_eq!((conversed.report.rounds, conversed.report.usage.input), (2, 20));
    assert!(conversed.calls().iter().all(|(_, verdict, _)| **verdict == Verdict::Done));
    let told = model.told().pop().unwrap();
    let Some(Message::Tools { results }) = told.messages().last() else { panic!("{told:?}") };
    let names: Vec<_> = results.iter().map(|result| result.text.contains("John Doe")).collect();
    assert_eq!(names, [false, true], "{results:?}");
    over(stack).await;
}

/// What one provider's model would get through and another's would not.
#[tokio::test]
async fn arguments_that_can_be_read_in_two_ways_never_leave_whatever_the_provider() {
    let stack = Stack::start().await;
    let written = [
        (r#"{"customer_id":"ABC123","customer_id":"JOHNDOE123"}"#, "malformed-arguments"),
        (r#"{"customer_id":"ABC123",}"#, "malformed-arguments"),
        (r#"{"customer_id":"ABC123""#, "malformed-arguments"),
        (r#"["ABC123"]"#, "malformed-arguments"),
        (r#"{"customer_id":123456}"#, "invalid-arguments"),
        (r#"{"customer_id":"abc"}"#, "invalid-arguments"),
        (r#"{"customer_id":"ABC123","admin":true}"#, "invalid-arguments"),
    ];
    let mut seen = Vec::new();
    for provider in ["openai/x", "anthropic/y", "gemini/z", "local/w"] {
        let turns: Vec<_> =
            written.iter().map(|(text, _)| ("get_customer_info", json!(text))).collect();
        let model = ScriptedModel::calling(provider, &[&turns]);
        let session = session(&stack, &["customer:read"]).await;
        let mark = stack.spy().mark();
        let mut agent = Agent::new(model, Zones::common(session), INSTRUCTIONS, Bounds::default());
        agent.zones().list().await.unwrap();
        let listed = stack.spy().seen().len();
        let mut events = Vec::new();
        agent.answer("look", &mut |event| events.push(event)).await.unwrap();
        assert!(stack.spy().mark() != mark && !stack.spy().seen()[listed..].contains("tools/call"));
        agent.close().await;
        let mut decided: Vec<_> = calls(&events)
            .into_iter()
            .map(|(tool, verdict, text)| (tool.to_owned(), verdict.clone(), text.to_owned()))
            .collect();
        decided.sort_by_key(|(_, _, text)| text.clone());
        for (_, reason) in written {
            let not_sent = Verdict::NotSent(reason.to_owned());
            assert!(decided.iter().any(|(_, verdict, _)| *verdict == not_sent), "{decided:?}");
        }
        seen.push(decided);
    }
    assert!(seen.iter().all(|decided| *decided == seen[0]), "the same whatever the provider");
    over(stack).await;
}

#[tokio::test]
async fn the_gate_is_told_provider_and_model() {
    let mut stack = Stack::start().await;
    let model = ScriptedModel::calling("vllm/qwen/3", &[&[lookup("ABC123")]]);
    let session = session(&stack, &["customer:read"]).await;
    converse(model, session, "look").await;
    let decisions = stack.take_decisions().await;
    let call = decisions.iter().find(|r| r.method.as_deref() == Some("tools/call")).unwrap();
    assert_eq!(call.provider.as_deref(), Some("vllm"));
    assert_eq!(call.model.as_deref(), Some("qwen/3"));
    stack.finish().await;
}

#[tokio::test]
async fn an_endless_caller_is_stopped_by_every_bound() {
    let stack = Stack::start().await;
    let turns = vec![[lookup("ABC123"), lookup("JOHNDOE123")]; 20];
    let turns: Vec<&[_]> = turns.iter().map(<[_; 2]>::as_slice).collect();
    let usual = Bounds::default();
    for (bounds, stopped, made) in [
        (Bounds { rounds: 3, ..usual.clone() }, Stopped::Rounds, 6),
        (Bounds { calls: 5, ..usual.clone() }, Stopped::Calls, 4),
        (Bounds { tokens: Some(22), ..usual.clone() }, Stopped::Tokens, 2),
        (Bounds { time: Duration::ZERO, ..usual }, Stopped::Time, 0),
    ] {
        let model = ScriptedModel::calling("a/1", &turns);
        let zones = Zones::common(session(&stack, &["customer:read"]).await);
        let mut agent = Agent::new(model.clone(), zones, INSTRUCTIONS, bounds);
        let mut events = Vec::new();
        let report = agent.answer("all", &mut |event| events.push(event)).await.unwrap();
        assert_eq!(report.stopped, Some(stopped));
        let done = calls(&events).into_iter().filter(|(_, verdict, _)| **verdict == Verdict::Done);
        assert_eq!(done.count(), made, "{stopped:?}");
        // Every call of the conversation has its result, so that it can go on.
        let open = agent.conversation().messages().windows(2).filter(|pair| {
            matches!(&pair[0], Message::Assistant(turn) if !turn.calls.is_empty())
                && !matches!(&pair[1], Message::Tools { .. })
        });
        assert_eq!(open.count(), 0, "{:?}", agent.conversation());
        agent.close().await;
    }
    over(stack).await;
}

#[tokio::test]
async fn a_conversation_that_was_stopped_midway_goes_on_and_repeats_nothing() {
    let stack = before_the_fixture().await;
    let model = ScriptedModel::calling(
        "a/1",
        &[&[("slow_compute", json!({ "seconds": 60 })), ("test_simple_text", json!({}))]],
    );
    let zones = Zones::common(session(&stack, &["customer:read"]).await);
    let mut agent = Agent::new(model.clone(), zones, INSTRUCTIONS, Bounds::default());
    let (told, mut telling) = mpsc::unbounded_channel();
    let mut tell = move |event: Event| drop(told.send(event));
    tokio::select! {
        outcome = agent.answer("go", &mut tell) => panic!("{outcome:?}"),
        // As Ctrl-C does, once the quick call has been answered.
        () = async {
            while let Some(event) = telling.recv().await {
                if matches!(&event, Event::Called { .. }) {
                    break;
                }
            }
        } => {}
    }
    agent.answer("and now?", &mut |_| {}).await.unwrap();
    let told = model.told().pop().unwrap();
    let results = told.messages().iter().find_map(|message| match message {
        Message::Tools { results } => Some(results),
        _ => None,
    });
    let results = results.unwrap();
    assert!(results[0].text.starts_with("Stopped before"), "{results:?}");
    assert!(results[1].succeeded, "what was answered is kept: {results:?}");
    agent.close().await;
    over(stack).await;
}

/// A person who gives one answer to everything.
#[derive(Debug)]
struct Person {
    answer: Answer,
    asked: mpsc::UnboundedSender<Question>,
    shown: mpsc::UnboundedSender<Progress>,
}

#[async_trait]
impl Host for Person {
    fn can_be_asked(&self) -> bool {
        true
    }

    async fn asked(&self, question: Question) -> Answer {
        self.asked.send(question).unwrap();
        self.answer.clone()
    }

    fn progressed(&self, progress: Progress) {
        self.shown.send(progress).unwrap();
    }
}

#[tokio::test]
async fn what_the_server_wants_to_know_is_asked_of_the_person_in_both_eras() {
    let stack = before_the_fixture().await;
    let accepted = Answer::Accept(json!({ "name": "Ada" }));
    for (era, tool, arguments, answer, says) in [
        (
            Era::Newest,
            "test_input_required_result_elicitation",
            json!({}),
            accepted.clone(),
            "Hello, Ada!",
        ),
        (
            Era::Legacy,
            "test_elicitation",
            json!({ "message": "Who?" }),
            accepted,
            r#""name":"Ada""#,
        ),
        (Era::Legacy, "test_elicitation", json!({ "message": "Who?" }), Answer::Decline, "decline"),
    ] {
        let (asked, mut questions) = mpsc::unbounded_channel();
        let (shown, _progress) = mpsc::unbounded_channel();
        let person = Arc::new(Person { answer, asked, shown });
        let tokens = tokens(&stack, &["customer:read"]).await;
        let session =
            Session::open_for(person, stack.http(), &stack.resource(), tokens, era).await.unwrap();
        let model = ScriptedModel::calling("a/1", &[&[(tool, arguments)]]);
        let conversed = converse(model, session, "go").await;
        let [(_, verdict, text)] = conversed.calls()[..] else { panic!("{conversed:?}") };
        assert_eq!(verdict, &Verdict::Done, "{text}");
        assert!(text.contains(says), "{text}");
        assert!(matches!(questions.recv().await, Some(Question::Form { .. })));
    }
    over(stack).await;
}

#[tokio::test]
async fn progress_is_shown_as_it_is_made() {
    let stack = before_the_fixture().await;
    let (asked, _questions) = mpsc::unbounded_channel();
    let (shown, mut progress) = mpsc::unbounded_channel();
    let person = Arc::new(Person { answer: Answer::Decline, asked, shown });
    let tokens = tokens(&stack, &["customer:read"]).await;
    let (http, gate) = (stack.http(), stack.resource());
    let session = Session::open_for(person, http, &gate, tokens, Era::Newest).await.unwrap();
    let model = ScriptedModel::calling("a/1", &[&[("test_tool_with_progress", json!({}))]]);
    converse(model, session, "go").await;
    let first = progress.recv().await.unwrap();
    assert_eq!((first.done, first.total), (0.0, Some(100.0)));
    over(stack).await;
}

#[tokio::test]
async fn a_limit_that_leaves_room_soon_is_waited_for_and_a_long_one_is_told() {
    for (rate, patience, expected) in [
        ("10/second", Duration::from_secs(5), Verdict::Done),
        ("1/hour", Duration::from_secs(5), Verdict::Refused("rate-limited".to_owned())),
    ] {
        let rule = format!(
            "[[call_limits]]\nid = \"few\"\nper = [\"principal\"]\nrate = \"{rate}\"\nburst = 1\n"
        );
        let stack = Stack::with().settings(&rule).start().await;
        let model = ScriptedModel::calling("a/1", &[&[lookup("ABC123")], &[lookup("JOHNDOE123")]]);
        let zones = Zones::common(session(&stack, &["customer:read"]).await);
        let bounds = Bounds { patience, ..Bounds::default() };
        let mut agent = Agent::new(model, zones, INSTRUCTIONS, bounds);
        let mut events = Vec::new();
        agent.answer("both", &mut |event| events.push(event)).await.unwrap();
        agent.close().await;
        let ends: Vec<_> = calls(&events).into_iter().map(|(_, verdict, _)| verdict).collect();
        assert_eq!(ends, [&Verdict::Done, &expected], "{rate}: {events:?}");
        over(stack).await;
    }
}

#[tokio::test]
async fn a_provider_in_a_zone_acts_under_the_zones_client_and_sees_its_tools() {
    let stack = Stack::start().await;
    let common = Zones::common(session(&stack, &["customer:read"]).await);
    let eu = Zone::new(session(&stack, &["account:calculate"]).await);
    let zones = common.with(eu, ["local".to_owned()]);
    let model = ScriptedModel::calling("local/1", &[&[lookup("ABC123")]]);
    let placed = zones.place(Arc::clone(&model) as Arc<dyn Model>);
    let mut agent = Agent::new(placed, zones, INSTRUCTIONS, Bounds::default());
    let mut events = Vec::new();
    agent.answer("look", &mut |event| events.push(event)).await.unwrap();
    agent.close().await;
    assert_eq!(model.offered(), ["calculate_account_value"]);
    let [(_, verdict, _)] = calls(&events)[..] else { panic!("{events:?}") };
    assert_eq!(*verdict, Verdict::NotSent("unknown-tool".to_owned()));
    over(stack).await;
}

/// A legacy server with one tool, whose calls it refuses with this JSON-RPC error.
fn refusing(error: Value) -> (Scripted, Offered) {
    let tools = json!([{ "name": "t", "inputSchema": { "type": "object", "properties": {} } }]);
    let offered = Offered::of(tools.as_array().unwrap());
    let upstream = Scripted::new(move |sent| match sent.method() {
        "initialize" => sent.result(&json!({
            "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
            "serverInfo": { "name": "s", "version": "1" },
        })),
        "tools/list" => sent.result(&json!({ "tools": tools })),
        "tools/call" => {
            let answer = json!({ "jsonrpc": "2.0", "id": sent.body.get("id"), "error": error });
            ([("content-type", "application/json")], answer.to_string()).into_response()
        }
        _ => StatusCode::ACCEPTED.into_response(),
    });
    (upstream, offered)
}

#[tokio::test]
async fn a_server_cannot_have_a_call_made_without_end_nor_talk_the_client_into_scopes() {
    for (error, most) in [
        (json!({ "code": 429, "message": "again", "data": { "retryAfterMs": 0 } }), 4),
        (
            json!({ "code": 403, "message": "more", "data": {
                "reason": "insufficient-scope", "requiredScopes": ["security:read"] } }),
            1,
        ),
        (
            json!({ "code": 403, "message": "more", "data": {
                "reason": "insufficient-scope", "requiredScopes": [] } }),
            1,
        ),
    ] {
        let (upstream, offered) = refusing(error.clone());
        let stack = Stack::with()
            .upstream(upstream.router())
            .offered(&offered)
            .policies(EVERYTHING)
            .start()
            .await;
        let source = tokens(&stack, &["customer:read"]).await;
        let (http, gate) = (stack.http(), stack.resource());
        let session = Session::open(http, &gate, Arc::clone(&source), Era::Legacy).await.unwrap();
        let model = ScriptedModel::calling("a/1", &[&[("t", json!({}))]]);
        let conversed = converse(model, session, "go").await;
        let made = upstream.sent().iter().filter(|sent| sent.method() == "tools/call").count();
        assert!(made <= most && made > 0, "{error}: {made} calls");
        assert!(!source.scopes().contains("security:read"), "{error}");
        let [(_, verdict, _)] = conversed.calls()[..] else { panic!("{conversed:?}") };
        assert!(matches!(verdict, Verdict::Refused(_)), "{error}: {verdict:?}");
        over(stack).await;
    }
}

#[tokio::test]
async fn a_list_without_end_is_given_up() {
    let page = std::sync::atomic::AtomicUsize::new(0);
    let upstream = Scripted::new(move |sent| match sent.method() {
        "initialize" => sent.result(&json!({
            "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
            "serverInfo": { "name": "s", "version": "1" },
        })),
        "tools/list" => {
            let next = page.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            sent.result(&json!({ "tools": [], "nextCursor": next.to_string() }))
        }
        _ => StatusCode::ACCEPTED.into_response(),
    });
    let stack = Stack::with().upstream(upstream.router()).policies(EVERYTHING).start().await;
    let source = tokens(&stack, &["customer:read"]).await;
    let (http, gate) = (stack.http(), stack.resource());
    let session = Session::open(http, &gate, source, Era::Legacy).await.unwrap();
    let given_up = session.tools().await.unwrap_err().to_string();
    assert!(given_up.contains("pages"), "{given_up}");
    session.close().await;
    let asked = upstream.sent().iter().filter(|sent| sent.method() == "tools/list").count();
    assert!(asked < 200, "{asked}");
    over(stack).await;
}
