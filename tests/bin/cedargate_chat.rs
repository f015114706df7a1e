//! `cedargate-chat`, as `crates/client/src/main.rs` has it.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    client::cli::run().await
}
