//! Schemas from tools: that every one is a schema, and that every honest call fits it.

mod generated;

use cedar_policy::{Context, Request, Schema};
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
