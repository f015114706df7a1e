//! Conditions in words that need no knowledge of Cedar. What has no words is shown as it is written.

use serde_json::Value;

/// A condition, out of Cedar's JSON form of it.
pub(super) fn of(condition: &Value) -> String {
    let Some((operator, operands)) =
        condition.as_object().and_then(|members| members.iter().next())
    else {
        return condition.to_string();
    };
    let both =
        |joint: &str| format!("{} {joint} {}", term(&operands["left"]), term(&operands["right"]));
    match operator.as_str() {
        "Value" if operands == true => "always".to_owned(),
        "Value" if operands == false => "never".to_owned(),
        "&&" => format!("{} and {}", of(&operands["left"]), of(&operands["right"])),
        "||" => format!("({} or {})", of(&operands["left"]), of(&operands["right"])),
        "!" => not(&of(&operands["arg"])),
        "==" => both("is"),
        "!=" => both("is not"),
        "<" => both("is less than"),
        "<=" => both("is at most"),
        ">" => both("is more than"),
        ">=" => both("is at least"),
        "in" => both("is in"),
        "like" => {
            format!("{} looks like \"{}\"", term(&operands["left"]), pattern(&operands["pattern"]))
        }
        "has" => format!("{} is given", term(&member(&operands["left"], &operands["attr"]))),
        "is" => format!("{} is a {}", term(&operands["left"]), type_name(&operands["entity_type"])),
        "contains" | "containsAll" | "containsAny" => contains(operator, operands),
        "lessThan" => compared(operands, "is less than"),
        "lessThanOrEqual" => compared(operands, "is at most"),
        "greaterThan" => compared(operands, "is more than"),
        "greaterThanOrEqual" => compared(operands, "is at least"),
        "isInRange" => compared(operands, "is in the range"),
        "isEmpty" => format!("{} is empty", term(&operands["arg"])),
        "if-then-else" => format!(
            "{} where {}, else {}",
            of(&operands["then"]),
            of(&operands["if"]),
            of(&operands["else"])
        ),
        "." => format!("{} is true", term(condition)),
        _ => term(condition),
    }
}

/// The opposite of a condition that is in words.
pub(super) fn not(words: &str) -> String {
    format!("it is not so that {words}")
}

/// A constraint on the principal or the resource.
pub(super) fn of_constraint(variable: &str, constraint: &Value) -> String {
    let who = match variable {
        "principal" => "the caller",
        _ => "the target",
    };
    let entity = constraint.get("entity").map(term);
    let of_type = constraint.get("entity_type").map(type_name);
    match (constraint["op"].as_str(), entity, of_type) {
        (Some("=="), Some(entity), _) => format!("{who} is {entity}"),
        (Some("in"), Some(entity), _) => format!("{who} is in {entity}"),
        (_, _, Some(of_type)) => match constraint.pointer("/in/entity") {
            Some(entity) => format!("{who} is a {of_type} in {}", term(entity)),
            None => format!("{who} is a {of_type}"),
        },
        _ => format!("{who} is {constraint}"),
    }
}

/// Whether a condition is about what the caller sends.
pub(super) fn is_about_arguments(condition: &Value) -> bool {
    match condition {
        Value::Array(items) => items.iter().any(is_about_arguments),
        Value::Object(members) => {
            let of_arguments =
                matches!(members.get("attr").and_then(Value::as_str), Some("input" | "facts"))
                    && members.get("left").is_some_and(|left| left["Var"] == "context");
            of_arguments || members.values().any(is_about_arguments)
        }
        _ => false,
    }
}

fn contains(operator: &str, operands: &Value) -> String {
    let (left, right) = (&operands["left"], &operands["right"]);
    if path(left).as_deref() == Some("principal.scopes") {
        return match operator {
            "contains" => format!("the token has the scope {}", term(right)),
            "containsAll" => format!("the token has all of the scopes {}", term(right)),
            _ => format!("the token has one of the scopes {}", term(right)),
        };
    }
    match operator {
        "contains" => format!("{} is one of {}", term(right), term(left)),
        "containsAll" => format!("{} are all among {}", term(right), term(left)),
        _ => format!("one of {} is among {}", term(right), term(left)),
    }
}

fn compared(operands: &Value, joint: &str) -> String {
    let operands: Vec<String> = operands.as_array().into_iter().flatten().map(term).collect();
    operands.join(&format!(" {joint} "))
}

/// A value, or what stands for one.
fn term(value: &Value) -> String {
    if let Some(path) = path(value) {
        return named(&path);
    }
    if let Some(items) = value.get("Set").and_then(Value::as_array) {
        return items.iter().map(term).collect::<Vec<_>>().join(", ");
    }
    let literal = value.get("Value").unwrap_or(value);
    let entity = literal.get("__entity").unwrap_or(literal);
    if let (Some(of), Some(id)) = (entity.get("type"), entity["id"].as_str()) {
        return format!("the {} `{id}`", type_name(of));
    }
    match literal {
        Value::String(text) => format!("\"{text}\""),
        Value::Number(_) | Value::Bool(_) => literal.to_string(),
        _ => match value.as_object().and_then(|members| members.iter().next()) {
            Some((name, arguments)) if arguments.is_array() => arguments
                .as_array()
                .into_iter()
                .flatten()
                .map(term)
                .collect::<Vec<_>>()
                .join(&format!(" {name} ")),
            Some((operator, operands)) if operands.get("left").is_some() => {
                format!("{} {operator} {}", term(&operands["left"]), term(&operands["right"]))
            }
            _ => value.to_string(),
        },
    }
}

/// `context.input.priority`, where a value is that.
fn path(value: &Value) -> Option<String> {
    if let Some(variable) = value.get("Var").and_then(Value::as_str) {
        return Some(variable.to_owned());
    }
    let access = value.get(".")?;
    Some(format!("{}.{}", path(&access["left"])?, access["attr"].as_str()?))
}

fn named(path: &str) -> String {
    if let Some(argument) = path.strip_prefix("context.input.") {
        return format!("the argument `{argument}`");
    }
    if let Some((argument, fact)) =
        path.strip_prefix("context.facts.").and_then(|of| of.rsplit_once('.'))
    {
        return format!("the {} of `{argument}`", fact_in_words(fact));
    }
    match path {
        "principal" => "the caller".to_owned(),
        "resource" => "the target".to_owned(),
        "principal.scopes" => "the token's scopes".to_owned(),
        "principal.id" => "the caller's name".to_owned(),
        "principal.zone" => "the caller's zone".to_owned(),
        "principal.tenant" => "the caller's tenant".to_owned(),
        "principal.client" => "the caller's client".to_owned(),
        "resource.pin" => "the tool's pin (whether it is as accepted)".to_owned(),
        "resource.name" => "the target's name".to_owned(),
        "resource.uri" => "the resource's URI".to_owned(),
        "context.system.now" => "the time".to_owned(),
        "context.peer.ip" => "the address that the request comes from".to_owned(),
        "context.peer.provider" => "the provider that the client claims to speak for".to_owned(),
        "context.history.calls" => "the number of calls in the last minutes".to_owned(),
        "context.history.denials" => "the number of refusals in the last minutes".to_owned(),
        "context.history.tools" => "the number of tools called in the last minutes".to_owned(),
        "context.risk.open" => "the number of open findings about the caller".to_owned(),
        "context.risk.low" => "the number of open findings of low severity".to_owned(),
        "context.risk.medium" => "the number of open findings of medium severity".to_owned(),
        "context.risk.high" => "the number of open findings of high severity".to_owned(),
        "context.risk.critical" => "the number of open findings of critical severity".to_owned(),
        "context.risk.detectors" => "the detectors with open findings about the caller".to_owned(),
        other => format!("`{other}`"),
    }
}

fn fact_in_words(fact: &str) -> &str {
    match fact {
        "sum" => "sum (in hundredths)",
        "min" => "smallest value (in hundredths)",
        "max" => "largest value (in hundredths)",
        "minor" => "value (in hundredths)",
        "path" => "normalised path",
        "domain" => "e-mail domain",
        "longest" => "longest length",
        other => other,
    }
}

fn member(left: &Value, attribute: &Value) -> Value {
    serde_json::json!({ ".": { "left": left, "attr": attribute } })
}

fn pattern(pattern: &Value) -> String {
    let elements = pattern.as_array().into_iter().flatten();
    elements
        .map(|element| match element.get("Literal").and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => "*".to_owned(),
        })
        .collect()
}

fn type_name(name: &Value) -> String {
    let name = name.as_str().unwrap_or_default();
    name.strip_prefix("Mcp::").unwrap_or(name).to_owned()
}
