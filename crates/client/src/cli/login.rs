//! `login`: a person signs in, once.

use std::process::ExitCode;

use client::config::Config;

pub(super) async fn run(_: &Config) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not yet")
}
