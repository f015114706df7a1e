//! `cedargate tools`: what the server offers, whether it is as it was accepted, and what it takes to
//! call it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
};

use clap::Subcommand;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    ConfigFile, StdioServer, load_quietly, report,
    report::styled,
    schema::{difference, offer, saved},
};
use crate::{
    authz::{
        Lock, Policies,
        offer::Offer,
        pins::{change::Change, lock::digest_of},
        schema::schema_of,
        tool_needs::{ToolNeeds, needs_of},
    },
    config::Config,
    files,
};

/// Show the server's tools: as accepted or not, the scopes a call needs, its limits
///
/// Taken from tools.lock, the offer that was accepted, unless told to look. Examples:
///
///   cedargate tools                    what is accepted, and what it takes to call it
///   cedargate tools --live             also what the server says now; exit code 1 if that differs
///   cedargate tools diff send_mail     what has changed in a definition
///   cedargate tools accept send_mail   take it over as it is now, into tools.lock and the schema
///   cedargate tools accept send_mail@sha256:3f…   only if it still is what `diff` showed
///   cedargate tools accept --all       the same for everything
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ToolsArguments {
    #[command(flatten)]
    options: ToolsOptions,
    #[command(flatten)]
    server: StdioServer,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, clap::Args)]
struct ToolsOptions {
    #[command(flatten)]
    file: ConfigFile,
    /// A saved answer to `tools/list`, instead of what the server says now
    #[arg(long, value_name = "FILE", global = true)]
    from: Option<PathBuf>,
    /// Ask the server (`accept` and `diff` always do)
    #[arg(long, conflicts_with = "from")]
    live: bool,
    /// Say it in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Take tools over as they are now, into tools.lock and the schema
    Accept {
        /// Their names, each with the digest that it must have if you like: NAME@sha256:DIGEST
        #[arg(required_unless_present = "all")]
        names: Vec<String>,
        /// All of them
        #[arg(long)]
        all: bool,
    },
    /// Show what has changed in a tool since it was accepted
    Diff {
        /// Its name
        name: String,
    },
}

pub(super) async fn tools(arguments: ToolsArguments) -> ExitCode {
    let as_json = arguments.options.json;
    match done(arguments).await {
        Ok(code) => code,
        Err(what) => report::fault(&what, as_json),
    }
}

async fn done(arguments: ToolsArguments) -> Result<ExitCode, String> {
    let ToolsArguments { options, server, what } = arguments;
    let ToolsOptions { file, from, live, json: as_json } = options;
    let config = load_quietly(&file.config, server.command()).map_err(|e| e.to_string())?;
    let now = async || match &from {
        Some(path) => saved(path),
        None => offer(&config, true).await,
    };
    match what {
        Some(What::Accept { names, all }) => {
            let now = now().await?;
            accept(&config, &now, (!all).then_some(names), as_json)
        }
        Some(What::Diff { name }) => {
            let now = now().await?;
            let lock = Lock::read(&config.policies.lock).map_err(|e| e.to_string())?;
            diff(&lock, &now, &name, as_json)
        }
        None => {
            let lock = Lock::read(&config.policies.lock).map_err(|e| e.to_string())?;
            let now = if live || from.is_some() { Some(now().await?) } else { None };
            show(&config, &lock, now.as_ref(), as_json)
        }
    }
}

/// A row of the table.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    name: &'a str,
    /// `accepted`, or what has changed.
    state: Vec<&'static str>,
    #[serde(flatten)]
    needs: Option<&'a ToolNeeds>,
}

fn show(
    config: &Config,
    lock: &Lock,
    now: Option<&Offer>,
    as_json: bool,
) -> Result<ExitCode, String> {
    let differences = now.map(|now| lock.differences(now)).unwrap_or_default();
    let loaded = Policies::load(config);
    let needs: BTreeMap<String, ToolNeeds> = match &loaded {
        Ok(policies) => needs_of(policies, lock.offer().tools().map(|(name, _)| name)),
        Err(error) => {
            anstream::eprintln!("{} {error}", styled(report::DOUBTFUL, "policies cannot be used:"));
            BTreeMap::new()
        }
    };
    let accepted = lock.offer().tools().map(|(name, _)| name);
    let names: BTreeSet<&str> = accepted.chain(differences.keys().map(String::as_str)).collect();
    let rows: Vec<Row<'_>> = names
        .into_iter()
        .map(|name| Row { name, state: state(differences.get(name)), needs: needs.get(name) })
        .collect();
    if as_json {
        report::json(&json!({ "server": lock.server, "tools": rows }));
    } else {
        print(&rows);
    }
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn state(changes: Option<&BTreeSet<Change>>) -> Vec<&'static str> {
    match changes {
        None => vec!["accepted"],
        Some(changes) if changes.is_empty() => vec!["changed"],
        Some(changes) => changes.iter().map(|change| change.code()).collect(),
    }
}

fn print(rows: &[Row<'_>]) {
    let mut table = report::table(&["tool", "state", "callable", "scopes", "limit", "audit"]);
    for row in rows {
        let needs = |of: fn(&ToolNeeds) -> String| row.needs.map(of).unwrap_or_default();
        table.add_row([
            row.name.to_owned(),
            row.state.join(" "),
            needs(|needs| needs.callable.to_owned()),
            needs(|needs| needs.scopes.join(" ")),
            needs(|needs| needs.rate_limit.clone().unwrap_or_default()),
            needs(|needs| needs.audit.unwrap_or_default().to_owned()),
        ]);
    }
    anstream::println!("{table}");
    let waiting = rows.iter().filter(|row| row.state != ["accepted"]).count();
    if waiting > 0 {
        anstream::println!(
            "\n{} not as accepted: look with `cedargate tools diff NAME`, take over with `cedargate tools accept NAME`",
            styled(report::DOUBTFUL, waiting)
        );
    }
}

fn accept(
    config: &Config,
    now: &Offer,
    names: Option<Vec<String>>,
    as_json: bool,
) -> Result<ExitCode, String> {
    let path = &config.policies.lock;
    let mut lock = match path.exists() {
        true => Lock::read(path).map_err(|e| e.to_string())?,
        false => Lock::of(&config.upstream.name, Offer::default()),
    };
    let before = schema_of(lock.offer());
    let waiting: Vec<String> = lock.differences(now).into_keys().collect();
    let taken = match names {
        Some(names) => {
            names.iter().map(|name| named(name, &lock, now)).collect::<Result<Vec<_>, String>>()?
        }
        None => {
            lock.accept_others(now);
            waiting
        }
    };
    taken.iter().for_each(|name| lock.accept(name, now.tool(name)));
    let digests: BTreeMap<&str, Option<String>> =
        taken.iter().map(|name| (name.as_str(), now.tool(name).map(digest_of))).collect();
    lock.write(path).map_err(|e| format!("cannot write `{}`: {e}", path.display()))?;
    let schema = &config.policies.schema;
    let written = std::fs::read_to_string(schema).unwrap_or_default();
    let ours = written.is_empty() || written == before;
    if ours {
        files::replace(schema, &schema_of(lock.offer()))
            .map_err(|e| format!("cannot write `{}`: {e}", schema.display()))?;
    }
    if as_json {
        let accepted =
            json!({ "accepted": taken, "digests": digests, "lock": path, "schemaWritten": ours });
        report::json(&accepted);
        return Ok(ExitCode::SUCCESS);
    }
    let count = styled(report::GOOD, format!("accepted {}", taken.len()));
    anstream::println!("{count} in `{}`", path.display());
    for (name, digest) in &digests {
        anstream::println!("  {name}  {}", digest.as_deref().unwrap_or("that it is gone"));
    }
    if !ours {
        anstream::println!(
            "`{}` was edited by hand and is left as it is; compare with `cedargate schema --check`",
            schema.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The name of a tool to accept; with a digest only if that is the tool's now.
fn named(wanted: &str, lock: &Lock, now: &Offer) -> Result<String, String> {
    let (name, digest) = match wanted.rsplit_once("@sha256:") {
        Some((name, digits)) => (name, Some(format!("sha256:{digits}"))),
        None => (wanted, None),
    };
    if now.tool(name).is_none() && lock.offer().tool(name).is_none() {
        return Err(format!("there is no tool `{name}`, neither offered nor accepted"));
    }
    let is = now.tool(name).map(digest_of);
    match digest {
        Some(digest) if is.as_ref() != Some(&digest) => Err(format!(
            "`{name}` is not what you looked at: it has {} now; see `cedargate tools diff {name}`",
            is.as_deref().unwrap_or("gone, and no digest")
        )),
        _ => Ok(name.to_owned()),
    }
}

fn diff(lock: &Lock, now: &Offer, name: &str, as_json: bool) -> Result<ExitCode, String> {
    let (before, now_is) = (lock.offer().tool(name), now.tool(name));
    if before.is_none() && now_is.is_none() {
        return Err(format!("there is no tool `{name}`, neither offered nor accepted"));
    }
    let written = |tool: Option<&Value>| {
        let text = tool.and_then(|tool| serde_json::to_string_pretty(tool).ok());
        text.map(|text| text + "\n").unwrap_or_default()
    };
    let changes = lock.differences(now).remove(name);
    let diff = difference(&written(before), &written(now_is), name);
    if as_json {
        let changes: Vec<&str> = state(changes.as_ref());
        let digest = now_is.map(digest_of);
        report::json(&json!({ "tool": name, "changes": changes, "digest": digest, "diff": diff }));
    } else {
        match &changes {
            None => anstream::println!("`{name}` is {}", styled(report::GOOD, "as accepted")),
            Some(changes) => {
                let codes: Vec<&str> = changes.iter().map(|change| change.code()).collect();
                anstream::println!("`{name}`: {}", styled(report::DOUBTFUL, codes.join(" ")));
                anstream::println!("{}", diff.trim_end());
                if let Some(now_is) = now_is {
                    let digest = digest_of(now_is);
                    anstream::println!(
                        "\ntake over exactly this: cedargate tools accept {name}@{digest}"
                    );
                }
            }
        }
    }
    Ok(if changes.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
