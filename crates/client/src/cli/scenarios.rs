//! `scenarios`: every model plays the same scenarios.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::Args;

use super::{
    connect::{self, Personal},
    show::{self, BAD, GOOD},
};
use crate::{agent::Agent, config::Config, scenarios::Scenarios as Script};

/// Play the same scenarios with every model and compare what was decided
///
/// Every model plays every scenario under a token of its own. What was decided on each call must be
/// as the scenario says, and the same with every model. The exit code is 1 when anything is not.
#[derive(Debug, Args)]
pub(super) struct Scenarios {
    /// Scenarios in YAML [default: those of the demo]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Write a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl Scenarios {
    pub(super) async fn run(self, config: &Config, json: bool) -> anyhow::Result<ExitCode> {
        let script = match &self.file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read `{}`", path.display()))?;
                Script::from_yaml(&text, &path.display().to_string())?
            }
            None => Script::built_in()?,
        };
        let models = connect::models(config).await?;
        let names: Vec<_> = models.iter().map(|model| model.name().clone()).collect();
        let open = async |name: &_| {
            let model = models.iter().find(|model| model.name() == name);
            let model = model.map(Arc::clone).ok_or_else(|| "no such model".to_owned())?;
            let zones = connect::zones(config, &[name.provider()], Personal::Nobody)
                .await
                .map_err(|error| format!("{error:#}"))?;
            Ok(Agent::new(model, zones, &config.instructions, config.bounds.clone()))
        };
        let matrix = script
            .play(&names, open, |cell| {
                let (style, word) =
                    if cell.problems.is_empty() { (GOOD, "as it should") } else { (BAD, "not so") };
                let took = cell.took.as_millis();
                show::note(
                    style,
                    word,
                    &format!("{} with {} {took} ms", cell.scenario, cell.model),
                );
                for problem in &cell.problems {
                    show::note(BAD, "      ", &show::plain(problem));
                }
            })
            .await;
        if let Some(path) = &self.junit {
            std::fs::write(path, matrix.junit()?)
                .with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        if json {
            show::say(&show::json(&serde_json::to_value(&matrix)?));
        } else {
            show::say(&matrix.table().to_string());
        }
        Ok(if matrix.is_as_it_should_be() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
