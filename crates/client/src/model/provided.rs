//! A model at a provider: the routing is the library's, what is called is read letter by letter.

use std::{future::poll_fn, panic::AssertUnwindSafe, pin::Pin, sync::Arc, task::Poll};

use async_trait::async_trait;
use futures::{FutureExt as _, Stream};
use genai::{
    Client, Headers, ModelIden, ServiceTarget,
    adapter::AdapterKind,
    chat::{
        ChatFrameSink, ChatOptions, ChatStream, ChatStreamEvent, ContentPart, ReasoningEffort,
        StreamEnd,
    },
    resolver::{AuthData, Endpoint},
};
use http::{HeaderName, HeaderValue};

use super::{
    Conversation, Failure, Heard, Model, ModelError, ModelName, Turn,
    call_ids::settled,
    fault::Faults,
    frames::{Frames, Gathered},
    probe::probe,
    provider::{Provider, Wire},
    replay::{Keepsake, request},
};
use crate::tools::UniversalTool;

/// A model at a provider.
pub struct ProvidedModel {
    name: ModelName,
    provider: Provider,
    http: reqwest::Client,
    library: Client,
    faults: Faults,
}

impl std::fmt::Debug for ProvidedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProvidedModel")
            .field("name", &self.name)
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

impl ProvidedModel {
    /// The model `name` at `provider`, reached through `http` (see [`crate::trust`]).
    pub fn new(
        http: reqwest::Client,
        provider: &Provider,
        name: ModelName,
    ) -> Result<Self, ModelError> {
        let sendable = |(name, value): &(String, String)| {
            name.parse::<HeaderName>().is_ok() && HeaderValue::from_str(value).is_ok()
        };
        if !provider.all_headers().iter().all(sendable)
            || provider.headers.iter().any(|(_, value)| value.to_str().is_err())
        {
            let why = "the key or a header holds characters that no header can".to_owned();
            return Err(ModelError { model: name, failure: Failure::Unauthorized(why) });
        }
        let faults = Faults::of(provider);
        let library = Client::builder().with_reqwest(http.clone()).build().map_err(|cause| {
            ModelError { model: name.clone(), failure: faults.broken(&cause.to_string()) }
        })?;
        Ok(Self { name, provider: provider.clone(), http, library, faults })
    }

    /// URL and headers are given whole: the library looks for no key and no address elsewhere.
    fn target(&self) -> ServiceTarget {
        let model = self.name.model();
        let below = |segments: &[&str]| self.provider.base_url.below(segments).to_string();
        let (adapter, url) = match self.provider.wire {
            Wire::OpenAi => (AdapterKind::OpenAI, below(&["chat", "completions"])),
            Wire::Mistral => (AdapterKind::Mistral, below(&["chat", "completions"])),
            Wire::Anthropic => (AdapterKind::Anthropic, below(&["messages"])),
            Wire::Gemini => {
                let method = format!("{model}:streamGenerateContent");
                let url = below(&["models", &method]);
                (AdapterKind::Gemini, format!("{url}?alt=sse"))
            }
        };
        // What stands before the first `::` is the library's; so that a model may have one.
        let name = if model.contains("::") { format!("::{model}") } else { model.to_owned() };
        ServiceTarget {
            endpoint: Endpoint::from_owned(self.provider.base_url.as_str().to_owned()),
            auth: AuthData::RequestOverride {
                url,
                headers: Headers::from(self.provider.all_headers()),
            },
            model: ModelIden::new(adapter, name),
        }
    }

    fn options(&self, frames: Arc<Frames>) -> ChatOptions {
        let wire = self.provider.wire;
        let chat_completions = matches!(wire, Wire::OpenAi | Wire::Mistral);
        let mut options = ChatOptions::default()
            .with_stream_header_timeout(self.provider.limits.first_byte)
            .with_stream_read_timeout(self.provider.limits.between_chunks)
            // Chat completions come with counts only when asked; the frames are what is read.
            .with_capture_usage(chat_completions)
            // Thoughts that are signed. Of Gemini this would ask for their words besides.
            .with_capture_reasoning_content(wire == Wire::Anthropic)
            .with_raw_frame_sink_arc(frames as Arc<dyn ChatFrameSink>);
        // Gateways name models as they like, and the library reads an effort out of the end of a
        // name such as `fast-low`. Where one is given it does not; these say nothing on their wire.
        let effort = if chat_completions {
            Some(ReasoningEffort::Budget(0))
        } else {
            let (read, _) = ReasoningEffort::from_model_name(self.name.model());
            read.map(|_| ReasoningEffort::Zero)
        };
        if let Some(effort) = effort {
            options = options.with_reasoning_effort(effort);
        }
        match self.provider.max_tokens {
            Some(most) => options.with_max_tokens(most),
            None => options,
        }
    }

    async fn listen(
        &self,
        conversation: &Conversation,
        tools: &[UniversalTool],
        hear: &mut (dyn for<'a> FnMut(Heard<'a>) + Send),
    ) -> Result<Turn, Failure> {
        let frames = Arc::new(Frames::of(self.provider.wire, self.provider.limits.bytes));
        let options = self.options(Arc::clone(&frames));
        let request = request(conversation, tools, &self.name, self.provider.wire);
        let answer = self.library.exec_chat_stream(self.target(), request, Some(&options)).await;
        let mut stream = answer.map_err(|error| self.faults.failure(&error))?.stream;
        let (mut text, mut end) = (String::new(), None);
        let mut waits = Waits::default();
        while let Some(event) = self.next(&mut stream, &frames, &mut waits).await? {
            match event {
                ChatStreamEvent::Chunk(chunk) => {
                    hear(Heard::Text(&chunk.content));
                    text.push_str(&chunk.content);
                }
                ChatStreamEvent::End(ended) => end = Some(ended),
                _ => {}
            }
        }
        let gathered = frames.gathered().map_err(|wrong| self.faults.broken(&wrong))?;
        self.turn_of(text, gathered, end, conversation)
    }

    /// The next event; an error as soon as the frames are wrong, whatever the library makes of them.
    async fn next(
        &self,
        stream: &mut ChatStream,
        frames: &Frames,
        waits: &mut Waits,
    ) -> Result<Option<ChatStreamEvent>, Failure> {
        let event = poll_fn(|context| {
            let polled = Pin::new(&mut *stream).poll_next(context);
            if let Some(wrong) = frames.wrong() {
                return Poll::Ready(Some(Err(self.faults.broken(&wrong))));
            }
            if polled.is_pending() && waits.too_many_since(frames.count()) {
                let endless = self.faults.broken("a part of it has no end");
                return Poll::Ready(Some(Err(endless)));
            }
            polled.map_err(|error| self.faults.failure(&error))
        });
        event.await.transpose()
    }

    fn turn_of(
        &self,
        text: String,
        gathered: Gathered,
        end: Option<StreamEnd>,
        conversation: &Conversation,
    ) -> Result<Turn, Failure> {
        if text.is_empty() && gathered.calls.is_empty() && !is_end(&gathered.reason) {
            let why = format!("the provider withholds an answer: {}", gathered.reason);
            return Err(self.faults.broken(&why));
        }
        let calls = settled(&gathered.calls, conversation).map_err(|e| self.faults.broken(&e))?;
        let mut keepsakes: Vec<Keepsake> = thoughts(end).map(Keepsake::Part).collect();
        if !gathered.thoughts.is_empty() && !calls.is_empty() {
            keepsakes.push(Keepsake::Part(ContentPart::ReasoningContent(gathered.thoughts)));
        }
        for (draft, call) in gathered.calls.iter().zip(&calls) {
            if let Some(signature) = draft.signature.clone() {
                keepsakes.push(Keepsake::OfCall { id: call.id.clone(), signature });
            }
        }
        let signatures = keepsakes.iter().filter_map(|kept| serde_json::to_string(kept).ok());
        Ok(Turn {
            by: self.name.clone(),
            text,
            calls,
            usage: gathered.usage,
            signatures: signatures.collect(),
        })
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
        // The library adds counts of a provider's that may be as large as it likes; what panics
        // there is a broken answer here.
        let listening = AssertUnwindSafe(self.listen(conversation, tools, hear)).catch_unwind();
        let longest = self.provider.limits.turn;
        let heard = match tokio::time::timeout(longest, listening).await {
            Ok(Ok(heard)) => heard,
            Ok(Err(_)) => Err(self.faults.broken("it cannot be read")),
            Err(_) => Err(Failure::TimedOut(longest)),
        };
        heard.map_err(|failure| ModelError { model: self.name.clone(), failure })
    }

    async fn probe(&self) -> Result<(), ModelError> {
        let probed = probe(&self.http, &self.provider, &self.faults).await;
        probed.map_err(|failure| ModelError { model: self.name.clone(), failure })
    }
}

/// Waits for more of one frame.
///
/// The library gathers a frame, and the body of an error, without bound, and cannot be given a
/// bounded body: it makes its requests itself, with a client whose bodies cannot be wrapped. What
/// can be counted from outside is how often it came back for more; each time it took in at most
/// what a connection holds at once (some ten kilobytes over TLS).
#[derive(Debug, Default)]
struct Waits {
    since_frame: u64,
    count: usize,
}

impl Waits {
    fn too_many_since(&mut self, frame: u64) -> bool {
        if frame == self.since_frame {
            self.count += 1;
        } else {
            *self = Self { since_frame: frame, count: 0 };
        }
        self.count > MOST_WAITS
    }
}

fn thoughts(end: Option<StreamEnd>) -> impl Iterator<Item = ContentPart> {
    let parts = end.and_then(|end| end.captured_content).map(|content| content.into_parts());
    parts.into_iter().flatten().filter_map(|part| match part {
        ContentPart::Custom(mut custom) => {
            custom.model_iden = None;
            Some(ContentPart::Custom(custom))
        }
        ContentPart::ThoughtSignature(_) | ContentPart::ReasoningContent(_) => Some(part),
        _ => None,
    })
}

/// Whether a model that says nothing meant to.
fn is_end(reason: &str) -> bool {
    matches!(reason, "" | "stop" | "end_turn" | "stop_sequence" | "STOP")
}

/// A frame of 360 kB in packets of a kilobyte and a half has fewer; so many records of TLS are 4 MB.
/// What the library does with each is in proportion to the whole frame so far, so that more would
/// be paid for in seconds.
const MOST_WAITS: usize = 256;

#[cfg(test)]
mod tests;
