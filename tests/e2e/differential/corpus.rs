use std::path::{Path, PathBuf};

use harness::{repository, skip};
use serde_json::{Value, json};

use super::oddities;

/// One body, and the headers that repeat what an honest sender would say of it.
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) body: Vec<u8>,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    /// It has an id in its proper place, and so waits for an answer.
    pub(super) is_request: bool,
    /// Where it comes from.
    label: String,
}

/// What is expected of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// To be admitted, and taken by every SDK.
    Honest,
    /// Anything, as long as nobody is deceived.
    Odd,
}

impl Item {
    fn legacy(kind: Kind, label: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { kind, body: body.into(), headers: Vec::new(), is_request: true, label: label.into() }
    }

    fn modern(kind: Kind, label: &str, method: &'static str, name: Option<&'static str>) -> Self {
        let mut headers = vec![("mcp-protocol-version", MODERN), ("mcp-method", method)];
        headers.extend(name.map(|name| ("mcp-name", name)));
        Self { headers, ..Self::legacy(kind, format!("modern {label}"), "") }
    }

    /// To be told from the others in a complaint.
    pub(super) fn shown(&self) -> String {
        let start = &self.body[..self.body.len().min(200)];
        format!("{}: {}", self.label, start.escape_ascii())
    }
}

/// The corpus.
pub(super) fn items() -> Vec<Item> {
    let mut items = honest();
    for (label, value) in oddities::values() {
        items.extend(PLACES.iter().map(|place| place.with(&label, &value)));
    }
    for (label, members) in oddities::members() {
        for place in MEMBERS_OF {
            items.push(place.with(&label, &members));
        }
    }
    let bodies = oddities::bodies().into_iter();
    items.extend(bodies.map(|(label, body)| Item::legacy(Kind::Odd, label, body)));
    for (label, value) in vectors() {
        let of_vectors = PLACES.iter().filter(|place| place.for_vectors);
        items.extend(of_vectors.map(|place| place.with(&label, &value)));
        items.push(Item::legacy(Kind::Odd, label, value));
    }
    items
}

/// A body with a hole in it.
struct Place {
    modern: Option<(&'static str, Option<&'static str>)>,
    before: &'static str,
    after: &'static str,
    for_vectors: bool,
}

impl Place {
    fn with(&self, label: &str, filling: &[u8]) -> Item {
        let body = [self.before.as_bytes(), filling, self.after.as_bytes()].concat();
        let item = match self.modern {
            None => Item::legacy(Kind::Odd, label, ""),
            Some((method, name)) => Item::modern(Kind::Odd, label, method, name),
        };
        Item { body, ..item }
    }
}

const fn legacy(for_vectors: bool, before: &'static str, after: &'static str) -> Place {
    Place { modern: None, before, after, for_vectors }
}

const fn modern(
    (method, name): (&'static str, Option<&'static str>),
    for_vectors: bool,
    before: &'static str,
    after: &'static str,
) -> Place {
    Place { modern: Some((method, name)), before, after, for_vectors }
}

const MODERN: &str = "2026-07-28";
const URI: &str = "file:///a%2Fb/../C";
/// The end of the `params` of a modern message, and of the message.
macro_rules! modern_end {
    () => {
        r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#
    };
}

/// Where a value can stand.
const PLACES: [Place; 16] = [
    legacy(
        true,
        r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p","arguments":{"a":"#,
        "}}}",
    ),
    modern(
        ("prompts/get", Some("p")),
        true,
        r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p","arguments":"#,
        modern_end!(),
    ),
    legacy(
        true,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"probe","arguments":{"count":"#,
        "}}}",
    ),
    legacy(
        false,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"probe","arguments":{"amount":"#,
        "}}}",
    ),
    legacy(
        true,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"probe","arguments":{"text":"#,
        "}}}",
    ),
    legacy(
        false,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"probe","arguments":{"names":["#,
        r#","b"]}}}"#,
    ),
    modern(
        ("tools/call", Some("probe")),
        false,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"probe","arguments":{"nested":{"count":"#,
        concat!("}}", modern_end!()),
    ),
    legacy(
        false,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"probe","arguments":"#,
        "}}",
    ),
    legacy(
        false,
        r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"x","value":"#,
        "}}}",
    ),
    legacy(false, r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"#, "}}"),
    legacy(false, r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"#, "}}"),
    legacy(
        false,
        r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p","_meta":{"progressToken":"#,
        "}}}",
    ),
    legacy(false, r#"{"jsonrpc":"2.0","id":"#, r#","method":"ping"}"#),
    legacy(false, r#"{"jsonrpc":"2.0","id":1,"method":"#, r#","params":{"name":"probe"}}"#),
    legacy(false, r#"{"jsonrpc":"#, r#","id":1,"method":"ping"}"#),
    legacy(false, r#"{"jsonrpc":"2.0","id":1,"method":"prompts/list","params":"#, "}"),
];

/// Where more members can stand.
const MEMBERS_OF: [Place; 6] = [
    legacy(
        false,
        r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p","arguments":{"a":"1","#,
        "}}}",
    ),
    legacy(
        false,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"probe","arguments":{"text":"1","#,
        "}}}",
    ),
    legacy(
        false,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"probe","#,
        "}}",
    ),
    modern(
        ("tools/call", Some("probe")),
        false,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"probe","#,
        modern_end!(),
    ),
    legacy(false, r#"{"jsonrpc":"2.0","id":1,"method":"ping","#, "}"),
    legacy(
        false,
        r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p","_meta":{"a":1,"#,
        "}}}",
    ),
];

/// Methods of both eras as an honest client sends them.
fn honest() -> Vec<Item> {
    let mut items = Vec::new();
    for (method, params) in legacy_methods() {
        for id in [json!(1), json!("a-1"), json!(0), json!(-5), json!("")] {
            let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
            items.push(Item::legacy(Kind::Honest, method, body.to_string()));
            let spaced = serde_json::to_string_pretty(&body).unwrap();
            items.push(Item::legacy(Kind::Honest, method, format!("\r\n\t {spaced} \n")));
            items.push(Item::legacy(Kind::Honest, method, escaped(&body.to_string())));
        }
    }
    for method in ["notifications/initialized", "notifications/roots/list_changed"] {
        let body = json!({ "jsonrpc": "2.0", "method": method });
        let item = Item::legacy(Kind::Honest, method, body.to_string());
        items.push(Item { is_request: false, ..item });
    }
    for (method, name, params) in [
        ("server/discover", None, json!({})),
        ("tools/list", None, json!({})),
        ("tools/call", Some("probe"), probe()),
        ("prompts/get", Some("p"), json!({ "name": "p", "arguments": { "a": "b" } })),
        ("resources/read", Some(URI), json!({ "uri": URI })),
        ("completion/complete", None, completion()),
    ] {
        items.push(honest_modern(method, name, params));
    }
    items
}

fn legacy_methods() -> [(&'static str, Value); 10] {
    let hello = json!({
        "protocolVersion": "2025-11-25", "capabilities": { "roots": { "listChanged": true } },
        "clientInfo": { "name": "test", "version": "1" },
    });
    [
        ("initialize", hello),
        ("ping", json!({})),
        ("logging/setLevel", json!({ "level": "info" })),
        ("tools/list", json!({ "cursor": "c", "_meta": { "progressToken": "t" } })),
        ("tools/call", probe()),
        ("prompts/get", json!({ "name": "p", "arguments": { "a": "b" } })),
        ("resources/list", json!({})),
        ("resources/read", json!({ "uri": URI })),
        ("resources/subscribe", json!({ "uri": URI })),
        ("completion/complete", completion()),
    ]
}

fn probe() -> Value {
    let text = "Zoë \u{1F600} \"quoted\" \\ \u{8}\u{c}\n\r\t \u{2028}";
    json!({
        "name": "probe",
        "arguments": {
            "text": text, "count": -7, "amount": 89.5, "flag": true, "names": ["a", "b"],
            "nested": { "text": "", "count": 0 },
        },
    })
}

fn completion() -> Value {
    json!({
        "ref": { "type": "ref/resource", "uri": "file:///{path}" },
        "argument": { "name": "path", "value": "x" },
    })
}

fn honest_modern(method: &'static str, name: Option<&'static str>, mut params: Value) -> Item {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    Item { body: body.to_string().into(), ..Item::modern(Kind::Honest, method, method, name) }
}

/// The same text with every letter of a name or a string escaped.
fn escaped(json: &str) -> String {
    let (mut inside, mut after_backslash) = (false, false);
    let mut out = String::new();
    for letter in json.chars() {
        match letter {
            '"' if !after_backslash => {
                inside = !inside;
                out.push(letter);
            }
            _ if inside && !after_backslash && letter.is_ascii_alphabetic() => {
                out.push_str(&format!("\\u{:04X}", u32::from(letter)));
            }
            _ => out.push(letter),
        }
        after_backslash = letter == '\\' && !after_backslash;
    }
    out
}

/// The files of JSONTestSuite.
fn vectors() -> Vec<(String, Vec<u8>)> {
    let beside = || repository().join("../shared/vectors");
    let root = std::env::var_os("CEDARGATE_TEST_VECTORS").map_or_else(beside, PathBuf::from);
    let suite = root.join("jsontestsuite");
    if !suite.exists() {
        skip("JSONTestSuite as $CEDARGATE_TEST_VECTORS/jsontestsuite, for a part of the corpus");
        return Vec::new();
    }
    ["test_parsing", "test_transform"].iter().flat_map(|part| files(&suite.join(part))).collect()
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let named = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read(path).unwrap())
    };
    files.into_iter().map(named).collect()
}
