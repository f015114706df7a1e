//! What comes back, as `rmcp` takes it: bounded, and refused where it is no success.

use std::{borrow::Cow, io};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream::BoxStream};
use http::{
    StatusCode,
    header::{CONTENT_TYPE, WWW_AUTHENTICATE},
};
use reqwest::Response;
use rmcp::{
    model::{ClientJsonRpcMessage, ClientRequest, ErrorData, RequestId, ServerJsonRpcMessage},
    transport::streamable_http_client::{
        AuthRequiredError, SseError, StreamableHttpError, StreamableHttpPostResponse,
        StreamableHttpResponseLimits,
    },
};
use sse_stream::{Sse, SseStream};

use super::{Refusal, TransportError, unreachable};

/// The answer to a message.
pub(super) async fn to_post(
    message: &ClientJsonRpcMessage,
    in_session: bool,
    answer: Response,
    limits: StreamableHttpResponseLimits,
) -> Result<StreamableHttpPostResponse, TransportError> {
    let status = answer.status();
    let awaited = awaited(message);
    if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
        return Ok(StreamableHttpPostResponse::Accepted);
    }
    if status == StatusCode::NOT_FOUND && in_session {
        return Err(StreamableHttpError::SessionExpired);
    }
    if !status.is_success() {
        return unsuccessful(message, in_session, answer, limits.max_json_response_size).await;
    }
    let session_id = header(&answer, "mcp-session-id");
    match media_type(&answer).as_deref() {
        Some(EVENTS) => {
            let stream = events(answer, limits.max_sse_event_size);
            Ok(StreamableHttpPostResponse::Sse(stream, session_id))
        }
        // Nobody waits for an answer to a notification, whatever it is.
        _ if awaited.is_none() => Ok(StreamableHttpPostResponse::Accepted),
        Some(JSON) => {
            let body = bounded(answer, limits.max_json_response_size).await?;
            let message = serde_json::from_slice(&body)?;
            Ok(StreamableHttpPostResponse::Json(message, session_id))
        }
        other => Err(StreamableHttpError::UnexpectedContentType(other.map(str::to_owned))),
    }
}

/// The stream of a session's own.
pub(super) async fn to_stream(
    answer: Response,
    max_event: usize,
) -> Result<BoxStream<'static, Result<Sse, SseError>>, TransportError> {
    match answer.status() {
        StatusCode::METHOD_NOT_ALLOWED => Err(StreamableHttpError::ServerDoesNotSupportSse),
        // Said in a way that ends the attempts to listen.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let challenge = header(&answer, WWW_AUTHENTICATE.as_str()).unwrap_or_default();
            Err(StreamableHttpError::AuthRequired(AuthRequiredError::new(challenge)))
        }
        status if !status.is_success() => Err(refused(answer).await),
        _ => match media_type(&answer).as_deref() {
            Some(EVENTS) => Ok(events(answer, max_event)),
            other => Err(StreamableHttpError::UnexpectedContentType(other.map(str::to_owned))),
        },
    }
}

/// A refusal, with as much of its body as is needed to understand it.
pub(super) async fn refused(answer: Response) -> TransportError {
    let (status, headers) = (answer.status(), answer.headers().clone());
    // What is too large or breaks off says nothing more than its status.
    let body = bounded(answer, MAX_REFUSAL_BYTES).await.unwrap_or_default();
    StreamableHttpError::Client(Refusal::read(status, &headers, &body).into())
}

/// Refusals about who asks and how often stay what they are. Other JSON-RPC errors are the
/// server's answer; and whoever does not know `server/discover` is of the older era.
async fn unsuccessful(
    message: &ClientJsonRpcMessage,
    in_session: bool,
    answer: Response,
    max_bytes: usize,
) -> Result<StreamableHttpPostResponse, TransportError> {
    let status = answer.status();
    let about_the_caller = matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
    );
    if about_the_caller || !status.is_client_error() {
        return Err(refused(answer).await);
    }
    let Some(id) = awaited(message) else { return Err(refused(answer).await) };
    let headers = answer.headers().clone();
    let body = bounded(answer, max_bytes).await?;
    let error = match serde_json::from_slice(&body) {
        Ok(ServerJsonRpcMessage::Error(error)) => error.error,
        _ if is_discovery(message) && !in_session => {
            ErrorData::invalid_request(format!("server/discover was answered with {status}"), None)
        }
        _ => {
            let refusal = Refusal::read(status, &headers, &body);
            return Err(StreamableHttpError::Client(refusal.into()));
        }
    };
    let error = ServerJsonRpcMessage::error(error, Some(id));
    Ok(StreamableHttpPostResponse::Json(error, None))
}

fn awaited(message: &ClientJsonRpcMessage) -> Option<RequestId> {
    match message {
        ClientJsonRpcMessage::Request(request) => Some(request.id.clone()),
        _ => None,
    }
}

fn is_discovery(message: &ClientJsonRpcMessage) -> bool {
    matches!(message, ClientJsonRpcMessage::Request(request)
        if matches!(request.request, ClientRequest::DiscoverRequest(_)))
}

fn header(answer: &Response, name: &str) -> Option<String> {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn media_type(answer: &Response) -> Option<String> {
    let value = header(answer, CONTENT_TYPE.as_str())?;
    value.split(';').next().map(|essence| essence.trim().to_ascii_lowercase())
}

async fn bounded(mut answer: Response, max_size: usize) -> Result<Vec<u8>, TransportError> {
    let mut body = Vec::new();
    let failed = |error| StreamableHttpError::Client(unreachable(error));
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > max_size {
            return Err(StreamableHttpError::ResponseBodyTooLarge { max_size });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn events(answer: Response, max_event: usize) -> BoxStream<'static, Result<Sse, SseError>> {
    let bytes = answer.bytes_stream().map(|chunk| chunk.map_err(io::Error::other));
    SseStream::from_bytes_stream(limited(bytes, max_event)).boxed()
}

/// Ends a stream whose events do not end.
fn limited(
    bytes: impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
    max_event: usize,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static {
    let mut size = EventSize::default();
    bytes.map(move |chunk| {
        let chunk = chunk?;
        if size.after(&chunk) > max_event {
            return Err(io::Error::other(Cow::Borrowed("an event is too large")));
        }
        Ok(chunk)
    })
}

/// The size of the event that a stream is in, largest since the last look.
#[derive(Default)]
struct EventSize {
    event: usize,
    line: usize,
    after_cr: bool,
}

impl EventSize {
    /// The largest that the event was within this chunk. Lines end with CR, LF or both, events with
    /// an empty line.
    fn after(&mut self, chunk: &[u8]) -> usize {
        let mut largest = self.event;
        for &byte in chunk {
            let second_half = std::mem::replace(&mut self.after_cr, byte == b'\r') && byte == b'\n';
            match byte {
                _ if second_half => {}
                b'\r' | b'\n' => {
                    if self.line == 0 {
                        self.event = 0;
                    }
                    self.line = 0;
                }
                _ => {
                    self.line += 1;
                    self.event += 1;
                    largest = largest.max(self.event);
                }
            }
        }
        largest
    }
}

const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";
/// A JSON-RPC error, and room for what it says.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_event_without_end_ends_the_stream_and_many_small_ones_do_not() {
        let outcome = |chunks: Vec<&'static [u8]>| async move {
            let chunks = chunks.into_iter().map(|chunk| Ok(Bytes::from_static(chunk)));
            let read: Vec<_> = limited(futures::stream::iter(chunks), 10).collect().await;
            read.iter().all(Result::is_ok)
        };
        for end in ["\n\n", "\r\n\r\n", "\r\r"] {
            let small = format!("data: x{end}").into_bytes().leak();
            assert!(outcome(vec![small; 50]).await, "{end:?}");
            let lines = format!("data: x{}", end.get(..end.len() / 2).unwrap()).into_bytes().leak();
            assert!(!outcome(vec![lines; 50]).await, "{end:?}");
        }
        assert!(!outcome(vec![b"data: ", b"12345"]).await);
        assert!(outcome(vec![b"data: ", b"1234"]).await);
    }
}
