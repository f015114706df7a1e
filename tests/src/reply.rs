//! What came back, and what tests say about it.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// One HTTP response of the gate.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

impl Reply {
    /// Reads the whole response.
    pub async fn read(response: reqwest::Response) -> Self {
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?} ({})", self.body, self.status))
    }

    /// The messages in an event stream.
    pub fn messages(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| !data.is_empty()).map(|d| serde_json::from_str(d).unwrap()).collect()
    }

    /// The result of the JSON-RPC answer.
    pub fn result(&self) -> Value {
        let json = self.json();
        json.get("result").cloned().unwrap_or_else(|| panic!("no result in {json}"))
    }

    /// The reason code of a refusal; empty when there is none.
    pub fn reason(&self) -> String {
        let reason = self.json().pointer("/error/data/reason").cloned().unwrap_or_default();
        reason.as_str().unwrap_or_default().to_owned()
    }

    /// The one challenge.
    pub fn challenge(&self) -> Option<&str> {
        let mut values = self.headers.get_all("www-authenticate").iter();
        let value = values.next()?;
        assert!(values.next().is_none(), "more than one challenge");
        value.to_str().ok()
    }

    /// Names of the listed tools.
    pub fn tool_names(&self) -> Vec<String> {
        names(&self.result(), "tools", "name")
    }

    /// URIs of the listed resources.
    pub fn resource_uris(&self) -> Vec<String> {
        names(&self.result(), "resources", "uri")
    }
}

fn names(result: &Value, list: &str, name: &str) -> Vec<String> {
    let items = result.get(list).and_then(Value::as_array).expect("a list");
    let mut names: Vec<String> = items
        .iter()
        .filter_map(|item| item.get(name).and_then(Value::as_str))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}
