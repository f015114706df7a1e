//! The six scenes. Each plays over the wire and says whether it ended as it should.

use std::sync::Arc;

use client::{
    agent::{Agent, Bounds, INSTRUCTIONS, event::Event, zones::Zones},
    rehearsed,
    session::{Session, SessionError, text_of},
    token::TokenSource,
};
use dev_authorization_server::signing::SigningKey;
use http::header;
use serde_json::{Map, Value, json};
use sidecar::{Decision, DecisionRecord};

use crate::stage::Stage;

/// One scene of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    AccountCalculation,
    CustomerLookup,
    StepUp,
    ForgedToken,
    SmuggledName,
    AroundTheGate,
}

/// What happened in a scene.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) title: &'static str,
    pub(crate) lines: Vec<Line>,
    pub(crate) as_expected: bool,
    pub(crate) verdict: String,
}

/// Something said, or something decided.
#[derive(Debug)]
pub(crate) enum Line {
    Said(Speaker, String),
    Decided(Arc<DecisionRecord>),
}

/// Who says something in a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    User,
    Model,
    Client,
    Attacker,
    Server,
}

/// The lines of a scene as it is played.
struct Script<'a> {
    stage: &'a mut Stage,
    lines: Vec<Line>,
}

impl Script<'_> {
    fn say(&mut self, who: Speaker, what: impl Into<String>) {
        self.lines.push(Line::Said(who, what.into()));
    }

    /// Takes in what the gate has decided since the last time.
    fn note_decisions(&mut self) {
        self.lines.extend(self.stage.new_decisions().into_iter().map(Line::Decided));
    }
}

/// How a scene ended: whether as it should, and in words.
type Ending = anyhow::Result<(bool, &'static str)>;

impl Scene {
    pub(crate) const ALL: [Self; 6] = [
        Self::AccountCalculation,
        Self::CustomerLookup,
        Self::StepUp,
        Self::ForgedToken,
        Self::SmuggledName,
        Self::AroundTheGate,
    ];

    pub(crate) async fn play(self, stage: &mut Stage) -> Report {
        let mut script = Script { stage, lines: Vec::new() };
        let ending = match self {
            Self::AccountCalculation => account_calculation(&mut script).await,
            Self::CustomerLookup => customer_lookup(&mut script).await,
            Self::StepUp => step_up(&mut script).await,
            Self::ForgedToken => forged_token(&mut script).await,
            Self::SmuggledName => smuggled_name(&mut script).await,
            Self::AroundTheGate => around_the_gate(&mut script).await,
        };
        script.note_decisions();
        let lines = script.lines;
        let (as_expected, verdict) = match ending {
            Ok((as_expected, verdict)) => (as_expected, verdict.to_owned()),
            Err(error) => (false, format!("it failed: {error:#}")),
        };
        let as_expected = as_expected && self.decided_as_expected(&lines);
        Report { title: self.title(), lines, as_expected, verdict }
    }

    fn title(self) -> &'static str {
        match self {
            Self::AccountCalculation => "Account calculation",
            Self::CustomerLookup => "Customer look-up",
            Self::StepUp => "A tool that the token does not cover",
            Self::ForgedToken => "A forged token",
            Self::SmuggledName => "A second name, smuggled into the message",
            Self::AroundTheGate => "Around the gate",
        }
    }

    /// What must be on record, whatever the client saw: outcome and reason of the decisions on
    /// tool calls and of refusals.
    fn decided_as_expected(self, lines: &[Line]) -> bool {
        let wanted: &[(Decision, &str)] = match self {
            Self::AccountCalculation | Self::CustomerLookup => &[(Decision::Allow, "permitted")],
            Self::StepUp => {
                &[(Decision::Deny, "insufficient-scope"), (Decision::Allow, "permitted")]
            }
            Self::ForgedToken => &[(Decision::Deny, "bad-signature")],
            Self::SmuggledName => &[(Decision::Deny, "repeated-name")],
            Self::AroundTheGate => &[],
        };
        let decided: Vec<(Decision, &str)> = lines
            .iter()
            .filter_map(|line| match line {
                Line::Decided(record) => Some(record),
                Line::Said(..) => None,
            })
            .filter(|r| r.decision == Decision::Deny || r.method.as_deref() == Some(CALL))
            .map(|record| (record.decision, record.reason))
            .collect();
        decided == wanted
    }
}

async fn account_calculation(script: &mut Script<'_>) -> Ending {
    let session = script.stage.session(&["account:calculate"]).await?;
    let answer = ask(script, session, rehearsed::ACCOUNT_PROMPT).await?;
    let as_expected = answer.contains("552.00") && answer.contains("qualifies");
    Ok((as_expected, "the total is 552.00, above 500"))
}

async fn customer_lookup(script: &mut Script<'_>) -> Ending {
    let session = script.stage.session(&["customer:read"]).await?;
    let answer = ask(script, session, rehearsed::LOOKUP_PROMPT).await?;
    let as_expected = answer.contains("John Doe") && answer.contains("active");
    Ok((as_expected, "JOHNDOE123 was found in the store"))
}

/// A conversation, told in the order in which it went.
async fn ask(script: &mut Script<'_>, session: Session, prompt: &str) -> anyhow::Result<String> {
    script.say(Speaker::User, prompt);
    let (model, zones) = (Arc::clone(&script.stage.model), Zones::common(session));
    let mut agent = Agent::new(model, zones, INSTRUCTIONS, Bounds::default());
    let mut wanted = Vec::new();
    let mut listen = |event| {
        if let Event::Calling { tool, arguments, .. } = event {
            wanted.push(format!("calls {tool} {arguments}"));
        }
    };
    let report = agent.answer(prompt, &mut listen).await?;
    agent.close().await;
    let (calls, protocol): (Vec<_>, Vec<_>) = script
        .stage
        .new_decisions()
        .into_iter()
        .partition(|record| record.method.as_deref() == Some(CALL));
    script.lines.extend(protocol.into_iter().map(Line::Decided));
    for call in wanted {
        script.say(Speaker::Model, call);
    }
    script.lines.extend(calls.into_iter().map(Line::Decided));
    script.say(Speaker::Model, &report.answer);
    Ok(report.answer)
}

async fn step_up(script: &mut Script<'_>) -> Ending {
    let session = script.stage.session(&["customer:read"]).await?;
    let ticket = json!({
        "customer_id": "CUST67890",
        "subject": "Invoice shows the wrong total",
        "description": "The customer counts 552.00, the invoice says 525.00.",
        "priority": "high",
    });
    let ticket: Map<String, Value> = ticket.as_object().cloned().unwrap_or_default();
    script.say(Speaker::Client, "calls create_support_ticket with a token for customer:read");
    let refused = session.call("create_support_ticket", ticket.clone()).await;
    script.note_decisions();
    let Err(SessionError::StepUp { required }) = refused else {
        session.close().await;
        return Ok((false, "it should have been asked for more scope"));
    };
    let asked = format!("is told that this needs {}, asks for it, calls again", required.join(" "));
    script.say(Speaker::Client, asked);
    session.step_up(&required).await?;
    let result = session.call("create_support_ticket", ticket).await?;
    script.note_decisions();
    session.close().await;
    let id = result.structured_content.as_ref().and_then(|content| content.get("ticket_id"));
    let id = id.and_then(Value::as_str).map(str::to_owned);
    let as_expected = required == ["ticket:create"] && id.is_some();
    let outcome = id.map_or_else(|| text_of(&result), |id| format!("created {id}"));
    script.say(Speaker::Server, outcome);
    Ok((as_expected, "refused, stepped up by exactly one scope, allowed"))
}

async fn forged_token(script: &mut Script<'_>) -> Ending {
    let stage = &*script.stage;
    let claims = json!({
        "iss": stage.issuer,
        "sub": "admin",
        "aud": stage.gate,
        "client_id": stage.credentials.client_id,
        "exp": u32::MAX,
        "scope": "customer:read ticket:create account:calculate security:read",
    });
    let token = SigningKey::generate()?.sign_named(stage.signing_key.kid(), &claims)?;
    let body = call("get_customer_info", json!({ "customer_id": "CUST67890" }));
    let (status, answer) = post(stage, &stage.gate, &token, body).await?;
    script.say(
        Speaker::Attacker,
        "signs a token for admin itself, under the name of the issuer's key",
    );
    script.note_decisions();
    script.say(Speaker::Attacker, format!("gets {status}: {}", message_of(&answer)));
    Ok((status == 401, "401, before a byte of the message was read"))
}

async fn smuggled_name(script: &mut Script<'_>) -> Ending {
    let token = fetch_token(script.stage, "customer:read").await?;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_customer_info","name":"create_support_ticket","arguments":{"customer_id":"CUST67890"}}}"#;
    let (status, answer) = post(script.stage, &script.stage.gate, &token, body.to_owned()).await?;
    script.say(Speaker::Attacker, "names two tools in one call: one it may use, one it may not");
    script.note_decisions();
    script.say(Speaker::Attacker, format!("gets {status}: {}", message_of(&answer)));
    Ok((status == 400, "400: what two readers could read differently goes nowhere"))
}

async fn around_the_gate(script: &mut Script<'_>) -> Ending {
    let token = fetch_token(script.stage, "customer:read").await?;
    let body = call("get_customer_info", json!({ "customer_id": "CUST67890" }));
    let (status, answer) = post(script.stage, &script.stage.server, &token, body).await?;
    script.say(Speaker::Attacker, "sends a good token straight to the customer server");
    script.say(Speaker::Server, format!("answers {status}: {}", answer.trim()));
    Ok((status == 401, "401: the server trusts the gate's assertion and nothing else"))
}

async fn fetch_token(stage: &Stage, scope: &str) -> anyhow::Result<String> {
    let (http, options) = (stage.http.clone(), stage.credentials.options(&[scope]));
    let tokens = TokenSource::discover(http, &stage.gate, options).await?;
    Ok(tokens.token().await?.expose().to_owned())
}

fn call(tool: &str, arguments: Value) -> String {
    let params = json!({ "name": tool, "arguments": arguments });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string()
}

async fn post(
    stage: &Stage,
    url: &str,
    token: &str,
    body: String,
) -> anyhow::Result<(u16, String)> {
    let response = stage
        .http
        .post(url)
        .bearer_auth(token)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .body(body)
        .send()
        .await?;
    Ok((response.status().as_u16(), response.text().await?))
}

/// The message of a JSON-RPC error.
fn message_of(answer: &str) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let message = answer.pointer("/error/message").and_then(Value::as_str);
    message.unwrap_or("no message").to_owned()
}

const CALL: &str = "tools/call";
