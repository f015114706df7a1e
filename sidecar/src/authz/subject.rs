//! The principal of a decision: the subject of a token as that token delegates it, or as another
//! token might, with as much of it as the schema declares.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use cedar_policy::{Entity, EntityUid, RestrictedExpression};
use serde_json::Value;

use super::{policies::Policies, shape::TypeNames, vocabulary::uid};
use crate::token::Claims;

/// The subject of a token as that token delegates it, or as another token might.
#[derive(Debug, Clone, Copy)]
pub(super) struct Principal<'a> {
    pub(super) iss: &'a str,
    pub(super) sub: &'a str,
    pub(super) client_id: &'a str,
    pub(super) scopes: &'a BTreeSet<String>,
    pub(super) groups: &'a BTreeSet<String>,
    pub(super) roles: &'a BTreeSet<String>,
    pub(super) tenant: Option<&'a str>,
    pub(super) zone: Option<&'a str>,
    pub(super) tags: &'a BTreeMap<String, String>,
}

/// What of a principal the schema declares. More than the always declared must not be supplied,
/// or Cedar refuses the entity.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SubjectShape {
    groups: bool,
    roles: bool,
    tenant: bool,
    zone: bool,
    tags: bool,
}

impl<'a> Principal<'a> {
    pub(super) fn of(claims: &'a Claims) -> Self {
        Self {
            iss: claims.iss(),
            sub: claims.sub(),
            client_id: claims.client_id(),
            scopes: claims.scopes(),
            groups: claims.groups(),
            roles: claims.roles(),
            tenant: claims.tenant(),
            zone: claims.zone(),
            tags: claims.tags(),
        }
    }

    /// Somebody with nothing but `scopes`.
    pub(super) fn nobody(scopes: &'a BTreeSet<String>) -> Self {
        static NONE: BTreeSet<String> = BTreeSet::new();
        static NO_TAGS: BTreeMap<String, String> = BTreeMap::new();
        Self {
            iss: "i",
            sub: "u",
            client_id: "c",
            scopes,
            groups: &NONE,
            roles: &NONE,
            tenant: None,
            zone: None,
            tags: &NO_TAGS,
        }
    }
}

impl SubjectShape {
    pub(super) fn of(namespace: &Value, names: &TypeNames<'_>) -> Self {
        let Some(user) = namespace.pointer("/entityTypes/OAuthUser") else {
            return Self::default();
        };
        let is_group = |name: &Value| matches!(name.as_str(), Some("Group" | "Mcp::Group"));
        let parents = user.get("memberOfTypes").and_then(Value::as_array);
        let members =
            user.get("shape").and_then(|shape| names.members_of(shape)).unwrap_or_default();
        let declares = |name: &str| members.contains(&name);
        Self {
            groups: parents.is_some_and(|parents| parents.iter().any(is_group)),
            roles: declares("roles"),
            tenant: declares("tenant"),
            zone: declares("zone"),
            tags: user.get("tags").is_some(),
        }
    }
}

impl Policies {
    /// `<sub>`, or `<iss>#<sub>` when subjects of several issuers could meet.
    pub(super) fn principal(&self, principal: &Principal<'_>) -> EntityUid {
        uid(&self.types.user, &self.of_issuer(principal, principal.sub))
    }

    /// The principal and what it refers to.
    pub(super) fn principal_entities(
        &self,
        principal: &Principal<'_>,
    ) -> Result<Vec<Entity>, String> {
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let texts = |words: &BTreeSet<String>| {
            RestrictedExpression::new_set(words.iter().map(|word| text(word)))
        };
        let scopes = self.scope_hierarchy.expanded(principal.scopes);
        let scopes = RestrictedExpression::new_set(scopes.into_iter().map(text));
        let client = uid(&self.types.client, &self.of_issuer(principal, principal.client_id));
        let mut attributes = HashMap::from([
            ("id".to_owned(), text(principal.sub)),
            ("iss".to_owned(), text(principal.iss)),
            ("client".to_owned(), RestrictedExpression::new_entity_uid(client.clone())),
            ("scopes".to_owned(), scopes),
        ]);
        let mut all = Vec::with_capacity(3);
        if self.subject.roles {
            attributes.insert("roles".to_owned(), texts(principal.roles));
        }
        if let Some(tenant) = principal.tenant.filter(|_| self.subject.tenant) {
            attributes.insert("tenant".to_owned(), text(tenant));
        }
        if let Some(zone) = principal.zone.filter(|_| self.subject.zone) {
            let zone = uid(&self.types.zone, &self.of_issuer(principal, zone));
            all.extend(self.groups.with_ancestors(&zone));
            attributes.insert("zone".to_owned(), RestrictedExpression::new_entity_uid(zone));
        }
        let mut parents = HashSet::new();
        if self.subject.groups {
            for group in principal.groups {
                let group = uid(&self.types.group, &self.of_issuer(principal, group));
                all.extend(self.groups.with_ancestors(&group));
                parents.insert(group);
            }
        }
        all.push(self.user(principal, attributes, parents)?);
        let id = HashMap::from([("id".to_owned(), text(principal.client_id))]);
        all.push(Entity::new(client, id, HashSet::new()).map_err(|e| e.to_string())?);
        Ok(all)
    }

    fn user(
        &self,
        principal: &Principal<'_>,
        attributes: HashMap<String, RestrictedExpression>,
        parents: HashSet<EntityUid>,
    ) -> Result<Entity, String> {
        let user = self.principal(principal);
        let made = if self.subject.tags {
            let tag = |(name, value): (&String, &String)| {
                (name.clone(), RestrictedExpression::new_string(value.clone()))
            };
            Entity::new_with_tags(user, attributes, parents, principal.tags.iter().map(tag))
        } else {
            Entity::new(user, attributes, parents)
        };
        made.map_err(|e| e.to_string())
    }

    /// Names that an issuer gives are its own: another's of the same name are other names.
    pub(super) fn of_issuer<'a>(&self, principal: &Principal<'_>, name: &'a str) -> Cow<'a, str> {
        match self.several_issuers {
            true => Cow::Owned(format!("{}#{name}", principal.iss)),
            false => Cow::Borrowed(name),
        }
    }
}
