//! `cedargate import`: a neighbour's policies, as they would be written here.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::{Value, json};

use super::{load_quietly, report, report::styled};
use crate::{
    authz::import::{Home, Imported, Neighbour, Statement, import},
    files,
};

/// Translate the policies of a neighbouring gateway
///
/// From ToolHive its authorization configuration (JSON or YAML, `type: cedarv1`) or a file of its
/// policies (`*.cedar`); from AgentCore a file of its policies. Every statement is carried over
/// whole or not at all, and what is not is listed with the reason. With a configuration and its
/// schema everything that is carried over is valid; without, nothing is checked. Examples:
///
///   cedargate import --from toolhive authz.yaml
///   cedargate import --from toolhive authz.json --write policies/from-toolhive.cedar
///   cedargate import --from agentcore refunds.cedar --config gate/cedargate.toml --json
///
/// The policies go to the standard output, what is to be said of them to the standard error. Exit
/// code 0 when everything was carried over, 1 when something was not.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ImportArguments {
    /// Whose policies they are
    #[arg(long, value_enum)]
    from: Neighbour,
    /// The file that holds them
    file: PathBuf,
    /// The configuration of the gate that they are for [default: cedargate.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write the policies to this file, which must not be there yet
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Say everything in JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: ImportArguments) -> ExitCode {
    let as_json = arguments.json;
    let home = match home(arguments.config.as_deref()) {
        Ok(home) => home,
        Err(what) => return report::fault(&what, as_json),
    };
    let imported = match import(arguments.from, &arguments.file, &home) {
        Ok(imported) => imported,
        Err(what) => return report::fault(&what, as_json),
    };
    let policies = imported.text();
    let written = arguments.write.as_deref().filter(|_| !policies.is_empty());
    if let Some(path) = written
        && let Err(cause) = files::create(path, &policies)
    {
        return report::fault(&format!("cannot write `{}`: {cause}", path.display()), as_json);
    }
    if as_json {
        report::json(&for_scripts(&imported, &policies, written));
    } else {
        if written.is_none() {
            print!("{policies}");
        }
        tell(&imported, written);
    }
    if imported.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is known of the gate: nothing, where no configuration is named and none lies here.
fn home(named: Option<&Path>) -> Result<Home, String> {
    let usual = Path::new("cedargate.toml");
    let Some(path) = named.or_else(|| Some(usual).filter(|path| path.exists())) else {
        return Ok(Home::default());
    };
    let config = load_quietly(path, None).map_err(|e| e.to_string())?;
    Home::of(&config).map_err(|e| e.to_string())
}

fn for_scripts(imported: &Imported, policies: &str, written: Option<&Path>) -> Value {
    let mut json = json!(imported);
    if let Some(members) = json.as_object_mut() {
        members.insert("policies".to_owned(), policies.into());
        members.insert("written".to_owned(), json!(written));
    }
    json
}

fn tell(imported: &Imported, written: Option<&Path>) {
    for statement in &imported.statements {
        tell_statement(statement);
    }
    for left in &imported.left {
        anstream::eprintln!("{} {left}", styled(report::BAD, "left"));
    }
    for note in &imported.notes {
        anstream::eprintln!("{} {note}", styled(report::DOUBTFUL, "note"));
    }
    if let Ok(entities) = serde_json::to_string_pretty(&imported.entities)
        && !imported.entities.is_empty()
    {
        anstream::eprintln!("{} put this into entities.json:", styled(report::DOUBTFUL, "note"));
        anstream::eprintln!("{entities}");
    }
    if let Some(path) = written {
        anstream::eprintln!("{} `{}`", styled(report::GOOD, "wrote"), path.display());
    }
    let all = imported.statements.len();
    let carried = imported.statements.iter().filter(|one| one.policy.is_some()).count();
    let validity = match imported.validated {
        true => "each of them valid by the schema",
        false => "none of them validated: there is no configuration, or no schema where it says",
    };
    let style = if imported.is_whole() { report::GOOD } else { report::BAD };
    anstream::eprintln!(
        "{}; {validity}",
        styled(style, format!("{carried} of {all} policies carried over"))
    );
}

fn tell_statement(statement: &Statement) {
    let Statement { place, first_line, id, reason, notes, effect, .. } = statement;
    match (id, reason) {
        (Some(id), _) => {
            anstream::eprintln!("{} {place}: `{id}`", styled(report::GOOD, "ok  "));
        }
        (None, reason) => {
            let effect = effect.unwrap_or("statement");
            let reason = reason.as_deref().unwrap_or_default();
            anstream::eprintln!("{} {place}: {first_line}", styled(report::BAD, "left"));
            anstream::eprintln!("     {effect}: {reason}");
            if effect == "forbid" {
                anstream::eprintln!("     what it forbade there is not forbidden here");
            }
        }
    }
    for note in notes {
        anstream::eprintln!("     {}", styled(report::FAINT, note));
    }
}
