//! `cedargate`, as `sidecar/src/main.rs` has it.

fn main() -> std::process::ExitCode {
    sidecar::cli::main()
}
