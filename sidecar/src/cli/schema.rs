//! `cedargate schema`: what policies can speak about, written from what the server offers.

use std::{path::PathBuf, process::ExitCode};

use serde_json::{Value, json};
use similar::TextDiff;

use super::{ConfigFile, StdioServer, load_quietly, report, report::styled};
use crate::{
    authz::{Lock, offer::Offer, schema::schema_of},
    config::Config,
    files,
    upstream::survey,
};

/// Print, write or check the Cedar schema of what the server offers
///
/// Taken from tools.lock, the offer that was accepted, unless told otherwise. Examples:
///
///   cedargate schema                       print it
///   cedargate schema --write               write it to the configured file
///   cedargate schema --check               exit with 1 if that file says something else
///   cedargate schema --live                from what the server offers now
///   cedargate schema --from list.json      from a saved `tools/list`; needs no configuration
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct SchemaArguments {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    server: StdioServer,
    /// A saved answer to `tools/list`
    #[arg(long, value_name = "FILE", conflicts_with = "live")]
    from: Option<PathBuf>,
    /// Ask the server
    #[arg(long)]
    live: bool,
    /// Write it to `policies.schema` of the configuration
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// Compare it with `policies.schema` of the configuration
    #[arg(long)]
    check: bool,
    /// Say in JSON what was done, with the schema
    #[arg(long)]
    json: bool,
}

pub(super) async fn schema(arguments: SchemaArguments) -> ExitCode {
    let as_json = arguments.json;
    match generated(arguments).await {
        Ok(code) => code,
        Err(what) => report::fault(&what, as_json),
    }
}

async fn generated(arguments: SchemaArguments) -> Result<ExitCode, String> {
    let SchemaArguments { file, server, from, live, write, check, json: as_json } = arguments;
    let needs_config = from.is_none() || write || check;
    let config = match needs_config {
        true => Some(load_quietly(&file.config, server.command()).map_err(|e| e.to_string())?),
        false => None,
    };
    let offer = match (&from, &config) {
        (Some(path), _) => saved(path)?,
        (None, Some(config)) => offer(config, live).await?,
        (None, None) => return Err("nothing says what the server offers".to_owned()),
    };
    let text = schema_of(&offer);
    let target = config.as_ref().map(|config| &config.policies.schema);
    match target.filter(|_| write || check) {
        Some(target) if check => {
            let before = std::fs::read_to_string(target).unwrap_or_default();
            Ok(compared(&before, &text, &target.display().to_string(), as_json))
        }
        Some(target) => {
            files::replace(target, &text)
                .map_err(|e| format!("cannot write `{}`: {e}", target.display()))?;
            let tools = offer.tools().count();
            if as_json {
                report::json(&json!({ "written": target, "tools": tools }));
            } else {
                anstream::println!(
                    "{} `{}`: {tools} tools",
                    styled(report::GOOD, "wrote"),
                    target.display()
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        None => {
            if as_json {
                report::json(&json!({ "schema": text }))
            } else {
                print!("{text}")
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What the server offers: as accepted, or as it says now.
pub(super) async fn offer(config: &Config, live: bool) -> Result<Offer, String> {
    if live {
        return survey(config).await.map_err(|e| e.to_string());
    }
    let lock = Lock::read(&config.policies.lock).map_err(|e| e.to_string())?;
    Ok(lock.offer().clone())
}

/// What a saved `tools/list` offers.
pub(super) fn saved(path: &PathBuf) -> Result<Offer, String> {
    let failed = |what: String| format!("`{}`: {what}", path.display());
    let bytes = std::fs::read(path).map_err(|e| failed(format!("cannot be read: {e}")))?;
    let json: Value = serde_json::from_slice(&bytes).map_err(|e| failed(e.to_string()))?;
    Offer::read(&json).map_err(|e| failed(e.to_string()))
}

/// 0 when two texts are the same, else 1 and what differs.
pub(super) fn compared(before: &str, now: &str, name: &str, as_json: bool) -> ExitCode {
    let same = before == now;
    if as_json {
        report::json(&json!({ "file": name, "same": same, "diff": difference(before, now, name) }));
    } else if same {
        anstream::println!("`{name}` is {}", styled(report::GOOD, "up to date"));
    } else {
        for line in difference(before, now, name).lines() {
            let style = match line.chars().next() {
                Some('+') => report::GOOD,
                Some('-') => report::BAD,
                _ => report::FAINT,
            };
            anstream::println!("{}", styled(style, line));
        }
    }
    if same { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(super) fn difference(before: &str, now: &str, name: &str) -> String {
    TextDiff::from_lines(before, now)
        .unified_diff()
        .header(name, &format!("{name} (new)"))
        .to_string()
}
