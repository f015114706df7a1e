//! What is left of a policy after partial evaluation, looked at once more.
//!
//! Cedar keeps `unknown && false` as it is, since the unknown part might fail to evaluate. Here a
//! failure refuses the request, so such a condition holds for no request that is permitted, and
//! the order of operands does not matter: three-valued logic after Kleene.

use std::ops::Not;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, Policy, UnaryOp};

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

impl Outcome {
    /// The outcome of a whole policy: all of its clauses together.
    pub(super) fn of(policy: &Policy) -> Self {
        policy
            .body()
            .clauses()
            .iter()
            .map(|clause| match clause {
                Clause::When(condition) => Self::of_condition(condition),
                Clause::Unless(condition) => !Self::of_condition(condition),
            })
            .fold(Self::Holds, Self::and)
    }

    fn of_condition(condition: &Expr) -> Self {
        match condition {
            Expr::Literal(Literal::Bool(true)) => Self::Holds,
            Expr::Literal(Literal::Bool(false)) => Self::Fails,
            Expr::UnaryOp { op: UnaryOp::Not, expr } => !Self::of_condition(expr),
            Expr::BinaryOp { op: BinaryOp::And, left, right } => {
                Self::of_condition(left).and(Self::of_condition(right))
            }
            Expr::BinaryOp { op: BinaryOp::Or, left, right } => {
                !(!Self::of_condition(left)).and(!Self::of_condition(right))
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => match Self::of_condition(cond) {
                Self::Holds => Self::of_condition(then_expr),
                Self::Fails => Self::of_condition(else_expr),
                Self::Depends => {
                    let (one, other) =
                        (Self::of_condition(then_expr), Self::of_condition(else_expr));
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
