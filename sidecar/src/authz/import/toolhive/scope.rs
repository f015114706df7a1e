//! Principal, action and resource of a policy of ToolHive's.

use serde_json::Value;

use super::{ACTION, SERVER, ToolHive, tools_in};
use crate::authz::{
    import::{
        Scene,
        expression::{all_of, conjuncts, is_variable, literal, named, parts, uid},
        parts::{Parts, constraint},
    },
    vocabulary::tool_action,
};

/// One of the six things that ToolHive decides.
struct Operation {
    name: &'static str,
    /// Our action, and whether it is a group.
    own: (&'static str, bool),
    /// The type of what it is about.
    about: &'static str,
}

/// What the scope says of the resource.
enum About {
    Anything,
    One(String, String),
    Kind(String, Option<(String, String)>),
    /// Whatever this server has.
    Within(String),
}

/// The same scope in our words, and the clauses without what went into it.
pub(super) fn translated(
    toolhive: &ToolHive,
    policy: &Parts,
    scene: &mut Scene<'_>,
) -> Result<Parts, String> {
    let mut made =
        Parts { principal: principal(toolhive, &policy.principal, scene)?, ..policy.clone() };
    let mut operations = operations(&policy.action)?;
    let mut about = about(&policy.resource)?;
    let calls = operations.as_ref().is_none_or(|all| all.iter().any(|one| one.name == CALL_TOOL));
    let tools = match &about {
        About::One(of, id) if of == "Tool" => Some(vec![id.clone()]),
        _ => None,
    };
    if let Some(tools) = tools.or_else(|| take_tools(&mut made)).filter(|_| calls) {
        let wanted: Vec<_> = tools.iter().map(|tool| (tool_action(tool), false)).collect();
        made.action = constraint::action(ACTION, &wanted);
        if matches!(&about, About::One(of, _) if of == "Tool") {
            about = About::Anything;
        }
        made.resource = resource(toolhive, about, Some(TOOL), scene)?;
        return Ok(made);
    }
    // What was taken out is put back where the action does not say it.
    made.clauses.clone_from(&policy.clauses);
    if operations.is_none() {
        operations = implied(&about, policy, scene);
    }
    let Some(operations) = operations else {
        made.action = constraint::all();
        made.resource = resource(toolhive, about, None, scene)?;
        return Ok(made);
    };
    let wanted: Vec<_> = operations.iter().map(|one| (one.own.0.to_owned(), one.own.1)).collect();
    made.action = constraint::action(ACTION, &wanted);
    let kind = operations.first().map(|first| first.about);
    let kind = kind.filter(|kind| operations.iter().all(|one| one.about == *kind));
    made.resource = resource(toolhive, about, kind, scene)?;
    Ok(made)
}

fn principal(toolhive: &ToolHive, scope: &Value, scene: &mut Scene<'_>) -> Result<Value, String> {
    let mut entity = |at: &str| match scope.pointer(at).and_then(named) {
        Some((of, id)) => toolhive.entity(of, id, scene).map(|(of, id)| Some(uid(&of, &id))),
        None => Ok(None),
    };
    let (one, above) = (entity("/entity")?, entity("/in/entity")?);
    let of = scope.get("entity_type").and_then(Value::as_str);
    let of = of.map(|of| toolhive.entity_type(of)).transpose()?;
    match (scope["op"].as_str(), one, of, above) {
        (Some("All"), ..) => Ok(constraint::all()),
        (Some(operator @ ("==" | "in")), Some(uid), ..) => Ok(constraint::one(operator, &uid)),
        (Some("is"), _, Some(of), Some(above)) => Ok(constraint::is_in(of, &above)),
        (Some("is"), _, Some(of), None) => Ok(constraint::is(of)),
        _ => Err("says of its principal what has no counterpart".to_owned()),
    }
}

/// The operations that a scope names; `None` for all.
fn operations(scope: &Value) -> Result<Option<Vec<&'static Operation>>, String> {
    let many = scope.get("entities").and_then(Value::as_array);
    let named_ones = many.into_iter().flatten().chain(scope.get("entity"));
    let found: Vec<&Operation> = named_ones
        .map(|uid| match named(uid) {
            Some(("Action", id)) => OPERATIONS
                .iter()
                .find(|one| one.name == id)
                .ok_or_else(|| format!("names `Action::{id:?}`, which has no counterpart")),
            _ => Err("names an action that is none of ToolHive's".to_owned()),
        })
        .collect::<Result<_, _>>()?;
    Ok((!found.is_empty()).then_some(found))
}

pub(super) fn own_action(id: &str) -> Option<(&'static str, bool)> {
    OPERATIONS.iter().find(|one| one.name == id).map(|one| one.own)
}

fn about(scope: &Value) -> Result<About, String> {
    let owned = |(of, id): (&str, &str)| (of.to_owned(), id.to_owned());
    let entity = scope.get("entity").and_then(named).map(owned);
    let within = scope.pointer("/in/entity").and_then(named).map(owned);
    let of = scope.get("entity_type").and_then(Value::as_str);
    match (scope["op"].as_str(), entity, of) {
        (Some("All"), ..) => Ok(About::Anything),
        (Some("in"), Some((of, id)), _) if of == "MCP" => Ok(About::Within(id)),
        // Nothing is in the others but they themselves.
        (Some("==" | "in"), Some((of, id)), _) => Ok(About::One(of, id)),
        (Some("is"), _, Some(of)) => Ok(About::Kind(of.to_owned(), within)),
        _ => Err("says of its resource what has no counterpart".to_owned()),
    }
}

/// The operations that a policy on every action can be about: ours are more.
fn implied(
    about: &About,
    policy: &Parts,
    scene: &mut Scene<'_>,
) -> Option<Vec<&'static Operation>> {
    let of = match about {
        About::One(of, _) | About::Kind(of, _) => Some(of.as_str()),
        About::Anything | About::Within(..) => None,
    };
    let named = |names: &[&str]| {
        Some(OPERATIONS.iter().filter(|one| names.contains(&one.name)).collect::<Vec<_>>())
    };
    let looks_at = |wanted: &dyn Fn(&Value) -> bool| {
        policy.clauses.iter().any(|clause| mentions(&clause.body, wanted))
    };
    match of {
        Some("Tool") => named(&[CALL_TOOL]),
        Some("Prompt") => named(&["get_prompt"]),
        Some("Resource") => named(&["read_resource"]),
        Some("FeatureType") => named(&["list_tools", "list_prompts", "list_resources"]),
        _ if looks_at(&is_hint) => named(&[CALL_TOOL]),
        _ if looks_at(&is_argument) => named(&[CALL_TOOL, "get_prompt"]),
        _ if !policy.forbids => {
            scene.note("is about what ToolHive decides: calls, prompts, resources and lists, not about every action there is here".to_owned());
            Some(OPERATIONS.iter().collect())
        }
        _ => None,
    }
}

fn mentions(expression: &Value, wanted: &dyn Fn(&Value) -> bool) -> bool {
    wanted(expression) || parts(expression).into_iter().any(|part| mentions(part, wanted))
}

fn attribute<'a>(expression: &'a Value, of: &[&str]) -> Option<&'a str> {
    let operands = expression.get("has").or_else(|| expression.get("."))?;
    let left = operands.get("left")?;
    let name = operands.get("attr")?;
    let name = name.as_str().or_else(|| name.get(0)?.as_str());
    name.filter(|_| of.iter().any(|variable| is_variable(left, variable)))
}

fn is_hint(expression: &Value) -> bool {
    attribute(expression, &["resource"]).is_some_and(|name| super::conditions::hint(name).is_some())
}

fn is_argument(expression: &Value) -> bool {
    attribute(expression, &["resource", "context"]).is_some_and(|name| name.starts_with("arg_"))
}

/// Takes the part of a `when` that says which tools it is about, if there is one.
fn take_tools(policy: &mut Parts) -> Option<Vec<String>> {
    for clause in policy.clauses.iter_mut().filter(|clause| !clause.unless) {
        let all = conjuncts(&clause.body);
        let found = all.iter().enumerate().find_map(|(at, part)| Some((at, tools_in(part)?)));
        if let Some((taken, tools)) = found {
            let rest = all.iter().enumerate().filter(|(at, _)| *at != taken);
            clause.body = all_of(rest.map(|(_, part)| (*part).clone()).collect::<Vec<_>>());
            let nothing = literal(true);
            policy.clauses.retain(|clause| clause.unless || clause.body != nothing);
            return Some(tools);
        }
    }
    None
}

fn resource(
    toolhive: &ToolHive,
    about: About,
    kind: Option<&str>,
    scene: &mut Scene<'_>,
) -> Result<Value, String> {
    if kind == Some(SERVER) && !matches!(about, About::Within(..)) {
        let fits = match &about {
            About::Anything => true,
            About::One(of, _) | About::Kind(of, _) => toolhive.entity_type(of)? == SERVER,
            About::Within(..) => false,
        };
        return match fits {
            true => Ok(constraint::is(SERVER)),
            false => Err("permits to list one thing; a list is of all that may be used".to_owned()),
        };
    }
    Ok(match about {
        About::Anything => kind.map_or_else(constraint::all, constraint::is),
        About::One(of, id) => {
            let (of, id) = toolhive.entity(&of, &id, scene)?;
            constraint::one("==", &uid(&of, &id))
        }
        About::Within(id) => {
            let server = uid(SERVER, &scene.server(&id));
            match kind.filter(|kind| *kind != SERVER) {
                Some(kind) => constraint::is_in(kind, &server),
                None => constraint::one("in", &server),
            }
        }
        About::Kind(of, within) => {
            let of = toolhive.entity_type(&of)?;
            match within {
                Some((above, id)) => {
                    let (above, id) = toolhive.entity(&above, &id, scene)?;
                    constraint::is_in(of, &uid(&above, &id))
                }
                None => constraint::is(of),
            }
        }
    })
}

const CALL_TOOL: &str = "call_tool";
const TOOL: &str = "Mcp::Tool";
const OPERATIONS: [Operation; 6] = [
    Operation { name: CALL_TOOL, own: (CALL_TOOL, true), about: TOOL },
    Operation { name: "get_prompt", own: ("get_prompt", true), about: "Mcp::Prompt" },
    Operation { name: "read_resource", own: ("read_resource", true), about: "Mcp::Resource" },
    Operation { name: "list_tools", own: ("tools/list", false), about: SERVER },
    Operation { name: "list_prompts", own: ("prompts/list", false), about: SERVER },
    Operation { name: "list_resources", own: ("resources/list", false), about: SERVER },
];
