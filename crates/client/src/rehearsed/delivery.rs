//! An answer on its way, or what a fault leaves of it.

use std::{io, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures::{StreamExt as _, stream};

use super::{
    complaint::Complaint,
    fault::{End, Manner},
    wire::{REQUEST_ID, Wire},
};

/// An answer before it is sent.
#[derive(Debug)]
pub(super) enum Answer {
    Whole(String),
    Streamed(Vec<String>),
}

/// Sends `answer` in this manner.
pub(super) async fn deliver(wire: Wire, answer: Answer, manner: Manner) -> Response {
    if !manner.delay.is_zero() {
        tokio::time::sleep(manner.delay).await;
    }
    match manner.end {
        End::Status { status, retry_after } => fail(wire, status, retry_after),
        End::Unauthorized => wire.refuse(&wire.unauthorized()),
        end => match answer {
            Answer::Whole(body) => whole(wire, body, end),
            Answer::Streamed(events) => streamed(wire, events, end, manner.pause),
        },
    }
}

fn fail(wire: Wire, status: StatusCode, retry_after: Option<Duration>) -> Response {
    let complaint = Complaint::of(status, "the rehearsed model was told to fail");
    let limited = status == StatusCode::TOO_MANY_REQUESTS;
    let complaint = if limited { complaint.coded("rate_limit_exceeded") } else { complaint };
    let mut response = wire.refuse(&complaint);
    if let Some(wait) = retry_after {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        // What is less than a second only this one can say; official clients read it first.
        let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        response.headers_mut().insert("retry-after-ms", HeaderValue::from(milliseconds));
    }
    response
}

fn whole(wire: Wire, body: String, end: End) -> Response {
    let (kind, body) = match end {
        End::Garbage => ("text/html", Body::from(GARBAGE)),
        End::BrokenOff(_) => ("application/json", broken_off(vec![half(&body)], Duration::ZERO)),
        End::Short(_) => ("application/json", Body::from(half(&body))),
        End::Failed(_) => return fail(wire, StatusCode::INTERNAL_SERVER_ERROR, None),
        _ => ("application/json", Body::from(body)),
    };
    ([(header::CONTENT_TYPE.as_str(), kind), (wire.request_id(), REQUEST_ID)], body).into_response()
}

fn streamed(wire: Wire, mut events: Vec<String>, end: End, pause: Duration) -> Response {
    let body = match end {
        End::BrokenOff(after) => {
            events.truncate(after);
            broken_off(events, pause)
        }
        End::Short(after) => {
            events.truncate(after);
            paced(events, pause)
        }
        End::Failed(after) => {
            events.truncate(after);
            events.push(wire.error_event());
            paced(events, pause)
        }
        End::Garbage => {
            events.truncate(1);
            events.push(wire.event("content_block_delta", GARBAGE));
            paced(events, pause)
        }
        _ => paced(events, pause),
    };
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL.as_str(), "no-cache"),
        (wire.request_id(), REQUEST_ID),
    ];
    (headers, body).into_response()
}

fn paced(events: Vec<String>, pause: Duration) -> Body {
    Body::from_stream(slowly(events, pause).map(Ok::<_, io::Error>))
}

/// The connection breaks after the last of them.
fn broken_off(events: Vec<String>, pause: Duration) -> Body {
    let breaks = stream::once(async {
        // What came before is written only while the body has nothing ready.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    Body::from_stream(slowly(events, pause).map(Ok).chain(breaks))
}

fn slowly(events: Vec<String>, pause: Duration) -> impl stream::Stream<Item = String> {
    stream::iter(events.into_iter().enumerate()).then(move |(number, event)| async move {
        if number > 0 && !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        event
    })
}

fn half(body: &str) -> String {
    body.chars().take(body.chars().count() / 2).collect()
}

/// What a misconfigured web server says.
const GARBAGE: &str = "<!doctype html><title>It works!</title>";
