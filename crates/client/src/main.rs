//! `cedargate-chat`: a model, any model, and the tools behind the gate.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    client::cli::run().await
}
