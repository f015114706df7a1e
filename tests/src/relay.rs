//! For clients that can send no token: plain HTTP on loopback in, HTTPS with a token out.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, body::Body, extract::Request, http::HeaderMap, response::Response};
use http::{HeaderValue, StatusCode, header};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::Caller;

/// A relay that has its address and waits to be told where to.
#[derive(Debug)]
pub struct Relay {
    listener: TcpListener,
    address: SocketAddr,
}

/// A relay at work; stopped when dropped.
#[derive(Debug)]
pub struct RelayAtWork {
    address: SocketAddr,
    relaying: JoinHandle<()>,
}

/// Where to, and in whose name.
#[derive(Debug)]
struct Onward {
    http: reqwest::Client,
    gate: String,
    authorization: HeaderValue,
}

impl Relay {
    /// Takes a free port.
    pub async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// The name under which clients call it, which it hands on: the gate must answer to it.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// Relays to the gate in a caller's name.
    pub fn relay_to(self, caller: &Caller<'_>) -> RelayAtWork {
        let onward = Arc::new(Onward {
            // HTTP/1.1, which has a Host that can differ from where the request goes.
            http: caller.clone().over_http1().http,
            gate: format!("https://{}", caller.stack.gate()),
            authorization: format!("Bearer {}", caller.token()).parse().unwrap(),
        });
        let router = Router::new().fallback(move |request: Request| {
            let onward = Arc::clone(&onward);
            async move { onward.pass(request).await }
        });
        let serving = axum::serve(self.listener, router);
        let relaying = tokio::spawn(async move { serving.await.unwrap() });
        RelayAtWork { address: self.address, relaying }
    }
}

impl RelayAtWork {
    /// Where the gate's MCP endpoint is found.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }
}

impl Drop for RelayAtWork {
    fn drop(&mut self) {
        self.relaying.abort();
    }
}

impl Onward {
    /// Bodies flow as they come, in both directions; a client that leaves ends the gate's answer.
    async fn pass(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = end_to_end(head.headers);
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        let onward = self
            .http
            .request(head.method, format!("{}{path}", self.gate))
            .headers(headers)
            .body(reqwest::Body::wrap_stream(body.into_data_stream()));
        let answered = match onward.send().await {
            Ok(answered) => answered,
            Err(error) => {
                let mut failure = Response::new(Body::from(error.to_string()));
                *failure.status_mut() = StatusCode::BAD_GATEWAY;
                return failure;
            }
        };
        let (status, headers) = (answered.status(), end_to_end(answered.headers().clone()));
        let mut response = Response::new(Body::from_stream(answered.bytes_stream()));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// Without the headers that are about the connection (RFC 9110 §7.6.1).
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE] {
        headers.remove(name);
    }
    headers
}
