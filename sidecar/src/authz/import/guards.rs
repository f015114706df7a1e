//! Attributes that may be absent are asked for before they are looked at.
//!
//! Where a neighbour's policy looks at what is not there, it fails, and the neighbour refuses. The
//! same comes of a guard whose part of the condition then counts as what refuses: `false` in a
//! `when` of a permit, `true` in a `when` of a forbid.

use serde_json::{Value, json};

use super::{
    expression::{
        all_of, and, as_member, binary, both, has, is_variable, literal, operator, parts,
    },
    parts::Parts,
};

/// Says what has to hold before an expression may be looked at.
pub(super) type Needed<'a> = &'a dyn Fn(&Value) -> Option<Value>;

/// Puts the guards that are lacking into a policy, and says whether anything refuses now by being
/// absent.
pub(super) fn add(policy: &mut Parts, needed: Needed<'_>) -> bool {
    let mut known = Vec::new();
    let mut refuses = false;
    let refusing: Vec<bool> = policy.clauses.iter().map(|clause| policy.refusing(clause)).collect();
    for (clause, refusing) in policy.clauses.iter_mut().zip(refusing) {
        let mut guarding = Guarding { needed, refuses: &mut refuses };
        clause.body = guarding.guarded(&clause.body, refusing, &known);
        if !clause.unless {
            known.extend(established(&clause.body));
        }
    }
    refuses
}

struct Guarding<'a> {
    needed: Needed<'a>,
    refuses: &'a mut bool,
}

impl Guarding<'_> {
    fn guarded(&mut self, expression: &Value, refusing: bool, known: &[Value]) -> Value {
        let Some((name, operands)) = operator(expression) else { return expression.clone() };
        match (name, both(operands)) {
            ("&&", Some((left, right))) => {
                let left = self.guarded(left, refusing, known);
                let known = [known, &established(&left)].concat();
                let right = self.guarded(right, refusing, &known);
                and(left, right)
            }
            ("||", Some((left, right))) => binary(
                "||",
                self.guarded(left, refusing, known),
                self.guarded(right, refusing, known),
            ),
            ("!", _) => {
                let argument = operands.get("arg").unwrap_or(&Value::Null);
                json!({ "!": { "arg": self.guarded(argument, !refusing, known) } })
            }
            _ => {
                let mut lacking = Vec::new();
                self.lacking(expression, known, &mut lacking);
                self.wrapped(expression.clone(), lacking, refusing)
            }
        }
    }

    fn wrapped(&mut self, expression: Value, lacking: Vec<Value>, refusing: bool) -> Value {
        if lacking.is_empty() {
            return expression;
        }
        if !refusing {
            return and(all_of(lacking), expression);
        }
        *self.refuses = true;
        // `!guard || …` would do, but Cedar's validator learns nothing from a negation.
        json!({ "if-then-else": { "if": all_of(lacking), "then": expression, "else": literal(true) } })
    }

    /// The guards that an expression lacks, when these things are known already.
    fn lacking(&self, expression: &Value, known: &[Value], lacking: &mut Vec<Value>) {
        let inner = match operator(expression) {
            Some(("&&", operands)) => both(operands),
            Some(("if-then-else", operands)) => {
                if let Some(otherwise) = operands.get("else") {
                    self.lacking(otherwise, known, lacking);
                }
                operands.get("if").zip(operands.get("then"))
            }
            _ => None,
        };
        if let Some((first, then)) = inner {
            self.lacking(first, known, lacking);
            self.lacking(then, &[known, &established(first)].concat(), lacking);
            return;
        }
        parts(expression).into_iter().for_each(|part| self.lacking(part, known, lacking));
        let guard = (self.needed)(expression);
        lacking.extend(guard.filter(|guard| !known.contains(guard) && !lacking.contains(guard)));
    }
}

/// What holds where an expression does.
fn established(expression: &Value) -> Vec<Value> {
    match operator(expression) {
        Some(("has" | "hasTag", _)) => vec![expression.clone()],
        Some(("&&", operands)) => both(operands)
            .map(|(left, right)| [established(left), established(right)].concat())
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// What has to be asked before a tag or one of a tool's own hints is looked at.
pub(super) fn of_tag_or_hint(expression: &Value) -> Option<Value> {
    if let Some((left, name)) = expression.get("getTag").and_then(both) {
        return Some(binary("hasTag", left.clone(), name.clone()));
    }
    let (left, name) = as_member(expression)?;
    let (resource, claims) = as_member(left)?;
    (claims == "claims" && is_variable(resource, "resource")).then(|| has(left.clone(), name))
}

/// A word that stood for any text around it, and is looked for where finding it refuses: as a whole
/// word it would refuse less.
pub(super) fn narrowed<'a>(policy: &Parts, words: &'a [String]) -> Option<&'a String> {
    policy
        .clauses
        .iter()
        .find_map(|clause| refuses_less(&clause.body, Some(policy.refusing(clause)), words))
}

fn refuses_less<'a>(
    expression: &Value,
    refusing: Option<bool>,
    words: &'a [String],
) -> Option<&'a String> {
    let (name, operands) = operator(expression)?;
    if let Some((left, right)) = both(operands).filter(|_| name == "contains") {
        let of_scopes = as_member(left)
            .is_some_and(|(of, name)| name == "scopes" && is_variable(of, "principal"));
        let word = words.iter().find(|word| *right == literal(word.as_str()));
        return word.filter(|_| of_scopes && refusing != Some(false));
    }
    let refusing = match name {
        "&&" | "||" => refusing,
        "!" => refusing.map(|refusing| !refusing),
        _ => None,
    };
    parts(expression).into_iter().find_map(|part| refuses_less(part, refusing, words))
}
