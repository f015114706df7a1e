//! `login`: a person signs in, once.

use std::process::ExitCode;

use crate::config::Config;

pub(super) async fn run(_: &Config) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not yet")
}
