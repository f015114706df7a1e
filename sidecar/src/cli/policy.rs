//! `cedargate policy new`: a first policy for a tool, and its test.

use std::{fs::OpenOptions, io::Write as _, path::Path, process::ExitCode};

use clap::Subcommand;
use serde_json::json;

use super::{ConfigFile, load_quietly, report, report::styled};
use crate::{
    authz::{Lock, Policies, example::example_of, tool_action},
    config::Config,
};

/// Write policies
#[derive(Debug, clap::Args)]
pub(super) struct PolicyArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write a first policy for a tool, and a test of it
    ///
    /// Into TOOL.cedar beside the other policies and into tests/TOOL.yaml. Example:
    ///
    ///   cedargate policy new send_mail --scope mail:send
    #[command(verbatim_doc_comment)]
    New(NewArguments),
}

#[derive(Debug, clap::Args)]
struct NewArguments {
    /// The tool
    tool: String,
    /// A scope that a call needs; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    #[command(flatten)]
    file: ConfigFile,
    /// Say in JSON what was written
    #[arg(long)]
    json: bool,
}

pub(super) fn policy(arguments: PolicyArguments) -> ExitCode {
    let What::New(new) = arguments.what;
    let as_json = new.json;
    let config = match load_quietly(&new.file.config, None) {
        Ok(config) => config,
        Err(error) => return report::error(&error, as_json),
    };
    match write(&config, &new) {
        Ok(files) => {
            if as_json {
                report::json(&json!({ "written": files }));
            } else {
                files.iter().for_each(|file| {
                    anstream::println!("{} `{file}`", styled(report::GOOD, "wrote"))
                });
                anstream::println!(
                    "now: `cedargate test --write`, and look at what has changed in matrix.txt"
                );
            }
            ExitCode::SUCCESS
        }
        Err(what) => report::fault(&what, as_json),
    }
}

fn write(config: &Config, new: &NewArguments) -> Result<Vec<String>, String> {
    let lock = Lock::read(&config.policies.lock).map_err(|e| e.to_string())?;
    let Some(definition) = lock.offer().tool(&new.tool) else {
        let known: Vec<&str> = lock.offer().tools().map(|(name, _)| name).collect();
        return Err(format!(
            "the server offers no tool `{}`; there are {}",
            new.tool,
            known.join(", ")
        ));
    };
    if let Some(scope) = new.scopes.iter().find(|scope| !crate::config::is_scope_token(scope)) {
        return Err(format!("`{scope}` is not a scope (RFC 6749 section 3.3)"));
    }
    let id = file_name(&new.tool);
    if Policies::load(config).is_ok_and(|policies| policies.text(&id).is_some()) {
        return Err(format!("there is a policy `{id}` already"));
    }
    let folder = &config.policies.directory;
    let policy = folder.join(format!("{id}.cedar"));
    create(&policy, &policy_text(&id, &new.tool, &new.scopes))?;
    let tests = folder.join("tests");
    std::fs::create_dir_all(&tests)
        .map_err(|e| format!("cannot make `{}`: {e}", tests.display()))?;
    let test = tests.join(format!("{id}.yaml"));
    let arguments = example_of(definition);
    create(&test, &test_text(&id, &new.tool, &new.scopes, &arguments.to_string()))?;
    Ok([policy, test].iter().map(|path| path.display().to_string()).collect())
}

/// Kebab-case, whatever the tool is called.
pub(super) fn file_name(tool: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = tool.chars().map(plain).collect();
    let words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "tool".to_owned() } else { words.join("-") }
}

/// A policy that permits a tool to whoever has all of these scopes.
pub(super) fn policy_text(id: &str, tool: &str, scopes: &[String]) -> String {
    let action = tool_action(tool);
    let condition = match scopes {
        [one] => format!("contains({one:?})"),
        several => format!("containsAll({several:?})"),
    };
    let words = scopes.join(" and ");
    format!(
        "@id({id:?})\n@description({:?})\npermit (\n  principal is Mcp::OAuthUser,\n  \
         action == Mcp::Action::{action:?},\n  resource is Mcp::Tool\n)\n\
         when {{ principal.scopes.{condition} }};\n",
        format!("calling {tool} needs {words}"),
    )
}

/// Its tests: with the scopes it is permitted, without them it says so.
pub(super) fn test_text(id: &str, tool: &str, scopes: &[String], arguments: &str) -> String {
    // JSON is YAML, whatever stands in a name.
    let (with, called) = (json!(format!("with its scopes {tool} can be called")), json!(tool));
    let scopes = json!(scopes);
    format!(
        "- name: {with}\n  who: {{ scopes: {scopes} }}\n  \
         tool: {called}\n  arguments: {arguments}\n  expect: permit\n  by: [{id}]\n\n\
         - name: without them a caller is told which it needs\n  tool: {called}\n  \
         arguments: {arguments}\n  expect: insufficient-scope\n  required-scopes: {scopes}\n"
    )
}

/// Writes a file that is not there yet.
fn create(path: &Path, text: &str) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("cannot write `{}`: {e}", path.display());
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
