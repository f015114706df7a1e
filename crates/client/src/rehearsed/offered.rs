//! Which tools both providers take: their names, and the schemas of their arguments.

use serde_json::Value;

/// `^[a-zA-Z0-9_-]{1,64}$`.
pub(super) fn name(name: &str) -> Result<(), &'static str> {
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match letters && (1..=64).contains(&name.len()) {
        true => Ok(()),
        false => Err("string does not match the pattern '^[a-zA-Z0-9_-]{1,64}$'"),
    }
}

/// The root of a schema is an object, and plainly so.
pub(super) fn root(schema: &Value) -> Result<(), String> {
    let Some(members) = schema.as_object() else {
        return Err("a schema is an object".to_owned());
    };
    if members.get("type").and_then(Value::as_str) != Some("object") {
        return Err("its type must be 'object'".to_owned());
    }
    match NOT_AT_THE_ROOT.into_iter().find(|name| members.contains_key(*name)) {
        Some(name) => Err(format!("'{name}' is not supported at the top level")),
        None => Ok(()),
    }
}

/// Every array says what is in it.
pub(super) fn arrays(schema: &Value) -> Result<(), String> {
    // The depth is bounded by the reader of the request.
    match schema {
        Value::Object(members) => {
            let is_array = members.get("type").is_some_and(|of| of == "array");
            if is_array && !members.contains_key("items") && !members.contains_key("prefixItems") {
                return Err("array schema missing items".to_owned());
            }
            members.values().try_for_each(arrays)
        }
        Value::Array(items) => items.iter().try_for_each(arrays),
        _ => Ok(()),
    }
}

const NOT_AT_THE_ROOT: [&str; 4] = ["anyOf", "oneOf", "allOf", "$ref"];
