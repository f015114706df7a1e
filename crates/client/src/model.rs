//! Any provider: the routing is the library's, the security is the gate's.

use genai::{
    Client,
    adapter::AdapterKind,
    chat::{ChatMessage, ChatRequest, Tool, ToolCall, ToolResponse},
    resolver::{AuthData, Endpoint, ProviderConfig},
};
use serde_json::Value;

/// A model at a provider.
#[derive(Debug)]
pub struct Model {
    client: Client,
    name: String,
}

/// A provider in the OpenAI wire format: OpenAI itself, Ollama, vLLM, a LiteLLM proxy, the
/// rehearsed model.
pub struct OpenAiCompatible<'a> {
    /// Base URL, with its `/v1/`.
    pub base_url: &'a str,
    /// API key; sent as a bearer token.
    pub api_key: &'a str,
    /// The model's name as the provider knows it.
    pub model: &'a str,
}

impl std::fmt::Debug for OpenAiCompatible<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenAiCompatible")
            .field("base_url", &self.base_url)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// The model or the way to it failed.
#[derive(Debug, thiserror::Error)]
#[error("the model `{model}` failed: {cause}")]
pub struct ModelError {
    model: String,
    cause: String,
}

/// What has been said so far, and with which tools.
#[derive(Debug, Clone)]
pub struct Conversation(ChatRequest);

/// What the model wants next.
#[derive(Debug)]
pub enum Turn {
    /// Its last word.
    Says(String),
    /// Calls to be made, and their results to be told.
    Calls(Vec<Call>),
}

/// A tool call that the model proposes.
#[derive(Debug, Clone)]
pub struct Call(ToolCall);

impl Call {
    /// The tool.
    pub fn tool(&self) -> &str {
        &self.0.fn_name
    }

    /// Its arguments, as the model wrote them.
    pub fn arguments(&self) -> &Value {
        &self.0.fn_arguments
    }
}

impl Conversation {
    /// Starts with what the user says, over these tools.
    pub fn start(prompt: &str, tools: &[rmcp::model::Tool]) -> Self {
        let tools = tools.iter().map(|tool| {
            Tool::new(tool.name.to_string())
                .with_description(tool.description.clone().unwrap_or_default().into_owned())
                .with_schema(Value::Object((*tool.input_schema).clone()))
        });
        Self(
            ChatRequest::new(vec![ChatMessage::system(SYSTEM), ChatMessage::user(prompt)])
                .with_tools(tools.collect::<Vec<_>>()),
        )
    }

    /// Tells the model what became of its calls.
    pub fn tell(&mut self, outcomes: Vec<(Call, String)>) {
        let (calls, responses): (Vec<ToolCall>, Vec<ToolResponse>) = outcomes
            .into_iter()
            .map(|(Call(call), outcome)| {
                let response = ToolResponse::new(call.call_id.clone(), outcome);
                (call, response)
            })
            .unzip();
        let asked = std::mem::take(&mut self.0).append_message(calls);
        self.0 = responses.into_iter().fold(asked, ChatRequest::append_message);
    }
}

impl Model {
    /// A model of a provider in the OpenAI wire format.
    pub fn openai_compatible(
        http: reqwest::Client,
        provider: &OpenAiCompatible<'_>,
    ) -> Result<Self, ModelError> {
        let endpoint = Endpoint::from_owned(provider.base_url.to_owned());
        let config = ProviderConfig::from_endpoint(endpoint)
            .with_auth(AuthData::from_single(provider.api_key.to_owned()));
        // Named explicitly: an unknown name would fall through to another provider.
        let name = format!("openai::{}", provider.model);
        let client = Client::builder()
            .with_reqwest(http)
            .append_provider_config(AdapterKind::OpenAI, config)
            .build()
            .map_err(|cause| ModelError { model: name.clone(), cause: cause.to_string() })?;
        Ok(Self { client, name })
    }

    /// The model's next turn.
    pub async fn turn(&self, conversation: &Conversation) -> Result<Turn, ModelError> {
        let answer =
            self.client.exec_chat(&self.name, conversation.0.clone(), None).await.map_err(
                |cause| ModelError { model: self.name.clone(), cause: cause.to_string() },
            )?;
        let text = answer.first_text().map(str::to_owned);
        let calls: Vec<Call> = answer.into_tool_calls().into_iter().map(Call).collect();
        // Some providers call tools and say "stop" in one breath: the calls count.
        if calls.is_empty() {
            return Ok(Turn::Says(text.unwrap_or_default()));
        }
        Ok(Turn::Calls(calls))
    }
}

const SYSTEM: &str = "You help customer service staff. Use the tools; report what they return.";
