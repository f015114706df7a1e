//! `--check`: everything a conversation needs, before a provider is asked for anything.

use std::process::ExitCode;

use crate::config::Config;

pub(super) async fn run(_: &Config, _: bool) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not yet")
}
