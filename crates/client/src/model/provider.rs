//! A model at a provider: the routing is the library's.

use async_trait::async_trait;
use genai::{
    Client,
    adapter::AdapterKind,
    chat::{ChatMessage, ChatRequest, Tool, ToolCall, ToolResponse},
    resolver::{AuthData, Endpoint, ProviderConfig},
};
use serde_json::Value;

use crate::{
    model::{
        Call, Conversation, Failure, Heard, Message, Model, ModelError, ModelName, Turn, Usage,
    },
    tools::UniversalTool,
};

/// Where a provider is, and in which wire format it speaks.
#[derive(Clone)]
pub struct Provider {
    /// Its wire format.
    pub wire: Wire,
    /// Base URL, with its `/v1/`; of Gemini with its `/v1beta/`.
    pub base_url: String,
    /// API key.
    pub api_key: String,
}

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Chat completions: OpenAI itself, vLLM, Groq, a LiteLLM proxy, the rehearsed model.
    OpenAi,
    /// Messages.
    Anthropic,
    /// `generateContent`.
    Gemini,
    /// Ollama's own.
    Ollama,
}

/// A model at a provider.
#[derive(Debug)]
pub struct ProvidedModel {
    client: Client,
    name: ModelName,
    adapter: AdapterKind,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("wire", &self.wire)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

impl ProvidedModel {
    /// The model `name` at `provider`.
    pub fn new(
        http: reqwest::Client,
        provider: &Provider,
        name: ModelName,
    ) -> Result<Self, ModelError> {
        let adapter = match provider.wire {
            Wire::OpenAi => AdapterKind::OpenAI,
            Wire::Anthropic => AdapterKind::Anthropic,
            Wire::Gemini => AdapterKind::Gemini,
            Wire::Ollama => AdapterKind::Ollama,
        };
        let endpoint = Endpoint::from_owned(provider.base_url.clone());
        let config = ProviderConfig::from_endpoint(endpoint)
            .with_auth(AuthData::from_single(provider.api_key.clone()));
        let client = Client::builder()
            .with_reqwest(http)
            .append_provider_config(adapter, config)
            .build()
            .map_err(|cause| broken(&name, cause.to_string()))?;
        Ok(Self { client, name, adapter })
    }
}

#[async_trait]
impl Model for ProvidedModel {
    fn name(&self) -> &ModelName {
        &self.name
    }

    async fn turn(
        &self,
        conversation: &Conversation,
        tools: &[UniversalTool],
        hear: &mut (dyn for<'a> FnMut(Heard<'a>) + Send),
    ) -> Result<Turn, ModelError> {
        let model = genai::ModelIden::new(self.adapter, self.name.model());
        let answer = self
            .client
            .exec_chat(model, request(conversation, tools), None)
            .await
            .map_err(|cause| broken(&self.name, cause.to_string()))?;
        let text = answer.first_text().map(str::to_owned).unwrap_or_default();
        hear(Heard::Text(&text));
        let calls = answer.into_tool_calls().into_iter().map(|call| Call {
            id: call.call_id,
            tool: call.fn_name,
            arguments: call.fn_arguments.to_string(),
        });
        Ok(Turn {
            by: self.name.clone(),
            text,
            calls: calls.collect(),
            usage: Usage::default(),
            signatures: Vec::new(),
        })
    }

    async fn probe(&self) -> Result<(), ModelError> {
        Ok(())
    }
}

fn request(conversation: &Conversation, tools: &[UniversalTool]) -> ChatRequest {
    let tools = tools.iter().map(|tool| {
        Tool::new(tool.offered_as.clone())
            .with_description(tool.description.clone())
            .with_schema(tool.parameters.clone())
    });
    let mut request = ChatRequest::default().with_tools(tools.collect::<Vec<_>>());
    for message in conversation.messages() {
        request = match message {
            Message::System { text } => request.append_message(ChatMessage::system(text)),
            Message::User { text } => request.append_message(ChatMessage::user(text)),
            Message::Assistant(turn) if turn.calls.is_empty() => {
                request.append_message(ChatMessage::assistant(turn.text.clone()))
            }
            Message::Assistant(turn) => {
                let calls = turn.calls.iter().map(|call| ToolCall {
                    call_id: call.id.clone(),
                    fn_name: call.tool.clone(),
                    fn_arguments: serde_json::from_str(&call.arguments).unwrap_or(Value::Null),
                    thought_signatures: None,
                });
                request.append_message(calls.collect::<Vec<_>>())
            }
            Message::Tools { results } => results.iter().fold(request, |request, result| {
                request.append_message(ToolResponse::new(result.id.clone(), result.text.clone()))
            }),
        };
    }
    request
}

fn broken(model: &ModelName, what: String) -> ModelError {
    ModelError { model: model.clone(), failure: Failure::Broken(what) }
}
