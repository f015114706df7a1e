//! `cedargate check`: everything that `run` reads, read and checked, and nothing served.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{ConfigFile, StdioServer, load_telling, misused, report, report::styled};
use crate::{
    Gate, StartError,
    authz::{Lock, PolicyStatus},
    config::Config,
    ledger,
    upstream::survey,
};

/// Read and check everything the configuration names, without serving
///
/// All errors at once, with their places; exit code 64 when there are any. Asks nobody over the
/// network unless told to:
///
///   cedargate check --config cedargate.toml
///   cedargate check --config cedargate.toml --live
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    server: StdioServer,
    /// Also ask the issuers for their keys, the upstream for what it offers, and open the ledger
    #[arg(long)]
    live: bool,
    /// Say it in JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn check(arguments: CheckArguments) -> ExitCode {
    let CheckArguments { file, server, live, json: as_json } = arguments;
    let config = match load_telling(&file.config, server.command()) {
        Ok(config) => config,
        Err(error) => return report::error(&error, as_json),
    };
    let complaints = Gate::complaints(&config);
    if !complaints.is_empty() {
        return complain_of(&complaints, as_json);
    }
    let gate = match Gate::assemble(&config) {
        Ok(gate) => gate,
        Err(error) => return complain_of(&[error], as_json),
    };
    let status = gate.policy_status();
    let found = if live { look(&gate, &config).await } else { Vec::new() };
    let good = found.iter().all(|finding| finding.good);
    if as_json {
        report::json(&json!({
            "good": good, "policies": status.summary, "version": status.version,
            "warnings": status.warnings,
            "live": found.iter().map(Finding::for_scripts).collect::<Vec<_>>(),
        }));
    } else {
        let path = file.config.display();
        let PolicyStatus { summary, version, warnings } = status;
        anstream::println!(
            "`{path}` is {}: {summary} (version {version})",
            styled(report::GOOD, "good")
        );
        for warning in warnings {
            anstream::println!("{} {warning}", styled(report::DOUBTFUL, "warning:"));
        }
        found.iter().for_each(Finding::for_people);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One thing that was found out over the network.
struct Finding {
    good: bool,
    what: String,
}

impl Finding {
    fn for_people(&self) {
        let style = if self.good { report::GOOD } else { report::BAD };
        let mark = if self.good { "ok" } else { "no" };
        anstream::println!("{} {}", styled(style, mark), self.what);
    }

    fn for_scripts(&self) -> Value {
        json!({ "good": self.good, "what": self.what })
    }
}

async fn look(gate: &Gate, config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Err(error) = gate.fetch_keys().await {
        found.push(Finding { good: false, what: error.to_string() });
    }
    found.extend(gate.issuer_findings().map(|(good, what)| Finding { good, what }));
    found.push(match survey(config).await {
        Ok(offer) => {
            let tools = offer.tools().count();
            let accepted = Lock::read(&config.policies.lock).ok();
            let differing = accepted.map_or(0, |lock| lock.differences(&offer).len());
            let what = match differing {
                0 => format!("the upstream answers and offers {tools} tools"),
                some => format!("the upstream answers and offers {tools} tools, {some} of them not as accepted; see `cedargate tools --live`"),
            };
            Finding { good: differing == 0, what }
        }
        Err(error) => Finding { good: false, what: error.to_string() },
    });
    found.push(match ledger::look(&config.ledger, &config.resource.origin()).await {
        Ok(what) => Finding { good: true, what },
        Err(error) => Finding { good: false, what: error.to_string() },
    });
    found
}

fn complain_of(errors: &[StartError], as_json: bool) -> ExitCode {
    let of_policies = errors.iter().find_map(|error| match error {
        StartError::Policies(error) => Some(error),
        _ => None,
    });
    let others = errors.iter().filter(|error| !matches!(error, StartError::Policies(_)));
    let others: Vec<String> = others.map(ToString::to_string).collect();
    if as_json {
        let mut problems: Vec<Value> = others.iter().map(|what| json!({ "what": what })).collect();
        problems.extend(of_policies.into_iter().flat_map(|e| e.for_scripts()).map(|p| json!(p)));
        report::json(&json!({ "good": false, "problems": problems }));
        return misused();
    }
    for what in others {
        report::fault(&what, false);
    }
    of_policies.map_or_else(misused, |error| report::policy_error(error, false))
}
