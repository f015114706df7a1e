//! `dev-authorization-server`, as `crates/dev-authorization-server/src/main.rs` has it.

fn main() -> std::process::ExitCode {
    dev_authorization_server::cli::main()
}
