//! The Cedar type of an argument.

use std::collections::BTreeMap;

use super::{
    constraint::{Constraint, Format, Others},
    kinds::Kinds,
};

/// A type that policies can speak about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ArgumentType {
    Boolean,
    Long,
    Decimal,
    String,
    Datetime,
    IpAddress,
    Set(Box<ArgumentType>),
    /// An object of any names: a set of its members.
    Map(Box<ArgumentType>),
    Record(Members),
    /// What has no one type: its kind and its text.
    Any,
}

/// The members of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Members {
    pub(super) named: BTreeMap<String, Member>,
    /// Of those that have no name in the schema, where it says that there are any.
    pub(super) others: Option<Box<ArgumentType>>,
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) of: ArgumentType,
    pub(super) required: bool,
    /// Whether it may be `null`, which is read as its absence.
    pub(super) nullable: bool,
}

impl Members {
    /// Whether a list of such objects looks to policies as an object of any names does.
    pub(super) fn are_key_and_value(&self) -> bool {
        let of = |name: &str| self.named.get(name).filter(|member| member.required);
        self.named.len() == 2
            && self.others.is_none()
            && of("value").is_some()
            && of("key").is_some_and(|key| key.of == ArgumentType::String)
    }

    /// Of a tool's arguments. What is not named there is no argument, unless it says otherwise.
    pub(super) fn of_arguments(constraint: Constraint) -> Self {
        let mut members = Self::of(constraint.named, &constraint.required, constraint.others);
        // A name of ours; an argument that bears it is one of the others.
        if members.named.remove(OTHERS).is_some() {
            members.others = Some(Box::new(ArgumentType::Any));
        }
        members
    }

    fn of(
        named: BTreeMap<String, Constraint>,
        required: &std::collections::BTreeSet<String>,
        others: Others,
    ) -> Self {
        let named = named.into_iter().filter(|(_, constraint)| constraint.kinds != Kinds::NONE);
        let named: BTreeMap<String, Member> = named
            .map(|(name, constraint)| {
                let nullable = constraint.kinds.has(Kinds::NULL);
                let of = ArgumentType::of(constraint);
                // As one of many kinds `null` is a value, not an absence.
                let nullable = nullable && of != ArgumentType::Any;
                let required = required.contains(&name) && !nullable;
                (name, Member { of, required, nullable })
            })
            .collect();
        let others = match others {
            Others::Of(constraint) => Some(Box::new(ArgumentType::of_element(*constraint))),
            Others::Unsaid | Others::Closed => None,
        };
        Self { named, others }
    }
}

impl ArgumentType {
    fn of(constraint: Constraint) -> Self {
        let kinds = constraint.kinds.without(Kinds::NULL);
        if kinds == Kinds::BOOLEAN {
            Self::Boolean
        } else if kinds == Kinds::INTEGER {
            Self::Long
        } else if kinds != Kinds::NONE && Kinds::NUMBER.has(kinds) {
            Self::Decimal
        } else if kinds == Kinds::STRING {
            match constraint.format {
                Format::Plain => Self::String,
                Format::Datetime => Self::Datetime,
                Format::IpAddress => Self::IpAddress,
            }
        } else if kinds == Kinds::ARRAY {
            let element = constraint.items.map_or(Self::Any, |items| Self::of_element(*items));
            Self::Set(Box::new(element))
        } else if kinds == Kinds::OBJECT {
            Self::of_object(constraint)
        } else {
            Self::Any
        }
    }

    /// Of what stands in a set, where nothing can be absent.
    fn of_element(constraint: Constraint) -> Self {
        if constraint.kinds.has(Kinds::NULL) { Self::Any } else { Self::of(constraint) }
    }

    fn of_object(constraint: Constraint) -> Self {
        match (constraint.named.is_empty(), constraint.others) {
            (true, Others::Unsaid) => Self::Map(Box::new(Self::Any)),
            (true, Others::Of(values)) => Self::Map(Box::new(Self::of_element(*values))),
            (_, others) => {
                let named = constraint.named;
                let arguments = Constraint { named, others, ..Constraint::top() };
                let required = constraint.required;
                Self::Record(Members::of_arguments(Constraint { required, ..arguments }))
            }
        }
    }
}

/// The member under which policies find the arguments that the schema does not name.
pub(super) const OTHERS: &str = "*";
