//! One question to a model, and what came of it.

use std::sync::Arc;

use client::{
    agent::{
        Agent, Bounds, INSTRUCTIONS, Report,
        event::{Event, Verdict},
        zones::Zones,
    },
    model::Model,
    session::Session,
};

/// An answered question.
#[derive(Debug)]
pub struct Conversed {
    /// How it ended.
    pub report: Report,
    /// All that happened.
    pub events: Vec<Event>,
}

impl Conversed {
    /// The calls in the order in which they ended: tool, how it ended, what the model was told.
    pub fn calls<'a>(&'a self) -> Vec<(&'a str, &'a Verdict, &'a str)> {
        let called = |event: &'a Event| match event {
            Event::Called { tool, verdict, text, .. } => Some((tool, verdict, text)),
            _ => None,
        };
        let calls = self.events.iter().filter_map(called);
        calls.map(|(tool, verdict, text)| (tool.as_str(), verdict, text.as_str())).collect()
    }
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
