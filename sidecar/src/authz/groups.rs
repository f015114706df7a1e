//! Groups in groups and zones in zones, from the entities file. What an issuer says of a caller is
//! in the token; how that is put in order is the operator's.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use cedar_policy::{Entities, Entity, EntityUid, Schema};
use serde_json::Value;

use super::{problems::Problem, source};

/// Of each group and zone in the file all that it is in, itself first.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups(HashMap<EntityUid, Vec<Entity>>);

impl Groups {
    /// Reads the file, if there is one.
    pub(super) fn read(path: &Path, schema: &Schema) -> Result<Self, Problem> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let broken = |what: String| {
            Problem::new(path, what).help(
                "write a list such as [{\"uid\": {\"type\": \"Mcp::Group\", \"id\": \"clerks\"}, \"attrs\": {}, \"parents\": [{\"type\": \"Mcp::Group\", \"id\": \"staff\"}]}]",
            )
        };
        let text = source::bounded_text(path).map_err(|mut problems| {
            problems.pop().unwrap_or_else(|| Problem::new(path, "cannot be read"))
        })?;
        // Its depth is bounded by now, and serde_json bounds it too.
        let json: Value = serde_json::from_str(&text).map_err(|e| broken(e.to_string()))?;
        let entities = Entities::from_json_value(json, Some(schema))
            .map_err(|error| broken(with_causes(&error)))?;
        let is_ours = |uid: &EntityUid| OURS.contains(&uid.type_name().to_string().as_str());
        // With a schema, its actions come along.
        let given = || entities.iter().filter(|e| e.uid().type_name().basename() != "Action");
        if let Some(other) = given().find(|entity| !is_ours(&entity.uid())) {
            return Err(broken(format!(
                "holds `{}`; only groups and zones are the operator's to declare",
                other.uid()
            )));
        }
        let all = given().map(|entity| {
            let uid = entity.uid();
            let above: HashSet<&EntityUid> =
                entities.ancestors(&uid).into_iter().flatten().collect();
            let above = entities.iter().filter(|other| above.contains(&other.uid()));
            let with = std::iter::once(entity).chain(above).cloned().collect();
            (uid, with)
        });
        Ok(Self(all.collect()))
    }

    /// Whether nothing is in anything.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a group or zone is `other`, or in it.
    pub(super) fn is_in(&self, uid: &EntityUid, other: &EntityUid) -> bool {
        let mut above = self.0.get(uid).into_iter().flatten();
        uid == other || above.any(|entity| entity.uid() == *other)
    }

    /// A group or zone with all that it is in.
    pub(super) fn with_ancestors(&self, uid: &EntityUid) -> Vec<Entity> {
        match self.0.get(uid) {
            Some(entities) => entities.clone(),
            None => vec![Entity::new_no_attrs(uid.clone(), HashSet::new())],
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", with_causes(cause)),
        None => error.to_string(),
    }
}

const OURS: [&str; 2] = ["Mcp::Group", "Mcp::Zone"];
