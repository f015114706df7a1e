//! The files that `cedargate init` writes.

use std::path::{Path, absolute};

use serde_json::json;

use super::InitArguments;
use crate::authz::{example::example_of, offer::Offer, tool_action};

/// The configuration: the smallest that serves.
pub(super) fn configuration(arguments: &InitArguments) -> Result<String, String> {
    let quoted = |text: &str| toml_string(text);
    let file = |path: &Path| {
        let path = absolute(path).map_err(|e| format!("`{}`: {e}", path.display()))?;
        Ok::<_, String>(quoted(&path.display().to_string()))
    };
    let ca = |path: &Option<std::path::PathBuf>| match path {
        Some(path) => Ok(format!("ca = {}\n", file(path)?)),
        None => Ok::<_, String>(String::new()),
    };
    let upstream = match (&arguments.upstream, arguments.server.server.as_slice()) {
        (Some(url), _) => format!(
            "url = {}\n{}# How the gate names itself and the caller: \"assertion\" or \"none\".\nidentity = \"none\"\n",
            quoted(url),
            ca(&arguments.upstream_ca)?
        ),
        (None, command) => {
            let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
            format!(
                "# A server over its standard streams, which the gate starts.\ncommand = [{}]\n",
                words.join(", ")
            )
        }
    };
    Ok(format!(
        "# Written by `cedargate init`. Relative paths are relative to this file; a variable\n\
         # CEDARGATE_<SECTION>__<KEY> overrides a value.\n\n\
         [listener]\naddress = {}\ncertificate = \"certs/cedargate.pem\"\nkey = \"certs/cedargate-key.pem\"\n\n\
         # What this gate protects, as clients and authorization servers know it. Scopes are advertised as\n\
         # the policies speak of them.\n[resource]\npublic_url = {}\n\n\
         # Who issues tokens. Keys are found by discovery, or at `jwks_url`.\n[[issuers]]\nissuer = {}\n{}\n\
         # Every *.cedar file in the directory, and beside them schema.cedarschema and tools.lock.\n\
         [policies]\ndirectory = \"policies\"\n\n\
         [upstream]\n# The name policies use: Mcp::Server::{}.\nname = {}\n{upstream}",
        quoted(&arguments.listen.to_string()),
        quoted(&arguments.public_url),
        quoted(&arguments.issuer),
        ca(&arguments.issuer_ca)?,
        quoted(&arguments.name),
        quoted(&arguments.name),
    ))
}

/// A basic string of TOML 1.0.
fn toml_string(text: &str) -> String {
    // JSON's escapes are among TOML's, but for the one of DEL that neither needs.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// One policy for each tool, each a comment of one line.
pub(super) fn tools(offer: &Offer, scope: &str) -> String {
    let mut text = String::from(TOOLS);
    for (number, (name, tool)) in offer.tools().enumerate() {
        let described = tool.get("description").and_then(serde_json::Value::as_str);
        let first = described.and_then(|text| text.trim().lines().next()).unwrap_or_default();
        let shown: String = first.chars().filter(|c| !c.is_control()).take(100).collect();
        let id = super::super::policy::file_name(name);
        // Two tools may have one name in kebab-case.
        let id = format!("tool-{}-{id}", number + 1);
        let action = tool_action(name);
        text.push_str(&format!(
            "\n// {shown}\n// @id({id:?}) permit (principal, action == Mcp::Action::{action:?}, resource) when {{ principal.scopes.contains({scope:?}) }};\n"
        ));
    }
    text
}

/// A test that holds whatever is permitted later, and one to begin with.
pub(super) fn first_test(offer: &Offer, scope: &str) -> String {
    let mut text = String::from(FIRST_TEST);
    if let Some((name, tool)) = offer.tools().next() {
        let arguments = example_of(tool);
        // JSON is YAML, and has no line ends in it.
        let (name, scope) = (json!(name), json!(scope));
        text.push_str(&format!(
            "\n# When {name} is permitted, in tools.cedar:\n\
             # - name: with its scope it can be called\n#   who: {{ scopes: [{scope}] }}\n#   tool: {name}\n\
             #   arguments: {arguments}\n#   expect: permit\n"
        ));
    }
    text
}

pub(super) const PROTOCOL: &str = "\
// Whoever has a token for this server may speak the protocol and ask for lists; a list shows only
// what its reader may use.
@id(\"protocol-for-every-caller\")
permit (
  principal is Mcp::OAuthUser,
  action in [Mcp::Action::\"protocol\", Mcp::Action::\"list\"],
  resource is Mcp::Server
);
";

pub(super) const GUARDRAILS: &str = "\
// A tool whose definition is not the accepted one is out of use until somebody has looked at it:
// `cedargate tools diff NAME`, then `cedargate tools accept NAME`.
@id(\"only-accepted-tools\")
@description(\"a tool that changed since it was accepted is quarantined\")
forbid (
  principal,
  action in [Mcp::Action::\"call_tool\", Mcp::Action::\"use_task\"],
  resource
)
unless { resource.pin == \"match\" };
";

const TOOLS: &str = "\
// Nothing is permitted that no policy permits. Take the comment from a line to permit a tool to
// whoever has the scope; edit the condition as you like. What there is to ask about stands in
// schema.cedarschema. Save the file: a running gate takes it over.
";

const FIRST_TEST: &str = "\
# What the policies are meant to decide; `cedargate test` holds it against what they do decide.
- name: whoever has a token may ask for the list of tools
  method: tools/list
  expect: permit
  by: [protocol-for-every-caller]
";
