//! A thin client between any LLM provider and an MCP server behind Cedargate. The model proposes,
//! the gate disposes.
//!
//! - [`trust`]: one HTTP client for everything, with no way to switch verification off.
//! - [`token`]: an OAuth token for the gate, renewed before it expires, widened on a step-up.
//! - [`session`]: an MCP session through the gate.
//! - [`tools`]: MCP tools in one form for every provider, with what a call will need.
//! - [`model`]: the next turn of a conversation, from any provider, through `genai`.
//! - [`pool`]: several models as one, in order of preference.
//! - [`agent`]: the loop between model and tools.
//! - [`rehearsed`]: a local endpoint with scripted choices, for the demo and for tests; it is no
//!   model.

pub mod agent;
pub mod cli;
pub mod config;
pub mod model;
pub mod pool;
pub mod rehearsed;
pub mod scenarios;
pub mod secret;
pub mod session;
pub mod token;
pub mod tools;
pub mod transcript;
pub mod trust;
