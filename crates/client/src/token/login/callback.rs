//! Where the browser comes back to. Anybody on this machine can knock here; only who brings the
//! state that was sent along is believed.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    Router,
    extract::{Query, State},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use http::{HeaderName, StatusCode};
use maud::{DOCTYPE, html};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{secret::Secret, token::error::TokenError};

/// What the browser must bring back.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) state: Secret,
    pub(super) issuer: String,
    /// Whether the issuer says that it names itself (RFC 9207 section 3).
    pub(super) names_issuer: bool,
}

/// The open port; closed when dropped.
#[derive(Debug)]
pub(super) struct Callback {
    serving: JoinHandle<()>,
    outcome: oneshot::Receiver<Result<Secret, TokenError>>,
    /// Dropped, no more connections are taken.
    open: Option<oneshot::Sender<()>>,
}

struct Waiting {
    expected: Expected,
    // Taken by the first who brings the right state.
    tell: Mutex<Option<oneshot::Sender<Result<Secret, TokenError>>>>,
}

type Parameters = Vec<(String, String)>;

impl Callback {
    pub(super) fn serve(listener: TcpListener, expected: Expected) -> Self {
        let (tell, outcome) = oneshot::channel();
        let (open, closed) = oneshot::channel::<()>();
        let waiting = Arc::new(Waiting { expected, tell: Mutex::new(Some(tell)) });
        let router = Router::new().route("/callback", get(returned)).with_state(waiting);
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
            drop(closed.await);
        });
        let serving = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::debug!(%error, "the port for the browser is closed");
            }
        });
        Self { serving, outcome, open: Some(open) }
    }

    /// The code that the browser brings.
    pub(super) async fn returned(mut self) -> Result<Secret, TokenError> {
        let outcome = (&mut self.outcome).await;
        // The page is on its way; what else comes is not waited for.
        self.open = None;
        drop(tokio::time::timeout(LAST_PAGE, &mut self.serving).await);
        outcome.map_err(|_| TokenError::Login("the port was closed".to_owned()))?
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Waiting {
    /// None where the request is not the answer that is waited for.
    fn read(&self, parameters: &Parameters) -> Option<Result<Secret, TokenError>> {
        let failed = |what: String| Some(Err(TokenError::Login(what)));
        let state = one(parameters, "state")?;
        verify_slices_are_equal(state.as_bytes(), self.expected.state.expose().as_bytes()).ok()?;
        match one(parameters, "iss") {
            Some(issuer) if issuer != self.expected.issuer => {
                return failed("another authorization server answered".to_owned());
            }
            None if self.expected.names_issuer => {
                return failed("the answer does not name its authorization server".to_owned());
            }
            _ => {}
        }
        match (one(parameters, "code"), one(parameters, "error")) {
            (Some(code), None) => Some(Ok(Secret::new(code))),
            (None, Some(error)) => {
                let error: String =
                    error.chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
                failed(format!("the authorization server said `{error}`"))
            }
            _ => failed("the answer is neither a code nor an error".to_owned()),
        }
    }
}

/// A parameter that stands exactly once (RFC 6749 section 3.1).
fn one<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    let mut values = parameters.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
    values.next().filter(|_| values.next().is_none())
}

async fn returned(
    State(waiting): State<Arc<Waiting>>,
    Query(parameters): Query<Parameters>,
) -> Response {
    let Some(outcome) = waiting.read(&parameters) else {
        return page(StatusCode::BAD_REQUEST, "This is not the answer that was waited for.");
    };
    let tell = waiting.tell.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(tell) = tell else {
        return page(StatusCode::GONE, "This sign-in is over.");
    };
    let answer = match &outcome {
        Ok(_) => page(StatusCode::OK, "You are signed in. You can close this page."),
        Err(error) => page(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    drop(tell.send(outcome));
    answer
}

fn page(status: StatusCode, text: &str) -> Response {
    let body = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "cedargate-chat" } }
            body { h1 { "cedargate-chat" } p { (text) } }
        }
    };
    (status, PAGE_HEADERS, Html(body.into_string())).into_response()
}

const PAGE_HEADERS: [(HeaderName, &str); 4] = [
    (http::header::CACHE_CONTROL, "no-store"),
    (http::header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (http::header::REFERRER_POLICY, "no-referrer"),
    (http::header::CONNECTION, "close"),
];
const LAST_PAGE: std::time::Duration = std::time::Duration::from_secs(1);
