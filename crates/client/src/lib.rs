//! A thin client between any LLM provider and an MCP server behind Cedargate. The model proposes,
//! the gate disposes.
//!
//! - [`trust`]: one HTTP client for everything, with no way to switch verification off.
//! - [`token`]: an OAuth token for the gate, renewed before it expires, widened on a step-up.
//! - [`session`]: an MCP session through the gate.
//! - [`agent`]: the loop between model and tools.
//! - [`model`]: any provider, through `genai`.
//! - [`rehearsed`]: a local endpoint in the OpenAI wire format with scripted choices, for the demo
//!   and for tests; it is no model.

pub mod agent;
pub mod model;
pub mod rehearsed;
pub mod session;
pub mod token;
pub mod trust;
