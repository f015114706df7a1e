//! `customer-mcp-server`, as `server/src/main.rs` has it.

fn main() -> std::process::ExitCode {
    server::cli::main()
}
