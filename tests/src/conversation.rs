//! A model that says what a test says, and one question to a model.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use client::{
    agent::{
        Agent, Bounds, INSTRUCTIONS, Report,
        event::{Event, Verdict},
        zones::Zones,
    },
    model::{Call, Conversation, Heard, Model, ModelError, ModelName, Turn, Usage},
    session::Session,
    tools::UniversalTool,
};
use serde_json::Value;

/// A model whose turns are known beforehand. It remembers what it was told.
#[derive(Debug)]
pub struct ScriptedModel {
    name: ModelName,
    turns: Mutex<VecDeque<Vec<(String, String)>>>,
    told: Mutex<Vec<Conversation>>,
    offered: Mutex<Vec<String>>,
}

/// An answered question.
#[derive(Debug)]
pub struct Conversed {
    /// How it ended.
    pub report: Report,
    /// All that happened.
    pub events: Vec<Event>,
}

impl ScriptedModel {
    /// Makes these calls, turn by turn, and then says "done". Arguments are written as they are:
    /// text letter by letter, anything else as JSON.
    pub fn calling(name: &str, turns: &[&[(&str, Value)]]) -> Arc<Self> {
        let written = |arguments: &Value| match arguments {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let turn = |calls: &&[(&str, Value)]| {
            calls.iter().map(|(tool, given)| ((*tool).to_owned(), written(given))).collect()
        };
        Arc::new(Self {
            name: name.parse().unwrap(),
            turns: Mutex::new(turns.iter().map(turn).collect()),
            told: Mutex::default(),
            offered: Mutex::default(),
        })
    }

    /// The conversations that it was asked to go on with.
    pub fn told(&self) -> Vec<Conversation> {
        self.told.lock().unwrap().clone()
    }

    /// The tools that it was offered last.
    pub fn offered(&self) -> Vec<String> {
        self.offered.lock().unwrap().clone()
    }
}

#[async_trait]
impl Model for ScriptedModel {
    fn name(&self) -> &ModelName {
        &self.name
    }

    async fn turn(
        &self,
        conversation: &Conversation,
        tools: &[UniversalTool],
        _: &mut (dyn for<'a> FnMut(Heard<'a>) + Send),
    ) -> Result<Turn, ModelError> {
        self.told.lock().unwrap().push(conversation.clone());
        *self.offered.lock().unwrap() = tools.iter().map(|tool| tool.name.clone()).collect();
        let number = self.told.lock().unwrap().len();
        let calls = self.turns.lock().unwrap().pop_front().unwrap_or_default();
        let text = if calls.is_empty() { "done" } else { "" };
        let call = |(place, (tool, arguments))| Call {
            id: format!("call_{number}_{place}"),
            tool,
            arguments,
        };
        Ok(Turn {
            by: self.name.clone(),
            text: text.to_owned(),
            calls: calls.into_iter().enumerate().map(call).collect(),
            usage: Usage { input: 10, output: 1 },
            signatures: Vec::new(),
        })
    }

    async fn probe(&self) -> Result<(), ModelError> {
        Ok(())
    }
}

impl Conversed {
    /// The calls in the order in which they ended: tool, how it ended, what the model was told.
    pub fn calls(&self) -> Vec<(&str, &Verdict, &str)> {
        calls(&self.events)
    }
}

/// The calls among these events in the order in which they ended: tool, how it ended, what the
/// model was told.
pub fn calls(events: &[Event]) -> Vec<(&str, &Verdict, &str)> {
    let called = events.iter().filter_map(|event| match event {
        Event::Called { tool, verdict, text, .. } => Some((tool.as_str(), verdict, text.as_str())),
        _ => None,
    });
    called.collect()
}

/// Asks the model one thing, which uses the tools of the session, and ends the session.
pub async fn converse(model: Arc<dyn Model>, session: Session, prompt: &str) -> Conversed {
    let zones = Zones::common(session);
    let mut agent = Agent::new(model, zones, INSTRUCTIONS, Bounds::default());
    let mut events = Vec::new();
    let report = agent.answer(prompt, &mut |event| events.push(event)).await.unwrap();
    agent.close().await;
    Conversed { report, events }
}
