//! Claims that no token holds: the gate's own, and those with which policies are tried out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Claims, Seconds};
use crate::token::proof::Confirmation;

impl Claims {
    /// Of the gate itself, where it asks for nobody: its own issuer, and no scope.
    pub(crate) fn of_gate(identifier: &str) -> Self {
        Self {
            iss: identifier.to_owned(),
            sub: GATE.to_owned(),
            client_id: GATE.to_owned(),
            jti: None,
            digest: None,
            scopes: BTreeSet::new(),
            groups: BTreeSet::new(),
            roles: BTreeSet::new(),
            tenant: None,
            zone: None,
            tags: BTreeMap::new(),
            confirmation: Confirmation::default(),
            issued_at: 0,
            exp: Seconds::MAX,
            expires_at: Seconds::MAX,
        }
    }

    /// Of somebody whom no issuer vouches for: policies are tried out with them, and nothing is
    /// forwarded.
    pub(crate) fn supposed(supposed: Supposed) -> Self {
        Self {
            iss: supposed.iss,
            sub: supposed.sub,
            client_id: supposed.client_id,
            scopes: supposed.scopes,
            groups: supposed.groups,
            roles: supposed.roles,
            tenant: supposed.tenant,
            zone: supposed.zone,
            tags: supposed.tags,
            ..Self::of_gate("")
        }
    }
}

/// Claims that nobody verified.
#[derive(Debug, Clone, Default)]
pub(crate) struct Supposed {
    pub(crate) iss: String,
    pub(crate) sub: String,
    pub(crate) client_id: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) roles: BTreeSet<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
}

const GATE: &str = "cedargate";

#[cfg(test)]
impl Claims {
    /// Claims that no verifier made.
    pub(crate) fn for_test(sub: &str, scopes: &[&str]) -> Self {
        Self::supposed(Supposed {
            iss: "https://issuer.example.com".to_owned(),
            sub: sub.to_owned(),
            client_id: "client".to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            ..Supposed::default()
        })
    }
}
