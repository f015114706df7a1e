//! The harness: [`Stack::start`] brings up the real issuer, the real customer server and the real
//! gate on free loopback ports over TLS, with a [`Spy`] between gate and upstream that records
//! every byte. A test that forgets [`Stack::finish`] fails; finishing asserts that the gate left
//! exactly one decision record for each request.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test harness a broken assumption should fail loudly"
)]

mod browser;
mod caller;
mod collector;
mod conformance;
mod conversation;
mod fixture;
mod forge;
mod model_servers;
mod neighbour;
mod place;
mod policy_sets;
mod program;
mod raw;
mod relay;
mod reply;
mod schema;
pub mod scripted;
mod spy;
mod stack;

pub use browser::{Browser, RegisteredClient, location, parameter};
pub use caller::Caller;
pub use collector::{CollectorDouble, attributes};
pub use conformance::{ConformanceSuite, Findings, Verdict};
pub use conversation::{Conversed, ScriptedModel, calls, converse};
pub use fixture::Fixture;
pub use forge::{Forge, Signer, text};
pub use model_servers::{Aimock, LiteLlm};
pub use neighbour::{Neighbour, skip};
pub use policy_sets::{call_of_the_first_tool, policy_set};
pub use program::{Program, free_port};
pub use raw::RawConnection;
pub use relay::{Relay, RelayAtWork};
pub use reply::Reply;
pub use schema::Offered;
pub use spy::{Mark, Spy};
pub use stack::{Credentials, Stack, StackBuilder};

/// The repository's root.
pub fn repository() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent")
}

/// Waits until `holds`, for twenty seconds at most.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if holds().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("within twenty seconds it did not come to pass that {what}");
}
