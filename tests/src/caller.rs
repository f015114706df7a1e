//! Callers of the gate: a token or none, any headers, any body.

use http::HeaderMap;
use serde_json::{Value, json};

use crate::{reply::Reply, stack::Stack};

/// Sends requests to the MCP endpoint.
#[derive(Debug, Clone)]
pub struct Caller<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) http: reqwest::Client,
    pub(crate) token: Option<String>,
    pub(crate) headers: HeaderMap,
}

impl Caller<'_> {
    /// The caller's token.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("a caller with a token")
    }

    /// Adds a header to every request; several of a name are sent as several.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    /// Shows a certificate of the stack's authority to the gate.
    pub fn showing(mut self, identity: &str) -> Self {
        let read = |name: &str| std::fs::read(self.stack.home().join(name)).unwrap();
        let authority = reqwest::Certificate::from_pem_bundle(&read("ca.pem")).unwrap();
        let pem = [read(&format!("{identity}.pem")), read(&format!("{identity}-key.pem"))].concat();
        let identity = reqwest::Identity::from_pem(&pem).unwrap();
        let client = reqwest::Client::builder().tls_certs_only(authority).identity(identity);
        self.http = client.build().unwrap();
        self
    }

    /// Speaks HTTP/1.1.
    pub fn over_http1(mut self) -> Self {
        let pem = std::fs::read(self.stack.home().join("ca.pem")).unwrap();
        let authority = reqwest::Certificate::from_pem_bundle(&pem).unwrap();
        let client = reqwest::Client::builder().http1_only().tls_certs_only(authority);
        self.http = client.build().unwrap();
        self
    }

    /// Speaks 2026-07-28: adds what the modern era mirrors into headers.
    pub fn modern(self, method: &str, name: Option<&str>) -> Self {
        let caller = self.header("mcp-protocol-version", "2026-07-28").header("mcp-method", method);
        match name {
            Some(name) => caller.header("mcp-name", name),
            None => caller,
        }
    }

    /// Posts a body as it is.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> Reply {
        self.send(reqwest::Method::POST, Some(body.into())).await
    }

    /// Sends a request with any HTTP method.
    pub async fn send(&self, method: reqwest::Method, body: Option<reqwest::Body>) -> Reply {
        self.stack.count_request();
        let mut request = self.http.request(method, self.stack.resource());
        if !self.headers.contains_key("content-type") {
            request = request.header("content-type", "application/json");
        }
        request = request.header("accept", "application/json, text/event-stream");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        Reply::read(request.send().await.unwrap()).await
    }

    /// A legacy request of any method.
    pub async fn request(&self, method: &str, params: Value) -> Reply {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.post(body.to_string()).await
    }

    /// A legacy tool call.
    pub async fn call(&self, tool: &str, arguments: Value) -> Reply {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// A modern request of any method.
    pub async fn modern_request(&self, method: &str, mut params: Value) -> Reply {
        let name = params.get("name").or(params.get("uri")).and_then(Value::as_str);
        let caller = self.clone().modern(method, name.map(str::to_owned).as_deref());
        params.as_object_mut().unwrap().insert("_meta".to_owned(), modern_meta());
        caller.request(method, params).await
    }

    /// Posts a body that must be refused, and asserts that the upstream saw nothing of it.
    pub async fn refused(&self, body: impl Into<reqwest::Body>) -> Reply {
        let before = self.stack.spy().mark();
        let reply = self.post(body).await;
        assert_eq!(self.stack.spy().mark(), before, "the upstream saw something");
        reply
    }

    /// A legacy tool call that must be refused without a trace upstream.
    pub async fn refused_call(&self, tool: &str, arguments: Value) -> Reply {
        let params = json!({ "name": tool, "arguments": arguments });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        self.refused(body.to_string()).await
    }
}

/// `params._meta` of a modern request.
fn modern_meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {
            "extensions": { "io.modelcontextprotocol/tasks": {} },
        },
        "io.modelcontextprotocol/clientInfo": { "name": "harness", "version": "1" },
    })
}
