//! `cedargate check`: everything that `run` reads, read and checked, and nothing served.

use std::{path::Path, process::ExitCode};

use super::{complain, load, misused};
use crate::Gate;

pub(super) async fn check(path: &Path, server: Option<Vec<String>>) -> ExitCode {
    let config = match load(path, server) {
        Ok(config) => config,
        Err(error) => return complain(&error, misused()),
    };
    match Gate::prepare(&config).await {
        Ok(gate) => {
            println!("`{}` is good: {}", path.display(), gate.summary());
            gate.issuers().iter().for_each(|issuer| println!("{issuer}"));
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, misused()),
    }
}
