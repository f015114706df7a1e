//! Conditions of ToolHive's policies: its attributes in our words.

use serde_json::{Value, json};

use super::{ACTION, ToolHive, scope::own_action};
use crate::authz::import::{
    Scene, claims,
    expression::{
        all_of, argument, as_entity, as_member, as_text, binary, both, conjuncts, entity, has,
        has_argument, is_variable, literal, member, not, of_principal, operator, unfolded_has,
        variable, with_parts,
    },
};

/// What conditions of one policy are translated with.
pub(super) struct Conditions<'a, 'b> {
    pub(super) toolhive: &'a ToolHive,
    /// Our actions that the policy is about; `None` for all.
    pub(super) scope: Option<&'a [String]>,
    pub(super) scene: &'a mut Scene<'b>,
}

impl Conditions<'_, '_> {
    pub(super) fn translated(&mut self, from: &Value) -> Result<Value, String> {
        let Some((name, operands)) = operator(from) else { return Ok(from.clone()) };
        let special = match name {
            "&&" => Some(self.conjunction(from)?),
            "." => self.attribute(operands)?,
            "has" => self.has(operands)?,
            "==" | "!=" | "in" => self.compared(name, operands)?,
            "contains" | "containsAny" | "containsAll" => self.contains(name, operands)?,
            "like" => match claim_of(operands.get("left").unwrap_or(&Value::Null)) {
                Some("scope" | "scp") => {
                    Some(self.scene.scope_like(operands.get("pattern").unwrap_or(&Value::Null))?)
                }
                _ => None,
            },
            "is" => Some(self.is(operands)?),
            "Value" => self.value(from)?,
            "Var" => lone_variable(operands)?,
            _ => None,
        };
        match special {
            Some(made) => Ok(made),
            None => with_parts(from, |part| self.translated(part)),
        }
    }

    fn conjunction(&mut self, from: &Value) -> Result<Value, String> {
        let parts = conjuncts(from).into_iter().map(|part| self.translated(part));
        let parts: Vec<Value> = parts.collect::<Result<_, _>>()?;
        Ok(all_of(claims::without_needless(parts)))
    }

    fn attribute(&mut self, operands: &Value) -> Result<Option<Value>, String> {
        let Some((of, name)) = of_variable(operands) else { return Ok(None) };
        Ok(Some(match Attribute::of(of, name)? {
            Attribute::Claim(claim) => claims::claim(claim)?,
            Attribute::Claims(claim) => of_principal(set_of(claim)?),
            Attribute::Argument(name) => match self.present(name)? {
                Some(present) => present,
                None => {
                    self.require_scalar(name)?;
                    argument(name)
                }
            },
            Attribute::Hint(hint) => member(hints(), hint),
            Attribute::Same => member(variable(of), name),
        }))
    }

    fn has(&mut self, operands: &Value) -> Result<Option<Value>, String> {
        if let Some(unfolded) =
            operands.get("left").zip(operands.get("attr")).and_then(|(l, a)| unfolded_has(l, a))
        {
            return self.translated(&unfolded).map(Some);
        }
        let Some((of, name)) = of_variable(operands) else { return Ok(None) };
        Ok(Some(match Attribute::of(of, name)? {
            Attribute::Claim(claim) => claims::has_claim(claim)?,
            Attribute::Claims(claim) => claims::is_some(set_of(claim)?),
            Attribute::Argument(name) => match self.present(name)? {
                Some(present) => present,
                None => {
                    self.require_argument(name)?;
                    has_argument(name)
                }
            },
            Attribute::Hint(hint) => has(hints(), hint),
            Attribute::Same => has(variable(of), name),
        }))
    }

    /// `arg_x_present`, unless there is an argument of that name.
    fn present(&self, name: &str) -> Result<Option<Value>, String> {
        let Some(stem) = name.strip_suffix("_present") else { return Ok(None) };
        if self.scene.argument(self.scope, name).flatten().is_some() {
            return Ok(None);
        }
        self.require_argument(stem)?;
        Ok(Some(has_argument(stem)))
    }

    fn require_argument(&self, name: &str) -> Result<(), String> {
        match self.scene.argument(self.scope, name) {
            Some(None) => {
                Err(format!("no tool or prompt that it is about has an argument `{name}`"))
            }
            _ => Ok(()),
        }
    }

    /// Others than texts, numbers and truth values were never seen there.
    fn require_scalar(&self, name: &str) -> Result<(), String> {
        self.require_argument(name)?;
        match self.scene.argument(self.scope, name).flatten() {
            Some(argument) if !argument.is_scalar() => Err(match argument.of {
                Some(of) => {
                    format!("the argument `{name}` is of type `{of}` here, no simple value")
                }
                None => format!("the argument `{name}` is of several types here"),
            }),
            _ => Ok(()),
        }
    }

    fn compared(&mut self, name: &str, operands: &Value) -> Result<Option<Value>, String> {
        let Some((left, right)) = both(operands) else { return Ok(None) };
        if is_variable(left, "action") {
            let positive = action_among(right)?;
            return Ok(Some(if name == "!=" { not(positive) } else { positive }));
        }
        // What is there is `true`, and so is that it is there.
        let presence = |one: &Value, other: &Value| {
            *one == literal(true)
                && name == "=="
                && as_member(other)
                    .is_some_and(|(_, name)| name.starts_with("arg_") && name.ends_with("_present"))
        };
        let found =
            [(left, right), (right, left)].into_iter().find(|(one, other)| presence(one, other));
        found.map(|(_, attribute)| self.translated(attribute)).transpose()
    }

    fn contains(&mut self, name: &str, operands: &Value) -> Result<Option<Value>, String> {
        let Some((left, right)) = both(operands) else { return Ok(None) };
        let claim = claim_of(left).or_else(|| claim_set_of(left));
        match claim {
            Some("groups" | "cognito:groups") => groups(name, right).map(Some),
            Some(claim @ ("scope" | "scopes" | "scp" | "roles")) => {
                let set = of_principal(set_of(claim)?);
                Ok(Some(binary(name, set, self.translated(right)?)))
            }
            Some(claim) => Err(format!(
                "looks at the claim `{claim}` as a set; scopes, roles and groups are the sets here"
            )),
            None => Ok(None),
        }
    }

    fn is(&mut self, operands: &Value) -> Result<Value, String> {
        let left = operands.get("left").unwrap_or(&Value::Null);
        let of = operands["entity_type"].as_str().unwrap_or_default();
        let mut made = json!({ "left": self.translated(left)?, "entity_type": self.toolhive.entity_type(of)? });
        if let (Some(above), Some(made)) = (operands.get("in"), made.as_object_mut()) {
            made.insert("in".to_owned(), self.translated(above)?);
        }
        Ok(json!({ "is": made }))
    }

    fn value(&mut self, from: &Value) -> Result<Option<Value>, String> {
        let Some((of, id)) = as_entity(from) else { return Ok(None) };
        let (of, id) = self.toolhive.entity(of, id, self.scene)?;
        Ok(Some(entity(&of, &id)))
    }
}

/// An attribute of ToolHive's.
enum Attribute<'a> {
    Claim(&'a str),
    /// A claim that is a set.
    Claims(&'a str),
    Argument(&'a str),
    Hint(&'static str),
    /// It is called the same here.
    Same,
}

impl<'a> Attribute<'a> {
    fn of(variable: &str, name: &'a str) -> Result<Self, String> {
        let after = |prefix: &str| name.strip_prefix(prefix);
        let found = match variable {
            "principal" | "context" => after("claim_")
                .map(Self::Claim)
                .or_else(|| after("claimset_").map(Self::Claims))
                .or_else(|| after("arg_").filter(|_| variable == "context").map(Self::Argument)),
            "resource" => after("arg_")
                .map(Self::Argument)
                .or_else(|| hint(name).map(Self::Hint))
                .or_else(|| matches!(name, "name" | "uri").then_some(Self::Same)),
            _ => None,
        };
        found.ok_or_else(|| format!("looks at `{variable}.{name}`, which has no counterpart"))
    }
}

/// The variable and the name, where it is an attribute of one.
fn of_variable(operands: &Value) -> Option<(&'static str, &str)> {
    let left = operands.get("left")?;
    let of = ["principal", "resource", "context", "action"].into_iter();
    let variable = of.into_iter().find(|variable| is_variable(left, variable))?;
    Some((variable, operands.get("attr")?.as_str()?))
}

fn claim_of(expression: &Value) -> Option<&str> {
    let (_, name) = of_variable(expression.get(".")?)?;
    name.strip_prefix("claim_")
}

fn claim_set_of(expression: &Value) -> Option<&str> {
    let (_, name) = of_variable(expression.get(".")?)?;
    name.strip_prefix("claimset_")
}

/// The set that a claim with several values is here.
fn set_of(claim: &str) -> Result<&'static str, String> {
    match claim {
        "scope" | "scopes" | "scp" => Ok("scopes"),
        "roles" => Ok("roles"),
        "groups" | "cognito:groups" => {
            Err("looks at the groups as a set; ask `principal in Mcp::Group::\"…\"`".to_owned())
        }
        other => Err(format!(
            "looks at the claim `{other}` as a set; scopes, roles and groups are the sets here"
        )),
    }
}

/// Whether the caller is in these groups.
fn groups(name: &str, right: &Value) -> Result<Value, String> {
    let of_one = |group: &Value| {
        let group = as_text(group).ok_or("compares groups with what is no text")?;
        Ok::<_, String>(binary("in", variable("principal"), entity("Mcp::Group", group)))
    };
    let Some(many) = right.get("Set").and_then(Value::as_array) else { return of_one(right) };
    let many: Vec<Value> = many.iter().map(of_one).collect::<Result<_, _>>()?;
    let joint = if name == "containsAny" { "||" } else { "&&" };
    many.into_iter()
        .reduce(|left, right| binary(joint, left, right))
        .ok_or_else(|| "compares groups with none".to_owned())
}

/// Whether the action is one of these; ours are groups where theirs are actions.
fn action_among(right: &Value) -> Result<Value, String> {
    let many = right.get("Set").and_then(Value::as_array);
    let all: Vec<&Value> = many.map_or(vec![right], |many| many.iter().collect());
    let of_one = |one: &&Value| {
        let own = as_entity(one).filter(|(of, _)| *of == "Action");
        let (own, group) = own
            .and_then(|(_, id)| own_action(id))
            .ok_or("compares `action` with what has no counterpart")?;
        Ok::<_, String>((entity(ACTION, own), group))
    };
    let owns: Vec<(Value, bool)> = all.iter().map(of_one).collect::<Result<_, _>>()?;
    let action = variable("action");
    Ok(match owns.as_slice() {
        [(own, group)] => binary(if *group { "in" } else { "==" }, action, own.clone()),
        many => {
            let many: Vec<&Value> = many.iter().map(|(own, _)| own).collect();
            binary("in", action, json!({ "Set": many }))
        }
    })
}

/// The context as one value, or `action` where it is not compared.
fn lone_variable(name: &Value) -> Result<Option<Value>, String> {
    match name.as_str() {
        Some(name @ ("context" | "action")) => {
            Err(format!("looks at `{name}` in a way that has no counterpart"))
        }
        _ => Ok(None),
    }
}

fn hints() -> Value {
    member(variable("resource"), "claims")
}

/// Our name of what a tool says of itself.
pub(super) fn hint(name: &str) -> Option<&'static str> {
    Some(match name {
        "readOnlyHint" => "readOnly",
        "destructiveHint" => "destructive",
        "idempotentHint" => "idempotent",
        "openWorldHint" => "openWorld",
        _ => return None,
    })
}
