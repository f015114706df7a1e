//! What a gate needs to know of a server that is not the customer server.

use serde_json::{Value, json};

/// The schema and the lock for a server that offers these tools (as `tools/list` has them).
#[derive(Debug, Clone)]
pub struct Offered {
    pub(crate) schema: String,
    pub(crate) lock: String,
}

impl Offered {
    /// As `cedargate init` would write them.
    pub fn of(tools: &[Value]) -> Self {
        Self::with_prompts(tools, &[])
    }

    /// The same for a server that has prompts too.
    pub fn with_prompts(tools: &[Value], prompts: &[Value]) -> Self {
        let offered = json!({ "tools": tools, "prompts": prompts });
        let (schema, lock) =
            sidecar::testing::schema_and_lock(&offered).expect("an offer of tools");
        Self { schema, lock }
    }

    /// The lock.
    pub fn lock(&self) -> &str {
        &self.lock
    }
}
