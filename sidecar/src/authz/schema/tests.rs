//! Schemas from tools: that every one is a schema, and that every honest call fits it.

use cedar_policy::{Context, Request, Schema};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    authz::{
        arguments::ArgumentsSchema,
        context::{Circumstances, ContextShape},
        shape::TypeNames,
        vocabulary::{EntityTypes, uid},
    },
    message::json::{Json, Object},
};

/// A tool with its Cedar schema, as a gate would have it.
struct Typed {
    tool: String,
    input_schema: Value,
    schema: Schema,
    shape: ContextShape,
}

impl Typed {
    fn of(tool: &str, input_schema: &Value) -> Self {
        let offer = json!([{ "name": tool, "inputSchema": input_schema }]);
        let text = schema_of(&Offer::read(&offer).unwrap());
        let fragment = cedar_policy::SchemaFragment::from_cedarschema_str(&text);
        let (fragment, _) = fragment.unwrap_or_else(|error| panic!("{error:?} in {text}"));
        let json = fragment.clone().to_json_value().unwrap();
        let names = TypeNames::of(&json["Mcp"]);
        let action = json["Mcp"]["actions"].get(tool_action(tool)).unwrap();
        let context = action.pointer("/appliesTo/context").unwrap();
        let shape =
            ContextShape::of(&names, context).unwrap_or_else(|what| panic!("{what} in {text}"));
        let schema = Schema::from_schema_fragments([fragment]).unwrap();
        Self { tool: tool.to_owned(), input_schema: input_schema.clone(), schema, shape }
    }

    /// What arguments make; or what of them does not fit.
    fn context(&self, arguments: &Value) -> Result<Context, String> {
        let Ok(Json::Object(arguments)) = Json::read(arguments.to_string().as_bytes()) else {
            panic!("{arguments}")
        };
        self.valid(&arguments)?;
        self.shape.build(Some(&arguments), &Circumstances::none()).map_err(|m| m.path)
    }

    fn valid(&self, arguments: &Object) -> Result<(), String> {
        let (schema, unusable) = ArgumentsSchema::of(&self.input_schema);
        assert!(unusable.is_empty(), "{unusable:?} of {}", self.input_schema);
        schema
            .require(Some(arguments))
            .map_err(|misfit| format!("{}: {}", misfit.path, misfit.what))
    }

    /// Whether arguments make a context that the schema takes.
    fn takes(&self, arguments: &Value) -> Result<(), String> {
        let context = self.context(arguments)?;
        let types = EntityTypes::new().unwrap();
        let (principal, resource) = (uid(&types.user, "u"), uid(&types.tool, "t"));
        let action = types.action(&tool_action(&self.tool));
        Request::new(principal, action, resource, context, Some(&self.schema))
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

fn taken(input_schema: Value, arguments: Value) {
    let typed = Typed::of("t", &input_schema);
    let taken = typed.takes(&arguments);
    assert_eq!(taken, Ok(()), "{arguments} for {input_schema}");
}

fn refused(input_schema: Value, arguments: Value) {
    let typed = Typed::of("t", &input_schema);
    assert!(typed.takes(&arguments).is_err(), "{arguments} for {input_schema}");
}

fn object(properties: Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

#[test]
fn every_name_of_a_tool_or_an_argument_is_legal() {
    let names = [
        "get-sum",
        "a.b/c",
        "1st",
        "in",
        "if",
        "true",
        "like",
        "permit",
        "__cedar",
        "has space",
        "quote\"quote",
        "back\\slash",
        "new\nline",
        "ünïcødé",
        "名前",
        "\u{1F600}",
        "a\u{301}",
        "$x",
        "*",
        "",
        "Mcp::Tool",
        "ping",
        "call_tool",
        "tool:ping",
        "\u{7f}",
        "'",
        "principal",
    ];
    for name in names {
        let schema = json!({ "type": "object", "required": [name], "properties": { name: { "type": "string" } } });
        let typed = Typed::of(name, &schema);
        assert_eq!(typed.takes(&json!({ name: "x" })), Ok(()), "{name:?}");
    }
    // All of them together, in a schema of their own.
    let tools: Vec<Value> = names
        .iter()
        .map(|name| json!({ "name": name, "inputSchema": object(json!({ "a": true })) }))
        .collect();
    let text = schema_of(&Offer::read(&Value::from(tools)).unwrap());
    assert!(Schema::from_cedarschema_str(&text).is_ok());
}

#[test]
fn the_order_of_an_offer_makes_no_difference() {
    let (a, b) = (
        json!({ "name": "a", "inputSchema": object(json!({ "x": true, "y": true })) }),
        json!({ "name": "b", "inputSchema": object(json!({})) }),
    );
    let of = |tools: Value| schema_of(&Offer::read(&tools).unwrap());
    assert_eq!(of(json!([a, b])), of(json!({ "result": { "tools": [b, a] } })));
}

#[test]
fn what_schemas_say_becomes_types() {
    let input = |property: Value| {
        let offer = json!([{ "name": "t", "inputSchema": { "type": "object", "required": ["a"],
            "properties": { "a": property }, "$defs": {
                "Money": { "type": "number" }, "Tree": { "type": "object", "properties": {
                    "left": { "$ref": "#/$defs/Tree" } } } } } }]);
        let text = schema_of(&Offer::read(&offer).unwrap());
        let (_, rest) = text.split_once("input: {\n").unwrap();
        let (input, _) = rest.split_once("\n        },").unwrap();
        input.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for (property, of) in [
        (json!({ "type": "string" }), r#""a": String,"#),
        (json!({ "type": "integer" }), r#""a": Long,"#),
        (json!({ "type": "number" }), r#""a": decimal,"#),
        (json!({ "type": "boolean" }), r#""a": Bool,"#),
        (json!({ "type": ["string", "null"] }), r#"@nullable "a"?: String,"#),
        (
            json!({ "anyOf": [{ "type": "integer" }, { "type": "null" }] }),
            r#"@nullable "a"?: Long,"#,
        ),
        (json!({ "oneOf": [{ "type": "integer" }, { "type": "number" }] }), r#""a": decimal,"#),
        (json!({ "type": ["string", "integer"] }), r#""a": Json,"#),
        (json!({}), r#""a": Json,"#),
        (json!(true), r#""a": Json,"#),
        (json!({ "enum": ["x", "y"] }), r#""a": String,"#),
        (json!({ "enum": ["x", null] }), r#"@nullable "a"?: String,"#),
        (json!({ "enum": ["x", 1] }), r#""a": Json,"#),
        (json!({ "const": 1.0 }), r#""a": Long,"#),
        (json!({ "type": "string", "format": "date-time" }), r#""a": datetime,"#),
        (json!({ "type": "string", "format": "ipv6" }), r#""a": ipaddr,"#),
        (json!({ "type": "string", "format": "uri" }), r#""a": String,"#),
        (json!({ "type": "array", "items": { "$ref": "#/$defs/Money" } }), r#""a": Set<decimal>,"#),
        (json!({ "type": "array" }), r#""a": Set<Json>,"#),
        (
            json!({ "type": "array", "prefixItems": [{ "type": "string" }], "items": { "type": "string" } }),
            r#""a": Set<String>,"#,
        ),
        (json!({ "type": "object" }), r#""a": Set<{ key: String, value: Json }>,"#),
        (
            json!({ "type": "object", "additionalProperties": { "type": "string" } }),
            r#""a": Set<{ key: String, value: String }>,"#,
        ),
        (
            json!({ "type": "object", "properties": { "b": { "type": "string" } }, "additionalProperties": true }),
            r#""a": { "b"?: String, "*": Set<{ key: String, value: Json }>, },"#,
        ),
        (json!({ "allOf": [{ "type": "string" }, { "minLength": 2 }] }), r#""a": String,"#),
        (
            json!({ "type": "object", "oneOf": [
                { "properties": { "kind": { "const": "x" }, "n": { "type": "integer" } }, "required": ["kind"] },
                { "properties": { "kind": { "const": "y" } }, "required": ["kind"] }] }),
            r#""a": { "kind": String, "n"?: Long, },"#,
        ),
        (json!({ "$ref": "#/$defs/Tree" }), r#""a": { "left"?: Json, },"#),
        (json!({ "$ref": "https://elsewhere.example/schema" }), r#""a": Json,"#),
    ] {
        assert_eq!(input(property.clone()), of, "{property}");
    }
}

#[test]
fn values_that_are_hard_to_hold_are_held() {
    for number in [
        "0.00001",
        "1e300",
        "-1e300",
        "0.1",
        "-0.00005",
        "1e-300",
        "99999999999.99999",
        "922337203685477.5807",
    ] {
        let number: Value = serde_json::from_str(number).unwrap();
        taken(object(json!({ "a": { "type": "number" } })), json!({ "a": number }));
    }
    taken(object(json!({ "a": { "type": "integer" } })), json!({ "a": 9_007_199_254_740_991_i64 }));
    refused(
        object(json!({ "a": { "type": "integer" } })),
        json!({ "a": 9_007_199_254_740_992_i64 }),
    );
    for of in [json!({ "type": "number" }), json!({})] {
        taken(object(json!({ "a": of })), json!({ "a": 9_007_199_254_740_992_i64 }));
        refused(object(json!({ "a": of })), json!({ "a": 9_007_199_254_740_993_i64 }));
    }
    for time in [
        "2026-11-23T10:00:00Z",
        "2026-11-23t10:00:00.123456789+02:00",
        "2026-11-23",
        "0001-01-01T00:00:00Z",
    ] {
        taken(
            object(json!({ "a": { "type": "string", "format": "date-time" } })),
            json!({ "a": time }),
        );
    }
    refused(
        object(json!({ "a": { "type": "string", "format": "date" } })),
        json!({ "a": "tomorrow" }),
    );
    for address in ["127.0.0.1", "::1", "::ffff:1.2.3.4", "fe80::1"] {
        taken(
            object(json!({ "a": { "type": "string", "format": "ipv6" } })),
            json!({ "a": address }),
        );
    }
    refused(
        object(json!({ "a": { "type": "string", "format": "ipv4" } })),
        json!({ "a": "10.0.0.0/8" }),
    );
    refused(object(json!({ "a": { "type": "string" } })), json!({ "a": "x", "b": 1 }));
    refused(object(json!({ "a": { "type": "string" } })), json!({ "a": null }));
    taken(object(json!({ "a": { "type": ["string", "null"] } })), json!({ "a": null }));
    // What looks like Cedar's own JSON is a value like any other.
    taken(
        object(json!({ "a": {} })),
        json!({ "a": { "__entity": { "type": "Mcp::Group", "id": "g" } } }),
    );
}

/// A schema that can be written, and for which values can be made.
#[derive(Debug, Clone)]
enum Node {
    Boolean,
    Integer,
    Number,
    Text,
    Time,
    Address,
    Enum(Vec<String>),
    List(Box<Node>),
    Map(Box<Node>),
    Object(Vec<(String, Node, bool)>, Option<Box<Node>>),
    Nullable(Box<Node>, bool),
    Either(Vec<Node>, bool),
    Both(Box<Node>),
    Defined(Box<Node>),
    Anything,
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,3}",
        "[a-z$-]{1,4}",
        Just("in".to_owned()),
        Just("*".to_owned()),
        "\\PC{1,3}"
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        Just(Node::Boolean),
        Just(Node::Integer),
        Just(Node::Number),
        Just(Node::Text),
        Just(Node::Time),
        Just(Node::Address),
        Just(Node::Anything),
        prop::collection::vec("[a-c]{1,2}", 1..3).prop_map(Node::Enum),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let member = (name(), inner.clone(), any::<bool>());
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed().prop_map(Node::List),
            boxed().prop_map(Node::Map),
            (prop::collection::vec(member, 1..4), prop::option::of(boxed()))
                .prop_map(|(members, others)| Node::Object(distinct(members), others)),
            (boxed(), any::<bool>()).prop_map(|(inner, any_of)| Node::Nullable(inner, any_of)),
            (prop::collection::vec(inner.clone(), 2..3), any::<bool>())
                .prop_map(|(nodes, any_of)| Node::Either(nodes, any_of)),
            boxed().prop_map(Node::Both),
            boxed().prop_map(Node::Defined),
        ]
    })
}

/// Names that differ in more than case.
fn distinct(members: Vec<(String, Node, bool)>) -> Vec<(String, Node, bool)> {
    let mut seen = BTreeSet::new();
    members
        .into_iter()
        .filter(|(name, ..)| seen.insert(name.to_lowercase().to_uppercase()))
        .collect()
}

impl Node {
    /// Its schema; what is referred to goes to `defined`.
    fn schema(&self, defined: &mut Vec<Value>) -> Value {
        match self {
            Self::Boolean => json!({ "type": "boolean" }),
            Self::Integer => json!({ "type": "integer" }),
            Self::Number => json!({ "type": "number" }),
            Self::Text => json!({ "type": "string" }),
            Self::Time => json!({ "type": "string", "format": "date-time" }),
            Self::Address => json!({ "type": "string", "format": "ipv4" }),
            Self::Enum(texts) => json!({ "enum": texts.iter().collect::<BTreeSet<_>>() }),
            Self::List(inner) => json!({ "type": "array", "items": inner.schema(defined) }),
            Self::Map(inner) => {
                json!({ "type": "object", "additionalProperties": inner.schema(defined) })
            }
            Self::Object(members, others) => {
                let mut schema = object(json!({}));
                for (name, node, _) in members {
                    schema["properties"][name] = node.schema(defined);
                }
                let required = members.iter().filter(|(_, _, required)| *required);
                schema["required"] =
                    required.map(|(name, ..)| Value::from(name.as_str())).collect();
                if let Some(others) = others {
                    schema["additionalProperties"] = others.schema(defined);
                }
                schema
            }
            Self::Nullable(inner, true) => {
                json!({ "anyOf": [inner.schema(defined), { "type": "null" }] })
            }
            Self::Nullable(inner, false) => match inner.schema(defined) {
                Value::Object(mut schema) if schema.get("type").is_some_and(Value::is_string) => {
                    let of = schema["type"].clone();
                    schema.insert("type".to_owned(), json!([of, "null"]));
                    Value::Object(schema)
                }
                other => json!({ "anyOf": [{ "type": "null" }, other] }),
            },
            Self::Either(nodes, any_of) => {
                let schemas: Vec<Value> = nodes.iter().map(|node| node.schema(defined)).collect();
                json!({ if *any_of { "anyOf" } else { "oneOf" }: schemas })
            }
            Self::Both(inner) => {
                json!({ "allOf": [inner.schema(defined), { "description": "both" }] })
            }
            Self::Defined(inner) => {
                let schema = inner.schema(defined);
                defined.push(schema);
                json!({ "$ref": format!("#/$defs/d{}", defined.len() - 1) })
            }
            Self::Anything => json!({}),
        }
    }

    fn value(&self) -> BoxedStrategy<Value> {
        match self {
            Self::Boolean => any::<bool>().prop_map(Value::from).boxed(),
            Self::Integer => (-(1_i64 << 53) + 1..1_i64 << 53).prop_map(Value::from).boxed(),
            Self::Number => prop_oneof![
                any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::from),
                any::<i32>().prop_map(Value::from),
            ]
            .boxed(),
            Self::Text => "\\PC{0,6}".prop_map(Value::from).boxed(),
            Self::Time => (0_i64..4_000_000_000)
                .prop_map(|s| Value::from(jiff::Timestamp::from_second(s).unwrap().to_string()))
                .boxed(),
            Self::Address => any::<[u8; 4]>()
                .prop_map(|bytes| Value::from(std::net::Ipv4Addr::from(bytes).to_string()))
                .boxed(),
            Self::Enum(texts) => prop::sample::select(texts.clone()).prop_map(Value::from).boxed(),
            Self::List(inner) => {
                prop::collection::vec(inner.value(), 0..3).prop_map(Value::from).boxed()
            }
            Self::Map(inner) => {
                members_of(prop::collection::vec(("[a-z]{1,2}", inner.value()), 0..3))
            }
            Self::Object(members, others) => {
                let members: Vec<BoxedStrategy<Option<(String, Value)>>> = members
                    .iter()
                    .map(|(name, node, required)| {
                        let name = name.clone();
                        let member =
                            node.value().prop_map(move |value| Some((name.clone(), value)));
                        if *required {
                            member.boxed()
                        } else {
                            prop_oneof![member, Just(None)].boxed()
                        }
                    })
                    .collect();
                let others = match others {
                    Some(others) => {
                        prop::collection::vec(("[A-Z]{4}[0-9]", others.value()), 0..2).boxed()
                    }
                    None => Just(Vec::new()).boxed(),
                };
                let all = (members, others);
                members_of(all.prop_map(|(named, others)| {
                    named.into_iter().flatten().chain(others).collect()
                }))
            }
            Self::Nullable(inner, _) => prop_oneof![inner.value(), Just(Value::Null)].boxed(),
            Self::Either(nodes, _) => {
                let values: Vec<_> = nodes.iter().map(Self::value).collect();
                prop::strategy::Union::new(values).boxed()
            }
            Self::Both(inner) | Self::Defined(inner) => inner.value(),
            Self::Anything => prop_oneof![
                Just(Value::Null),
                any::<bool>().prop_map(Value::from),
                any::<i32>().prop_map(Value::from),
                "\\PC{0,4}".prop_map(Value::from),
                prop::collection::vec(any::<i8>(), 0..2).prop_map(Value::from),
                Just(json!({ "x": [null] })),
            ]
            .boxed(),
        }
    }
}

fn members_of(
    members: impl Strategy<Value = Vec<(String, Value)>> + 'static,
) -> BoxedStrategy<Value> {
    members.prop_map(|members| Value::Object(members.into_iter().collect())).boxed()
}

/// A tool's arguments: an object that holds two nodes.
fn tool_and_arguments() -> impl Strategy<Value = (Value, Value)> {
    let arguments = (node(), any::<bool>(), node(), any::<bool>()).prop_map(
        |(a, a_required, b, b_required)| {
            Node::Object(
                vec![("a".to_owned(), a, a_required), ("b".to_owned(), b, b_required)],
                None,
            )
        },
    );
    arguments.prop_flat_map(|node| {
        let mut defined = Vec::new();
        let mut schema = node.schema(&mut defined);
        for (number, definition) in defined.into_iter().enumerate() {
            schema["$defs"][format!("d{number}")] = definition;
        }
        (Just(schema), node.value())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// The round trip: what the JSON Schema lets through, the Cedar schema can hold.
    #[test]
    fn every_valid_instance_makes_a_valid_context((schema, arguments) in tool_and_arguments()) {
        let typed = Typed::of("t", &schema);
        let Ok(Json::Object(read)) = Json::read(arguments.to_string().as_bytes()) else {
            // Names that differ in case alone are refused before.
            return Ok(());
        };
        // Of `oneOf` both may hold, and then none counts.
        if typed.valid(&read).is_err() { return Ok(()) }
        prop_assert_eq!(typed.takes(&arguments), Ok(()), "{} for {}", arguments, schema);
    }
}

/// Public servers' own lists, where they are at hand (tests/foreign says how to get them).
#[test]
fn schemas_of_public_servers_are_schemas() {
    let Some(folder) = std::env::var_os("CEDARGATE_TEST_TOOL_LISTS") else {
        println!("skipped: needs CEDARGATE_TEST_TOOL_LISTS");
        return;
    };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let saved: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let offer = Offer::read(&saved).unwrap();
        let text = schema_of(&offer);
        let outcome = Schema::from_cedarschema_str(&text).map(drop);
        assert!(outcome.is_ok(), "{}: {outcome:?}", path.display());
        for (name, tool) in offer.tools() {
            let (_, unusable) = ArgumentsSchema::of(&tool["inputSchema"]);
            assert!(unusable.is_empty(), "{unusable:?} of {name} in {}", path.display());
        }
    }
}
