//! An upstream that speaks streamable HTTP.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, response::IntoResponse as _};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use tokio::sync::OwnedSemaphorePermit;

use super::{UnusableUpstream, identity::Identity, wire::Wire};
use crate::{
    authz::Authorized,
    config::{Config, HttpUpstream},
    message::{Era, Form, Message, RequestId, Route, mirrored},
    rejection::Rejection,
    telemetry::{PassedOn, TRACEPARENT, TRACESTATE},
    token::Claims,
};

/// A server with an address.
pub(crate) struct HttpServer {
    wire: Wire,
    uri: Uri,
    identity: Identity,
    response_timeout: Duration,
}

impl std::fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpServer").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl HttpServer {
    pub(super) fn new(http: &HttpUpstream, config: &Config) -> Result<Self, UnusableUpstream> {
        Ok(Self {
            wire: Wire::new(http, config.limits.connect_timeout)?,
            uri: http.url.as_str().parse()?,
            identity: Identity::new(&config.upstream.identity, config.resource.identifier())?,
            response_timeout: config.limits.response_timeout,
        })
    }

    pub(super) fn assertion_jwks(&self) -> Option<Bytes> {
        self.identity.jwks()
    }

    /// Sends a permitted message and waits for the head of the answer.
    pub(super) async fn forward(
        &self,
        authorized: Authorized<Message>,
        claims: &Claims,
    ) -> Result<Response<Body>, Rejection> {
        let message = authorized.get();
        // Without a session an id may be any caller's: it is not for one to speak of.
        if message.method().form == Form::Notification
            && message.route().session.is_none()
            && matches!(message.method().name, "notifications/cancelled" | "notifications/progress")
        {
            return Ok(StatusCode::ACCEPTED.into_response());
        }
        let request = self.request(message, claims)?;
        // Written; its tree is of no more use while the upstream takes its time.
        drop(authorized);
        self.send(request).await
    }

    /// Answers a request of the upstream's in the place of a client that it may not reach. Nothing
    /// of any caller's is in it.
    pub(super) fn decline(
        self: &Arc<Self>,
        id: &RequestId,
        (route, era): (&Route, Era),
        claims: &Claims,
        declining: OwnedSemaphorePermit,
    ) {
        let body = Rejection::QuestionDenied { method: String::new() }.in_place_of_an_answer(id);
        let request = self.addressed(&Method::POST, route, era, claims).map(|mut request| {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
            *request.body_mut() = Full::from(body);
            request
        });
        let server = Arc::clone(self);
        tokio::spawn(async move {
            let _declining = declining;
            let sent = match request {
                Ok(request) => server.send(request).await.map(drop),
                Err(rejection) => Err(rejection),
            };
            if let Err(rejection) = sent {
                tracing::warn!(reason = rejection.reason(), "a request could not be declined");
            }
        });
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Body>, Rejection> {
        match tokio::time::timeout(self.response_timeout, self.wire.send(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                tracing::warn!(error = %Chain(&error), "the upstream cannot be reached");
                Err(Rejection::UpstreamUnreachable)
            }
            Err(_) => Err(Rejection::UpstreamTooSlow),
        }
    }

    fn request(
        &self,
        message: &Message,
        claims: &Claims,
    ) -> Result<Request<Full<Bytes>>, Rejection> {
        let method = match message.method().form {
            Form::Listening => Method::GET,
            Form::Ending => Method::DELETE,
            Form::Request | Form::Notification | Form::Response => Method::POST,
        };
        let mut request = self.addressed(&method, message.route(), message.era(), claims)?;
        if method == Method::POST {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
            *request.body_mut() = Full::from(message.write());
        }
        if message.era().is_modern() {
            mirror(message, request.headers_mut());
        }
        if let Some(trace) = message.passed_on() {
            pass_on(trace, request.headers_mut());
        }
        Ok(request)
    }

    /// A request for the upstream with the gate's own headers and no body.
    fn addressed(
        &self,
        method: &Method,
        route: &Route,
        era: Era,
        claims: &Claims,
    ) -> Result<Request<Full<Bytes>>, Rejection> {
        let accepted = match *method {
            Method::GET => "text/event-stream",
            _ => "application/json, text/event-stream",
        };
        let mut request = Request::new(Full::default());
        *request.method_mut() = method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accepted));
        // A compressed answer could not be judged.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(version) = era.version() {
            let version = HeaderValue::from_static(version.as_str());
            headers.insert(mirrored::PROTOCOL_VERSION, version);
        }
        for (name, value) in
            [(mirrored::SESSION, &route.session), (mirrored::LAST_EVENT_ID, &route.after_event)]
        {
            if let Some(value) = value {
                let value = HeaderValue::try_from(value).map_err(|_| Rejection::UnknownSession)?;
                headers.insert(name, value);
            }
        }
        if let Some(identity) = self.identity.header(claims)? {
            headers.insert(header::AUTHORIZATION, identity);
        }
        Ok(request)
    }
}

/// What a modern request repeats of its body, written from the body.
fn mirror(message: &Message, headers: &mut HeaderMap) {
    headers.insert(mirrored::METHOD, HeaderValue::from_static(message.method().name));
    if let Some(name) = message.mirror().and_then(mirrored::encoded) {
        headers.insert(mirrored::NAME, name);
    }
    for (name, value) in message.params_in_headers() {
        headers.insert(name, value.clone());
    }
}

/// The trace, of the gate's own making (W3C Trace Context section 2).
fn pass_on(trace: &PassedOn, headers: &mut HeaderMap) {
    for (name, value) in
        [(TRACEPARENT, Some(&trace.traceparent)), (TRACESTATE, trace.tracestate.as_ref())]
    {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
}

/// An error with its causes, joined by colons.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

const USER_AGENT: &str = concat!("cedargate/", env!("CARGO_PKG_VERSION"));
