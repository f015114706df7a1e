//! Arguments -> issuer -> exit code.

fn main() -> std::process::ExitCode {
    dev_authorization_server::cli::main()
}
