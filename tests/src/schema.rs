//! What a gate needs to know of a server that is not the customer server.

use serde_json::Value;

/// The schema and the lock for a server that offers these tools (as `tools/list` has them).
#[derive(Debug, Clone)]
pub struct Offered {
    pub(crate) schema: String,
    pub(crate) lock: String,
}

impl Offered {
    /// As `cedargate init` would write them.
    pub fn of(tools: &[Value]) -> Self {
        let (schema, lock) = sidecar::testing::schema_and_lock(&Value::from(tools.to_vec()))
            .expect("an offer of tools");
        Self { schema, lock }
    }

    /// The lock.
    pub fn lock(&self) -> &str {
        &self.lock
    }
}
