//! Arguments -> prepared server -> exit code.

fn main() -> std::process::ExitCode {
    server::cli::main()
}
