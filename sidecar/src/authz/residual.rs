//! What is left of a policy after partial evaluation, looked at once more.
//!
//! Cedar keeps `unknown && false` as it is, since the unknown part might fail to evaluate. Here a
//! failure refuses the request, so such a condition holds for no request that is permitted, and
//! the order of operands does not matter: three-valued logic after Kleene.

use std::ops::Not;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, PatternElem, Policy, UnaryOp, Var};

/// What a residual condition comes to, whatever the unknowns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It holds, or the request is refused.
    Holds,
    /// It does not hold, or the request is refused.
    Fails,
    /// It depends.
    Depends,
}

/// All URIs that a resource template stands for, and some more: those with its first and last
/// literal parts (RFC 6570).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    begins: String,
    ends: String,
}

impl Template {
    pub(super) fn of(text: &str) -> Self {
        let begins = text.split('{').next().unwrap_or_default().to_owned();
        let ends = if text.contains('{') { text.rsplit('}').next() } else { None };
        Self { begins, ends: ends.unwrap_or_default().to_owned() }
    }

    fn may_be(&self, uri: &str) -> bool {
        uri.len() >= self.begins.len() + self.ends.len()
            && uri.starts_with(&self.begins)
            && uri.ends_with(&self.ends)
    }

    fn may_be_like(&self, pattern: &[PatternElem]) -> bool {
        let literal = |element: &&PatternElem| matches!(element, PatternElem::Char(_));
        let text = |element: &PatternElem| match element {
            PatternElem::Char(character) => Some(*character),
            PatternElem::Wildcard => None,
        };
        let begins: String = pattern.iter().take_while(literal).filter_map(text).collect();
        let agree = begins.starts_with(&self.begins) || self.begins.starts_with(&begins);
        // Without a wildcard it is one text.
        agree && (pattern.iter().any(|element| !literal(&element)) || self.may_be(&begins))
    }

    /// Whether a condition on the resource's URI fails for all of them.
    fn refutes(&self, condition: &Expr) -> bool {
        match condition {
            Expr::BinaryOp { op: BinaryOp::Eq, left, right } => [(left, right), (right, left)]
                .into_iter()
                .any(|(one, other)| is_uri(one) && text(other).is_some_and(|t| !self.may_be(t))),
            Expr::BinaryOp { op: BinaryOp::Contains, left, right } => match &**left {
                Expr::Set(items) if is_uri(right) => {
                    items.iter().all(|item| text(item).is_some_and(|text| !self.may_be(text)))
                }
                _ => false,
            },
            Expr::Like { expr, pattern } => is_uri(expr) && !self.may_be_like(pattern),
            _ => false,
        }
    }
}

fn is_uri(expression: &Expr) -> bool {
    matches!(expression, Expr::GetAttr { expr, attr }
        if attr == "uri" && matches!(&**expr, Expr::Var(Var::Resource)))
}

fn text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Literal(Literal::String(text)) => Some(text),
        _ => None,
    }
}

impl Outcome {
    /// The outcome of a whole policy: all of its clauses together.
    pub(super) fn of(policy: &Policy, template: Option<&Template>) -> Self {
        let of = |condition| Self::of_condition(condition, template);
        policy
            .body()
            .clauses()
            .iter()
            .map(|clause| match clause {
                Clause::When(condition) => of(condition),
                Clause::Unless(condition) => !of(condition),
            })
            .fold(Self::Holds, Self::and)
    }

    fn of_condition(condition: &Expr, template: Option<&Template>) -> Self {
        let of = |condition| Self::of_condition(condition, template);
        match condition {
            refuted if template.is_some_and(|template| template.refutes(refuted)) => Self::Fails,
            Expr::Literal(Literal::Bool(true)) => Self::Holds,
            Expr::Literal(Literal::Bool(false)) => Self::Fails,
            Expr::UnaryOp { op: UnaryOp::Not, expr } => !of(expr),
            Expr::BinaryOp { op: BinaryOp::And, left, right } => of(left).and(of(right)),
            Expr::BinaryOp { op: BinaryOp::Or, left, right } => !(!of(left)).and(!of(right)),
            Expr::IfThenElse { cond, then_expr, else_expr } => match of(cond) {
                Self::Holds => of(then_expr),
                Self::Fails => of(else_expr),
                Self::Depends => {
                    let (one, other) = (of(then_expr), of(else_expr));
                    if one == other { one } else { Self::Depends }
                }
            },
            _ => Self::Depends,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fails, _) | (_, Self::Fails) => Self::Fails,
            (Self::Holds, Self::Holds) => Self::Holds,
            _ => Self::Depends,
        }
    }
}

impl Not for Outcome {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Holds => Self::Fails,
            Self::Fails => Self::Holds,
            Self::Depends => Self::Depends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_stands_for_what_begins_and_ends_like_it() {
        let template = Template::of("file:///srv/{path}.md");
        let pattern = |text: &str| -> Vec<PatternElem> {
            let of = |c| if c == '*' { PatternElem::Wildcard } else { PatternElem::Char(c) };
            text.chars().map(of).collect()
        };
        for (uri, may_be) in [
            ("file:///srv/a.md", true),
            ("file:///srv/.md", true),
            ("file:///srv/a.txt", false),
            ("file:///etc/a.md", false),
            ("file:///srv/", false),
        ] {
            assert_eq!(template.may_be(uri), may_be, "{uri}");
            assert_eq!(template.may_be_like(&pattern(uri)), may_be, "{uri}");
        }
        for (like, may_be) in [
            ("file:///*", true),
            ("file:///srv/public/*", true),
            ("*", true),
            ("file:///etc/*", false),
            ("https://*", false),
        ] {
            assert_eq!(template.may_be_like(&pattern(like)), may_be, "{like}");
        }
        assert!(Template::of("plain://x").may_be("plain://x"));
    }

    #[test]
    fn what_is_about_other_uris_is_about_none_of_a_template() {
        let template = Template::of("file:///srv/{path}.md");
        let outcome = |condition: &str, template: Option<&Template>| {
            let text = format!("permit (principal, action, resource) when {{ {condition} }};");
            let policy: cedar_policy::Policy = text.parse().unwrap();
            Outcome::of(&policy.to_pst().unwrap(), template)
        };
        for (condition, expected) in [
            (r#"resource.uri == "file:///etc/passwd""#, Outcome::Fails),
            (r#""file:///etc/passwd" == resource.uri"#, Outcome::Fails),
            (r#"resource.uri like "file:///etc/*""#, Outcome::Fails),
            (r#"["file:///a", "file:///b"].contains(resource.uri)"#, Outcome::Fails),
            (r#"!(resource.uri == "file:///etc/passwd")"#, Outcome::Holds),
            (r#"resource.uri == "file:///srv/a.md""#, Outcome::Depends),
            (r#"resource.uri like "file:///srv/*""#, Outcome::Depends),
            (r#"["file:///a", "file:///srv/b.md"].contains(resource.uri)"#, Outcome::Depends),
        ] {
            assert_eq!(outcome(condition, Some(&template)), expected, "{condition}");
            assert_eq!(outcome(condition, None), Outcome::Depends, "{condition}");
        }
    }
}
