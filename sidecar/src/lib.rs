//! Cedargate: a gate of Cedar policies in front of any MCP server.
//!
//! The path of a request, in the order of the questions:
//!
//! - `edge`: TLS, limits, paths; knows nothing of policy.
//! - `neighbours`: is it for us? Hosts and origins.
//! - `enforce`: the order of the questions and nothing else. Read it first.
//! - `token`: who is asking? A [`BearerToken`] becomes verified [`Claims`].
//! - `message`: what do they ask? One strict parse makes a [`Message`].
//! - `session`: is what it names theirs? Sealed ids open for their owner.
//! - `authz`: may they? Only the authorizer makes an [`Authorized`] message.
//! - `limits`: have they had enough? Calls that policies and the configuration count.
//! - `ledger`: a [`DecisionRecord`] for each request, before anything leaves.
//! - `upstream`: takes an [`Authorized`] message and nothing else.
//! - `answer`: holds what comes back against what was asked, narrows lists, streams the rest.
//! - `watch`: is something odd going on? Detectors read the records and decide nothing.
//! - `admin`: readiness, metrics and revocation, for operators, on a listener of its own.
//! - `telemetry`: what is counted, timed and traced; it decides nothing.
//! - `rejection`: every refusal, its reason, status and challenge.
//!
//! [`Gate::prepare`] reads and checks everything a configuration names; [`run`] serves.

mod admin;
mod answer;
mod authz;
pub mod cli;
mod config;
mod edge;
mod enforce;
mod files;
mod ledger;
mod limits;
mod message;
mod metadata;
mod neighbours;
mod pem;
mod rejection;
mod session;
mod slots;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod token;
mod upstream;
#[cfg(test)]
mod vectors;
mod watch;

use std::{future::Future, io, net::TcpListener, path::PathBuf, sync::Arc};

use tokio::{
    sync::{self, broadcast},
    task::JoinSet,
};

pub use authz::{Authorized, PolicyError};
pub use config::{Config, ConfigError, LogFormat};
pub use ledger::{Decision, DecisionRecord, LedgerError, UnusableLedger, UnusableLedgerKey};
pub use limits::{Ceiling, LimitState};
pub use message::Message;
pub use pem::UnusablePem;
pub use token::{BearerToken, Claims, UnusableIssuer, UnusableJournal};
pub use upstream::{UnusableKey, UnusableUpstream};
pub use watch::UnusableWebhook;

pub use admin::UnusableSecret;
use admin::{Admin, Secret};
use authz::{Histories, Policies, PolicyStatus, PolicyStore};
use config::{AdminConfig, ListenerConfig};
use edge::ServerIdentity;
use enforce::Enforcer;
use ledger::Ledger;
use limits::CallLimits;
use metadata::ResourceMetadata;
use neighbours::Neighbours;
use rejection::Manner;
pub use session::UnusableSealingKey;
use session::{Remembered, Seals};
use slots::Slots;
use telemetry::{Exporter, Telemetry};
pub use telemetry::{StepTimes, UnusableTelemetry};
use token::{Revocations, TokenVerifier};
use upstream::Upstream;
use watch::Webhook;

/// A gate ready to serve: its configuration is whole, its policies are loaded and validated.
#[derive(Debug)]
pub struct Gate {
    enforcer: Arc<Enforcer>,
    endpoint: String,
    identity: ServerIdentity,
    admin: Option<(AdminConfig, Admin)>,
    exporter: Option<Exporter>,
}

/// Why a gate cannot start. Nothing has been changed or opened then, unless it is the ledger.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificate or its key cannot be used.
    #[error("cannot use the TLS identity `{certificate}` and `{key}`: {cause}")]
    Tls {
        /// `listener.certificate`.
        certificate: PathBuf,
        /// `listener.key`.
        key: PathBuf,
        /// What was wrong.
        cause: io::Error,
    },
    /// The policies or their schema cannot be used.
    #[error("policies cannot be used: {0}")]
    Policies(#[from] PolicyError),
    /// An issuer cannot be used as configured.
    #[error(transparent)]
    Issuer(#[from] UnusableIssuer),
    /// The journal of revocations cannot be used.
    #[error(transparent)]
    Revocations(#[from] UnusableJournal),
    /// The operator's token cannot be used.
    #[error(transparent)]
    Operator(#[from] UnusableSecret),
    /// The key that seals ids cannot be used.
    #[error(transparent)]
    SealingKey(#[from] UnusableSealingKey),
    /// The upstream cannot be used as configured.
    #[error(transparent)]
    Upstream(#[from] UnusableUpstream),
    /// The webhook for findings cannot be used as configured.
    #[error(transparent)]
    Webhook(#[from] UnusableWebhook),
    /// Telemetry cannot be exported as configured.
    #[error(transparent)]
    Telemetry(#[from] UnusableTelemetry),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Gate {
    /// Reads and checks everything that `config` names, and fetches the issuers' keys.
    ///
    /// An issuer that does not answer is no reason not to start: its tokens are refused with 503
    /// until it does.
    pub async fn prepare(config: &Config) -> Result<Self, StartError> {
        let gate = Self::assemble(config)?;
        gate.fetch_keys().await?;
        gate.enforcer.ledger.open(&config.ledger, &config.resource.origin()).await?;
        gate.enforcer.ledger.announce(gate.enforcer.policies.current().summary());
        Ok(gate)
    }

    /// Everything that is wrong with what `config` names, without asking anybody over the network.
    pub(crate) fn complaints(config: &Config) -> Vec<StartError> {
        let listener = &config.listener;
        let identity = ServerIdentity::read(listener).map(drop);
        let journal = config.admin.as_ref().and_then(|admin| admin.revocations.as_deref());
        let secret = config.admin.as_ref().and_then(|admin| admin.token_file.as_ref());
        let verifier = || {
            let revocations = Revocations::load(None)?;
            TokenVerifier::new(&config.issuers, &config.resource, revocations)?;
            Ok(())
        };
        let seals = Seals::new(config.sealing_key.as_deref(), config.resource.identifier());
        let webhook = config.watch.webhook.as_ref().map(Webhook::new).transpose();
        [
            identity.map_err(|cause| StartError::tls(listener, cause)),
            Revocations::load(journal).map(drop).map_err(StartError::from),
            secret.map(Secret::read).transpose().map(drop).map_err(StartError::from),
            verifier(),
            Policies::load(config).map(drop).map_err(StartError::from),
            Upstream::new(config).map(drop).map_err(StartError::from),
            seals.map(drop).map_err(StartError::from),
            webhook.map(drop).map_err(StartError::from),
            Telemetry::new(config.telemetry.as_ref()).map(drop).map_err(StartError::from),
        ]
        .into_iter()
        .filter_map(Result::err)
        .collect()
    }

    /// Fetches the keys of all issuers once.
    pub(crate) async fn fetch_keys(&self) -> Result<(), StartError> {
        for key_set in self.enforcer.verifier.key_sets() {
            if let Err(cause) = key_set.fetch_first().await? {
                tracing::warn!(?key_set, %cause, "no keys yet; tokens of this issuer are refused");
            }
        }
        Ok(())
    }

    /// The same, without the issuers' keys.
    pub(crate) fn assemble(config: &Config) -> Result<Self, StartError> {
        let listener = &config.listener;
        let identity =
            ServerIdentity::read(listener).map_err(|cause| StartError::tls(listener, cause))?;
        let journal = config.admin.as_ref().and_then(|admin| admin.revocations.as_deref());
        let revocations = Revocations::load(journal)?;
        let secret = config.admin.as_ref().and_then(|admin| admin.token_file.as_ref());
        let secret = secret.map(Secret::read).transpose()?;
        let webhook = config.watch.webhook.as_ref().map(Webhook::new).transpose()?;
        let (telemetry, exporter) = Telemetry::new(config.telemetry.as_ref())?;
        let telemetry = Arc::new(telemetry);
        let enforcer = Enforcer {
            neighbours: Neighbours::new(&config.resource),
            verifier: TokenVerifier::new(&config.issuers, &config.resource, revocations)?,
            policies: PolicyStore::load(config)?,
            histories: Arc::new(Histories::new(config.policies.history_window)),
            call_limits: CallLimits::new(config),
            ledger: Ledger::new(config.watch.clone())
                .posting(webhook)
                .counted_by(Arc::clone(&telemetry)),
            telemetry,
            upstream: Arc::new(Upstream::new(config)?),
            seals: Arc::new(Seals::new(
                config.sealing_key.as_deref(),
                config.resource.identifier(),
            )?),
            remembered: Remembered::new(),
            elicitation_origins: config.answers.elicitation_origins.clone().into(),
            metadata: ResourceMetadata::new(config),
            manner: Manner { style: config.answers.refusals, policies: config.answers.policies },
            limits: Arc::new(config.limits.clone()),
            closing: sync::watch::Sender::new(false),
            slots: Slots::new(
                config.limits.max_concurrent_requests,
                config.limits.max_concurrent_requests_per_principal,
            ),
        };
        let enforcer = Arc::new(enforcer);
        let admin = config.admin.clone().map(|admin| (admin, Admin::new(&enforcer, secret)));
        Ok(Self {
            enforcer,
            admin,
            exporter,
            endpoint: config.resource.public_url.path().to_owned(),
            identity,
        })
    }

    /// Decisions as they are made, for a subscriber in this process. One that lags loses the
    /// oldest.
    pub fn decisions(&self) -> broadcast::Receiver<Arc<DecisionRecord>> {
        self.enforcer.ledger.subscribe()
    }

    /// What is known of each issuer's keys, for people.
    pub fn issuers(&self) -> Vec<String> {
        self.enforcer.verifier.key_states().map(|state| state.to_string()).collect()
    }

    /// Whether each issuer's keys are there, and what is known of them.
    pub(crate) fn issuer_findings(&self) -> impl Iterator<Item = (bool, String)> {
        self.enforcer.verifier.key_states().map(|state| (state.is_usable(), state.to_string()))
    }

    /// What is in force, and what does not work as well as it might.
    pub(crate) fn policy_status(&self) -> PolicyStatus {
        self.enforcer.policies.current().status()
    }

    /// How many policies and tools are in force, for people.
    pub fn summary(&self) -> String {
        let policies = self.enforcer.policies.current();
        policies.summary().to_string()
    }
}

impl StartError {
    fn tls(listener: &ListenerConfig, cause: io::Error) -> Self {
        let (certificate, key) = (listener.certificate.clone(), listener.key.clone());
        Self::Tls { certificate, key, cause }
    }
}

/// Serves `gate` on `listener` until `shutdown` resolves, then drains.
pub async fn run(
    gate: Gate,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let Gate { enforcer, endpoint, identity, admin, exporter } = gate;
    let exporting = exporter.map(|exporter| exporter.start(&enforcer));
    let tls = identity.tls();
    let admin = match admin {
        Some((config, admin)) => {
            let address = config.address;
            let listener = config.bind().map_err(|cause| {
                io::Error::other(format!("cannot listen on `{address}` (`admin.address`): {cause}"))
            })?;
            Some((admin, listener))
        }
        None => None,
    };
    // Dropped at the end, which stops them.
    let mut background = JoinSet::new();
    let following = Arc::clone(&enforcer);
    background.spawn(async move { following.policies.follow_files().await });
    background.spawn(async move { identity.follow_files().await });
    let refreshing = Arc::clone(&enforcer);
    background.spawn(async move {
        futures::future::join_all(refreshing.verifier.key_sets().map(token::Jwks::keep_fresh))
            .await;
    });
    let posting = enforcer.ledger.clone();
    background.spawn(async move {
        match posting.webhook() {
            Some(webhook) => webhook.deliver().await,
            None => std::future::pending().await,
        }
    });
    enforcer.verifier.revocations().take_up().await.map_err(io::Error::other)?;
    if let Some((admin, listener)) = admin {
        background.spawn(async move {
            if let Err(error) = admin.serve(listener).await {
                tracing::error!(%error, "the operators' listener failed");
            }
        });
    }
    enforcer.upstream.start();
    let upstream = Arc::clone(&enforcer.upstream);
    let outcome = tokio::select! {
        outcome = edge::serve(enforcer, &endpoint, listener, tls, shutdown) => outcome,
        // Keys and policies that nobody follows any more grow stale without a word.
        Some(ended) = background.join_next() => {
            Err(io::Error::other(format!("a background task ended: {ended:?}")))
        }
    };
    upstream.stop().await;
    if let Some(exporting) = exporting {
        exporting.stop().await;
    }
    outcome
}
