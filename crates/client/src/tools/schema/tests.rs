use super::*;

fn adapt(schema: Value) -> Result<(Value, Shape), Unfit> {
    let Value::Object(schema) = schema else { panic!("{schema}") };
    let adapted = adapted(&Arc::new(schema));
    adapted.map(|(schema, shape)| (Value::Object((*schema).clone()), shape))
}

fn object(value: Value) -> JsonObject {
    let Value::Object(object) = value else { panic!("{value}") };
    object
}

#[test]
fn a_schema_without_oddities_is_kept_as_it_is() {
    let schema = json!({
        "type": "object",
        "properties": { "id": { "type": "string", "enum": ["a"] }, "n": { "$ref": "#/$defs/n" } },
        "required": ["id"],
        "additionalProperties": false,
        "$defs": { "n": { "type": "array", "items": { "type": "number" } } },
    });
    assert_eq!(adapt(schema.clone()), Ok((schema, Shape::Plain)));
}

#[test]
fn what_some_provider_lacks_is_said_in_another_way() {
    for (schema, expected) in [
        (json!({}), json!({ "type": "object", "properties": {} })),
        (
            json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object" }),
            json!({ "type": "object", "properties": {} }),
        ),
        (
            json!({ "type": ["object", "null"], "properties": { "any": true, "none": false } }),
            json!({ "type": "object", "properties": { "any": {}, "none": { "not": {} } } }),
        ),
        (
            json!({ "type": "object", "properties": { "list": { "type": "array" } } }),
            json!({ "type": "object", "properties": { "list": { "type": "array", "items": {} } } }),
        ),
    ] {
        assert_eq!(adapt(schema.clone()), Ok((expected, Shape::Plain)), "{schema}");
    }
}

#[test]
fn a_choice_at_the_root_moves_one_level_down_and_back() {
    let (schema, shape) = adapt(json!({
        "type": "object",
        "description": "One or the other",
        "oneOf": [{ "$ref": "#/$defs/a" }, { "required": ["b"], "properties": { "b": { "$ref": "#" } } }],
        "$defs": { "a": { "required": ["a"], "const": { "$ref": "#" } } },
    }))
    .unwrap();
    assert_eq!(
        schema,
        json!({
            "type": "object",
            "description": "One or the other",
            "$defs": { "a": { "required": ["a"], "const": { "$ref": "#" } } },
            "properties": { "arguments": {
                "type": "object",
                "description": "One or the other",
                "oneOf": [
                    { "$ref": "#/$defs/a" },
                    { "required": ["b"], "properties": { "b": { "$ref": "#/properties/arguments" } } },
                ],
            } },
            "required": ["arguments"],
            "additionalProperties": false,
        })
    );
    assert_eq!(
        shape.restored(object(json!({ "arguments": { "a": 1 } }))),
        Ok(object(json!({ "a": 1 })))
    );
    for wrong in
        [json!({ "a": 1 }), json!({ "arguments": 1 }), json!({ "arguments": {}, "more": 1 })]
    {
        assert_eq!(shape.restored(object(wrong.clone())), Err(Unusable::NotWrapped), "{wrong}");
    }
}

#[test]
fn arguments_that_some_provider_cannot_name_get_another_name_and_their_own_back() {
    let (schema, shape) = adapt(json!({
        "type": "object",
        "properties": { "größe": { "type": "integer" }, "id": { "type": "string" } },
        "required": ["größe"],
    }))
    .unwrap();
    let offered = offered_name("größe");
    assert_eq!(schema["required"], json!([offered]));
    assert_eq!(schema["properties"][&offered], json!({ "type": "integer" }));
    let written = object(json!({ &offered: 3, "id": "x" }));
    assert_eq!(shape.restored(written), Ok(object(json!({ "größe": 3, "id": "x" }))));
    let both = object(json!({ &offered: 3, "größe": 4 }));
    assert_eq!(shape.restored(both), Err(Unusable::Twice("größe".to_owned())));
}

#[test]
fn what_cannot_be_put_differently_is_left_out_with_a_reason() {
    let deep = (0..=DEEPEST).fold(json!({}), |inner, _| json!({ "not": inner }));
    let wide: Map<String, Value> =
        (0..MOST_NODES).map(|number| (format!("p{number}"), json!({}))).collect();
    for (schema, unfit) in [
        (json!({ "type": "string" }), "its arguments are no object"),
        (json!({ "type": 7 }), "its arguments are no object"),
        (
            json!({ "properties": { "a": { "$ref": "https://example.com/a.json" } } }),
            "its schema refers to `https://example.com/a.json`, which is not in it",
        ),
        (
            json!({ "properties": { "a": { "$id": "https://example.com/a" } } }),
            "its schema has a base of its own inside (`$id`)",
        ),
        (deep, "its schema is nested more than 64 deep"),
        (
            json!({ "properties": wide }),
            "its schema is too large: 5001 nodes, where 5000 are taken",
        ),
        (
            json!({ "properties": { "größe": {} }, "patternProperties": { "^g": {} } }),
            "no provider-neutral name can be given to its argument `größe`",
        ),
    ] {
        assert_eq!(adapt(schema.clone()).unwrap_err().to_string(), unfit, "{schema}");
    }
}
