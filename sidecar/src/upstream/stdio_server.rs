//! An upstream that is a child process, given the form of one that speaks streamable HTTP: sessions
//! for legacy clients, streams for those that listen.

use std::{convert::Infallible, time::Duration};

use axum::{body::Body, response::IntoResponse as _};
use futures::StreamExt as _;
use http::{HeaderValue, Response, StatusCode, header};
use moka::sync::Cache;
use uuid::Uuid;

use super::stdio::{self, CallerKey, Reply};
use crate::{
    authz::Authorized,
    config::{Limits, StdioUpstream},
    message::{Form, Message, mirrored},
    rejection::Rejection,
    token::Claims,
};

/// A server that the gate started.
pub(crate) struct StdioServer {
    child: stdio::StdioServer,
    program: String,
    /// Sessions that their clients ended; an id opens none of them again.
    ended: Cache<String, ()>,
}

impl std::fmt::Debug for StdioServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StdioServer").field("program", &self.program).finish_non_exhaustive()
    }
}

impl StdioServer {
    pub(super) fn new(config: &StdioUpstream, limits: &Limits) -> Self {
        Self {
            child: stdio::StdioServer::new(config.clone(), limits),
            program: config.program.display().to_string(),
            ended: Cache::builder().max_capacity(MAX_ENDED).time_to_live(ENDED_FOR).build(),
        }
    }

    pub(super) fn start(&self) {
        self.child.start();
    }

    pub(super) async fn stop(&self) {
        self.child.stop().await;
    }

    pub(super) async fn forward(
        &self,
        authorized: Authorized<Message>,
        claims: &Claims,
    ) -> Result<Response<Body>, Rejection> {
        let message = authorized.get();
        let session = message.route().session.as_deref();
        if session.is_some_and(|session| self.ended.contains_key(session)) {
            return Err(Rejection::UnknownSession);
        }
        let caller = [claims.iss(), claims.sub(), claims.client_id(), session.unwrap_or_default()];
        let caller = CallerKey::new(caller);
        match message.method().form {
            Form::Listening => Ok(events(self.child.listen(&caller).boxed())),
            Form::Ending => {
                self.child.forget(&caller);
                if let Some(session) = session {
                    self.ended.insert(session.to_owned(), ());
                }
                Ok(StatusCode::OK.into_response())
            }
            // A child's questions reach no client.
            Form::Response => Err(Rejection::UnexpectedResponse),
            Form::Request | Form::Notification => {
                let mut response = match self.child.exchange(message, &caller).await? {
                    Reply::Accepted => StatusCode::ACCEPTED.into_response(),
                    Reply::Events(stream) => events(stream),
                    Reply::Json(bytes) => {
                        ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
                    }
                };
                if message.method().name == "initialize" {
                    let session = HeaderValue::try_from(Uuid::new_v4().simple().to_string());
                    let session = session.map_err(|_| Rejection::UpstreamAnswer)?;
                    response.headers_mut().insert(mirrored::SESSION, session);
                }
                Ok(response)
            }
        }
    }
}

fn events(stream: futures::stream::BoxStream<'static, bytes::Bytes>) -> Response<Body> {
    let body = Body::from_stream(stream.map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

const MAX_ENDED: u64 = 100_000;
/// Longer than any token lasts with which it could be asked for again.
const ENDED_FOR: Duration = Duration::from_secs(24 * 3600);
