//! Policies of Amazon Bedrock AgentCore: tools alone, each an action of its own, and claims as tags.

use serde_json::Value;

use super::{
    Scene, claims,
    expression::{
        all_of, as_entity, as_text, binary, both, conjuncts, entity, is_variable, named, not,
        operator, uid, variable, with_parts,
    },
    parts::{Parts, constraint},
};
use crate::authz::vocabulary::tool_action;

/// A policy in our words, or why there is none.
pub(super) fn translated(policy: &Parts, scene: &mut Scene<'_>) -> Result<Parts, String> {
    let mut made = Parts {
        principal: principal(&policy.principal)?,
        action: action(&policy.action, scene)?,
        resource: resource(&policy.resource)?,
        ..policy.clone()
    };
    for clause in &mut made.clauses {
        clause.body = expression(&clause.body, scene)?;
    }
    Ok(made)
}

fn principal(scope: &Value) -> Result<Value, String> {
    let of = scope.get("entity").and_then(named);
    match (scope["op"].as_str(), of, scope.get("entity_type").and_then(Value::as_str)) {
        (Some("All"), ..) => Ok(constraint::all()),
        (Some("=="), Some((of, id)), _) => {
            let of = user(of)?;
            Ok(constraint::one("==", &uid(of, id)))
        }
        (Some("is"), _, Some(of)) if scope.get("in").is_none() => Ok(constraint::is(user(of)?)),
        _ => Err("says of its principal what has no counterpart".to_owned()),
    }
}

fn user(of: &str) -> Result<&'static str, String> {
    match of {
        "AgentCore::OAuthUser" => Ok("Mcp::OAuthUser"),
        "AgentCore::IamEntity" => Err(
            "is about `AgentCore::IamEntity`, a caller with AWS credentials; there are OAuth users alone here".to_owned(),
        ),
        other => Err(unknown(other)),
    }
}

fn action(scope: &Value, scene: &mut Scene<'_>) -> Result<Value, String> {
    let many = scope.get("entities").and_then(Value::as_array);
    let wanted = many.into_iter().flatten().chain(scope.get("entity"));
    let mut wanted: Vec<(String, bool)> = wanted
        .map(|uid| {
            let (of, id) = named(uid).ok_or("names an action in a way that has no counterpart")?;
            tool(of, id, scene)
        })
        .collect::<Result<_, String>>()?;
    if wanted.is_empty() {
        wanted.push((CALL_TOOL.to_owned(), true));
    }
    Ok(constraint::action(ACTION, &wanted))
}

/// Our id of an action, and whether it is a group.
fn tool(of: &str, id: &str, scene: &mut Scene<'_>) -> Result<(String, bool), String> {
    if of != "AgentCore::Action" {
        return Err(unknown(of));
    }
    if ["CallTool", "Mcp"].contains(&id) {
        return Ok((CALL_TOOL.to_owned(), true));
    }
    // Three underscores; older policies have two.
    let parted = id.split_once("___").or_else(|| id.split_once("__"));
    let (target, tool) = parted
        .filter(|(target, tool)| !target.is_empty() && !tool.is_empty())
        .ok_or_else(|| format!("`{of}::{id:?}` is no target's tool"))?;
    scene.note(format!("the target `{target}` is the upstream here"));
    Ok((tool_action(tool), false))
}

fn resource(scope: &Value) -> Result<Value, String> {
    let of = scope.get("entity").and_then(named).map(|(of, _)| of);
    let of = of.or_else(|| scope.get("entity_type").and_then(Value::as_str));
    match of {
        None | Some(GATEWAY) => Ok(constraint::is(TOOL)),
        Some(other) => Err(unknown(other)),
    }
}

fn expression(from: &Value, scene: &mut Scene<'_>) -> Result<Value, String> {
    let Some((name, operands)) = operator(from) else { return Ok(from.clone()) };
    let operand = |name: &str| operands.get(name).unwrap_or(&Value::Null);
    match name {
        "&&" => {
            let parts = conjuncts(from).into_iter().map(|part| expression(part, scene));
            let parts: Vec<Value> = parts.collect::<Result<_, _>>()?;
            Ok(all_of(claims::without_needless(parts)))
        }
        "hasTag" | "getTag" if is_variable(operand("left"), "principal") => {
            match (as_text(operand("right")), name) {
                (Some(claim), "hasTag") => claims::has_claim(claim),
                (Some(claim), _) => claims::claim(claim),
                (None, _) => Ok(from.clone()),
            }
        }
        "like" => match tag_of_scopes(operand("left")) {
            Some(()) => scene.scope_like(operand("pattern")),
            None => with_parts(from, |part| expression(part, scene)),
        },
        "==" | "!=" | "in" => match compared(name, operands, scene)? {
            Some(made) => Ok(made),
            None => with_parts(from, |part| expression(part, scene)),
        },
        "is" => is(operands),
        "." | "has" => {
            let name = operand("attr").as_str().or_else(|| operand("attr").get(0)?.as_str());
            require_known(operand("left"), name.unwrap_or_default())?;
            with_parts(from, |part| expression(part, scene))
        }
        "Value" => match as_entity(from) {
            Some((of, id)) => Ok(entity(user(of)?, id)),
            None => Ok(from.clone()),
        },
        "Var" if is_variable(from, "action") || is_variable(from, "resource") => Err(format!(
            "looks at `{}` in a way that has no counterpart",
            operands.as_str().unwrap_or_default()
        )),
        _ => with_parts(from, |part| expression(part, scene)),
    }
}

/// Whether it is what a token says of its scopes, in one text.
fn tag_of_scopes(left: &Value) -> Option<()> {
    let (principal, name) = both(left.get("getTag")?)?;
    let is_scope = matches!(as_text(name), Some("scope" | "scp"));
    (is_scope && is_variable(principal, "principal")).then_some(())
}

/// `action` or `resource` held against an entity.
fn compared(
    operator: &str,
    operands: &Value,
    scene: &mut Scene<'_>,
) -> Result<Option<Value>, String> {
    let Some((left, right)) = both(operands) else { return Ok(None) };
    let Some((of, id)) = as_entity(right) else { return Ok(None) };
    let positive = if is_variable(left, "resource") && of == GATEWAY {
        is_tool()
    } else if is_variable(left, "action") {
        let (id, group) = tool(of, id, scene)?;
        binary(if group { "in" } else { "==" }, left.clone(), entity(ACTION, &id))
    } else {
        return Ok(None);
    };
    Ok(Some(if operator == "!=" { not(positive) } else { positive }))
}

fn is(operands: &Value) -> Result<Value, String> {
    let of = operands["entity_type"].as_str().unwrap_or_default();
    let left = operands.get("left").unwrap_or(&Value::Null);
    if operands.get("in").is_some() {
        return Err(
            "asks what is `in` something with `is`; write it as a condition of its own".to_owned()
        );
    }
    if of == GATEWAY && is_variable(left, "resource") {
        return Ok(is_tool());
    }
    let entity_type = user(of)?;
    Ok(serde_json::json!({ "is": { "left": left, "entity_type": entity_type } }))
}

fn is_tool() -> Value {
    serde_json::json!({ "is": { "left": variable("resource"), "entity_type": TOOL } })
}

/// What there is of principal and context on both sides.
fn require_known(left: &Value, name: &str) -> Result<(), String> {
    let of = ["principal", "resource", "context", "action"].into_iter();
    let Some(variable) = of.into_iter().find(|variable| is_variable(left, variable)) else {
        return Ok(());
    };
    match (variable, name) {
        ("principal", "id") | ("context", "input" | "system") => Ok(()),
        _ => Err(format!("looks at `{variable}.{name}`, which has no counterpart")),
    }
}

fn unknown(of: &str) -> String {
    format!("names the entity type `{of}`, which has no counterpart")
}

const ACTION: &str = "Mcp::Action";
const CALL_TOOL: &str = "call_tool";
const GATEWAY: &str = "AgentCore::Gateway";
const TOOL: &str = "Mcp::Tool";
