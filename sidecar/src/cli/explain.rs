//! `cedargate explain`: why a call is permitted or refused, and what would change it.

mod record;

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use record::OnRecord;

use super::{ConfigFile, load_quietly, report, report::styled};
use crate::{
    authz::{
        Policies,
        explain::{Explained, Explanation, Holds},
        tryout::{PERMIT, Trial},
    },
    token::Supposed,
    watch::{Detector, Severity},
};

/// Say why a call is permitted or refused, and what would change that
///
/// The caller is described by a token (its signature is not checked here: this explains policies and
/// opens nothing), by claims, or by scopes alone. Examples:
///
///   cedargate explain get_customer_info '{"customer_id":"ABC123"}' --scope customer:read
///   cedargate explain send_mail @arguments.json --claims claims.json
///   cedargate explain --method resources/read security://events --token-file token.txt
///
/// A decision that is on record is found by the id of its request (`x-request-id`), in the ledger or in
/// a log:
///
///   cedargate explain --request 019ab5c2-7d1e-7c50-9f3a-2b1d5a0c4e11
///   cedargate explain --request 019ab5c2-7d1e-7c50-9f3a-2b1d5a0c4e11 --log gate.log
///
/// Exit code 0 when it is permitted, 1 when it is refused.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ExplainArguments {
    /// The tool that is called (with `--method`: the prompt or the resource's URI)
    target: Option<String>,
    /// The arguments: JSON, or `@FILE`
    arguments: Option<String>,
    /// Another method than `tools/call`
    #[arg(long, default_value = "tools/call")]
    method: String,
    /// A scope of the caller's token; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A group of the caller; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// An open finding about the caller, as `provider-shopping=high`; may be repeated
    #[arg(long, value_name = "DETECTOR=SEVERITY", value_parser = open_finding)]
    risk: Vec<(Detector, Severity)>,
    /// The caller's `sub`
    #[arg(long)]
    sub: Option<String>,
    /// The caller's claims: a JSON file
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// The caller's access token: a file
    #[arg(long, value_name = "FILE", conflicts_with = "claims")]
    token_file: Option<PathBuf>,
    /// A log of the gate, in JSON, instead of the ledger
    #[arg(long, value_name = "FILE", requires = "request")]
    log: Option<PathBuf>,
    /// The id of a request whose decision is on record
    #[arg(long, value_name = "ID", conflicts_with_all = ["target", "scopes", "claims", "token_file"])]
    request: Option<String>,
    #[command(flatten)]
    file: ConfigFile,
    /// Say it in JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn explain(arguments: ExplainArguments) -> ExitCode {
    let as_json = arguments.json;
    let config = match load_quietly(&arguments.file.config, None) {
        Ok(config) => config,
        Err(error) => return report::error(&error, as_json),
    };
    let policies = match Policies::load(&config) {
        Ok(policies) => policies,
        Err(error) => return report::policy_error(&error, as_json),
    };
    if let Some(request) = &arguments.request {
        let found = match &arguments.log {
            Some(log) => record::in_log(log, request, &policies),
            None => record::in_ledger(&config.ledger.directory, request, &policies).await,
        };
        return found
            .map_or_else(|what| report::fault(&what, as_json), |it| tell_record(&it, as_json));
    }
    let explained = trial(&arguments, config.first_issuer())
        .and_then(|trial| policies.explain(&trial).map_err(|e| e.to_string()));
    match explained {
        Ok(explanation) => {
            if as_json {
                report::json(&explanation)
            } else {
                tell(&explanation)
            }
            if explanation.decision == PERMIT { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(what) => report::fault(&what, as_json),
    }
}

fn tell_record(found: &OnRecord, as_json: bool) -> ExitCode {
    if as_json {
        report::json(found)
    } else {
        found.tell()
    }
    if found.is_permitted() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn trial(arguments: &ExplainArguments, issuer: &str) -> Result<Trial, String> {
    let mut who = Supposed {
        iss: issuer.to_owned(),
        sub: "somebody".to_owned(),
        client_id: "some-client".to_owned(),
        ..Supposed::default()
    };
    if let Some(path) = &arguments.claims {
        take_claims(&mut who, &json_file(path)?);
    }
    if let Some(path) = &arguments.token_file {
        take_claims(&mut who, &claims_of_token(path)?);
    }
    who.scopes.extend(arguments.scopes.iter().cloned());
    who.groups.extend(arguments.groups.iter().cloned());
    if let Some(sub) = &arguments.sub {
        who.sub.clone_from(sub);
    }
    Ok(Trial {
        who,
        method: arguments.method.clone(),
        target: arguments.target.clone(),
        arguments: arguments.arguments.as_deref().map(call_arguments).transpose()?,
        risk: arguments.risk.iter().copied().collect(),
        ..Trial::default()
    })
}

/// `provider-shopping=high`.
fn open_finding(text: &str) -> Result<(Detector, Severity), String> {
    let (detector, severity) = text.split_once('=').ok_or("say it as `provider-shopping=high`")?;
    let detector = serde_json::from_value(Value::from(detector)).map_err(|e| e.to_string())?;
    Ok((detector, serde_json::from_value(Value::from(severity)).map_err(|e| e.to_string())?))
}

fn call_arguments(text: &str) -> Result<Map<String, Value>, String> {
    let json = match text.strip_prefix('@') {
        Some(path) => json_file(&PathBuf::from(path))?,
        None => {
            serde_json::from_str(text).map_err(|e| format!("the arguments are no JSON: {e}"))?
        }
    };
    match json {
        Value::Object(arguments) => Ok(arguments),
        _ => {
            Err("the arguments must be a JSON object such as '{\"customer_id\":\"ABC123\"}'"
                .to_owned())
        }
    }
}

fn json_file(path: &PathBuf) -> Result<Value, String> {
    let failed = |what: String| format!("`{}`: {what}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    serde_json::from_str(&text).map_err(|e| failed(e.to_string()))
}

/// What a token says, whoever made it: nothing is opened with it.
fn claims_of_token(path: &PathBuf) -> Result<Value, String> {
    let failed = |what: &str| format!("`{}`: {what}", path.display());
    let token = std::fs::read_to_string(path).map_err(|e| failed(&e.to_string()))?;
    let claims = token.trim().split('.').nth(1).ok_or_else(|| failed("is no JWT"))?;
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| failed("is no JWT"))?;
    serde_json::from_slice(&claims).map_err(|_| failed("is no JWT"))
}

fn take_claims(who: &mut Supposed, claims: &Value) {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let several = |name: &str| -> BTreeSet<String> {
        match claims.get(name) {
            Some(Value::String(text)) => {
                text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
            }
            Some(Value::Array(items)) => {
                items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => BTreeSet::new(),
        }
    };
    who.iss = text("iss").unwrap_or_else(|| who.iss.clone());
    who.sub = text("sub").unwrap_or_else(|| who.sub.clone());
    who.client_id =
        text("client_id").or_else(|| text("azp")).unwrap_or_else(|| who.client_id.clone());
    who.scopes = if claims.get("scope").is_some() { several("scope") } else { several("scp") };
    (who.groups, who.roles) = (several("groups"), several("roles"));
    (who.tenant, who.zone) = (text("tenant"), text("zone"));
    let known = ["iss", "sub", "client_id", "azp", "scope", "scp", "jti", "aud"];
    let others = claims.as_object().into_iter().flatten();
    let others = others.filter(|(name, _)| !known.contains(&name.as_str()));
    who.tags = others
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
}

fn tell(explanation: &Explanation) {
    let permitted = explanation.decision == PERMIT;
    let (style, word) =
        if permitted { (report::GOOD, "permitted") } else { (report::BAD, "refused") };
    let reason = if permitted { String::new() } else { format!(" ({})", explanation.decision) };
    anstream::println!("{}{reason}", styled(style, word));
    if let Some(misfit) = &explanation.misfit {
        anstream::println!("  before any policy is asked: {misfit}");
    }
    for policy in &explanation.policies {
        let decides = explanation.deciding.contains(&policy.id);
        tell_policy(policy, decides);
    }
    if !explanation.would_change_it.is_empty() {
        anstream::println!("\n{}", styled(report::STRONG, "what would change it"));
        for change in &explanation.would_change_it {
            anstream::println!("  - {change}");
        }
    }
}

fn tell_policy(policy: &Explained, decides: bool) {
    let Explained { id, effect, shadow, holds, conditions, text } = policy;
    let state = match (holds, decides) {
        (Holds::Yes, true) => "decides",
        (Holds::Yes, false) => "holds",
        (Holds::No, _) => "does not hold",
        (Holds::Fails, _) => "cannot be evaluated",
    };
    let in_shadow = if *shadow { ", in the shadow" } else { "" };
    anstream::println!("\n{} ({effect}{in_shadow}) {state}", styled(report::STRONG, id));
    for condition in conditions {
        let (style, mark) = match condition.holds {
            Holds::Yes => (report::GOOD, "yes"),
            Holds::No => (report::BAD, "no "),
            Holds::Fails => (report::BAD, "???"),
        };
        anstream::println!("  {} {}", styled(style, mark), condition.words);
        anstream::println!("      {}", styled(report::FAINT, &condition.cedar));
    }
    if decides {
        for line in text.lines() {
            anstream::println!("  {}", styled(report::FAINT, format!("| {line}")));
        }
    }
}
