//! Arguments -> subcommand -> exit code.

fn main() -> std::process::ExitCode {
    sidecar::cli::main()
}
