//! What is different from the usual stack.

use axum::Router;

use super::Stack;
use crate::{place::GateSettings, schema::Offered};

/// What is different from the usual stack.
#[derive(Debug, Default)]
pub struct StackBuilder {
    pub(crate) upstream: Option<Router>,
    pub(crate) policies: Option<String>,
    pub(crate) schema: Option<String>,
    pub(crate) lock: Option<String>,
    pub(crate) unguarded: bool,
    pub(crate) policy_files: Vec<(String, String)>,
    pub(crate) settings: GateSettings,
}

impl StackBuilder {
    /// Another upstream than the customer server.
    pub fn upstream(mut self, upstream: Router) -> Self {
        self.upstream = Some(upstream);
        self
    }

    /// These policies instead of the repository's; the schema stays.
    pub fn policies(mut self, text: &str) -> Self {
        self.policies = Some(text.to_owned());
        self
    }

    /// This schema instead of the repository's, whose policies do not fit it.
    pub fn schema(mut self, text: &str) -> Self {
        self.schema = Some(text.to_owned());
        self
    }

    /// The schema and the lock of another server than the customer server.
    pub fn offered(mut self, offered: &Offered) -> Self {
        self.schema = Some(offered.schema.clone());
        self.lock = Some(offered.lock.clone());
        self
    }

    /// Without the guardrail that puts tools out of use whose definitions are not the accepted ones:
    /// for upstreams whose lists are made up.
    pub fn unguarded(mut self) -> Self {
        self.unguarded = true;
        self
    }

    /// More sections for the gate's configuration, TOML.
    pub fn settings(mut self, toml: &str) -> Self {
        self.settings.sections.push_str(toml);
        self
    }

    /// An upstream at a URL of its own, past the spy.
    pub fn upstream_url(mut self, url: &str) -> Self {
        self.settings.upstream_url = Some(url.to_owned());
        self
    }

    /// An upstream over stdio: the gate starts this program.
    pub fn upstream_command(mut self, command: &[String]) -> Self {
        self.settings.upstream_command = Some(command.to_vec());
        self
    }

    /// Who vouches for the upstream.
    pub fn upstream_ca(mut self, ca: &std::path::Path) -> Self {
        self.settings.upstream_ca = Some(ca.to_owned());
        self
    }

    /// More settings of the upstream, TOML.
    pub fn upstream_settings(mut self, toml: &str) -> Self {
        self.settings.in_upstream.push_str(toml);
        self
    }

    /// Another issuer than the one that is started.
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.settings.issuer = Some(issuer.to_owned());
        self
    }

    /// The issuer's keys at a URL of their own.
    pub fn jwks_url(self, url: &str) -> Self {
        self.issuer_settings(&format!("jwks_url = {url:?}\n"))
    }

    /// More settings of the issuer, TOML.
    pub fn issuer_settings(mut self, toml: &str) -> Self {
        self.settings.in_issuer.push_str(toml);
        self
    }

    /// More settings of the listener, TOML.
    pub fn listener_settings(mut self, toml: &str) -> Self {
        self.settings.in_listener.push_str(toml);
        self
    }

    /// More settings of the policies, TOML.
    pub fn policy_settings(mut self, toml: &str) -> Self {
        self.settings.in_policies.push_str(toml);
        self
    }

    /// A file beside the policies.
    pub fn policy_file(mut self, name: &str, text: &str) -> Self {
        self.policy_files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// More settings of the resource, TOML.
    pub fn resource_settings(mut self, toml: &str) -> Self {
        self.settings.in_resource.push_str(toml);
        self
    }

    /// Brings everything up.
    pub async fn start(self) -> Stack {
        Stack::bring_up(self).await
    }
}
