//! Is something odd going on? Detectors read decision records and raise findings, for operators and
//! for policies that ask; they decide nothing.
//!
//! | detector | raised when |
//! |---|---|
//! | `provider-shopping` | what was refused is tried through another provider |
//! | `refusal-burst` | policy refuses one principal many times in a short time |
//! | `tool-enumeration` | a principal tries the names of tools |
//! | `argument-probing` | a principal tries what arguments a tool takes |
//! | `rate-spike` | calls come far faster than this principal's usually do |
//! | `many-addresses` | a token or principal acts from many networks or clients |
//! | `unusual-activity` | a principal calls a new tool at a new time of the week |
//! | `definition-changed` | a tool is no longer what was approved |
//! | `credential-seen` | arguments or results hold what looks like a credential |
//!
//! Of this process only, and forgotten with it. Each detector's file says its rule and what else
//! looks like what it looks for.

mod act;
mod argument_probing;
mod credential;
mod definition_change;
mod finding;
mod many_addresses;
mod open;
mod provider_shopping;
mod rate_spike;
mod recent;
mod refusal_burst;
#[cfg(test)]
mod sequence;
#[cfg(test)]
mod simulator;
mod tool_enumeration;
mod unusual_activity;
mod webhook;

use std::{
    collections::BTreeSet,
    hash::RandomState,
    num::NonZeroU8,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use moka::{policy::EvictionPolicy, sync::Cache};
use serde::Deserialize;
use uuid::Uuid;

use crate::ledger::DecisionRecord;
use act::Act;
use finding::Suspicion;
use open::Board;

use credential::credentials_in;
pub(crate) use credential::{CredentialKind, SeenIn};
pub(crate) use finding::{About, Detector, Finding, Severity};
pub(crate) use open::OpenFindings;
pub use webhook::UnusableWebhook;
pub(crate) use webhook::{Undelivered, Webhook, WebhookConfig};

/// What detectors look for, and how much is remembered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WatchConfig {
    /// Detectors that are not asked.
    off: BTreeSet<Detector>,
    /// How long a finding about a principal is open after it was noticed last.
    #[serde(with = "humantime_serde")]
    open_for: Duration,
    /// How long a finding about a tool is.
    #[serde(with = "humantime_serde")]
    tool_open_for: Duration,
    /// About how many principals something is remembered; whoever was quiet for longest is forgotten
    /// first. One takes about 1 KiB, and 16 at most.
    principals: u64,
    provider_shopping: provider_shopping::Rule,
    refusal_burst: refusal_burst::Rule,
    tool_enumeration: tool_enumeration::Rule,
    argument_probing: argument_probing::Rule,
    rate_spike: rate_spike::Rule,
    many_addresses: many_addresses::Rule,
    unusual_activity: unusual_activity::Rule,
    /// Where findings are posted, too.
    pub(crate) webhook: Option<WebhookConfig>,
}

/// All detectors and what they remember.
#[derive(Debug)]
pub(crate) struct Watch {
    config: WatchConfig,
    digests: RandomState,
    /// Least recently used first out: with an admission by frequency, whoever comes into a full
    /// memory would not be watched. A lock is held while detectors look at one record, and never
    /// across an await.
    known: Cache<String, Arc<Mutex<Conduct>>>,
    board: Board,
}

/// A number of times, at least once.
const fn times(number: u8) -> NonZeroU8 {
    NonZeroU8::MIN.saturating_add(number.saturating_sub(1))
}

/// What each detector remembers of one principal.
#[derive(Debug, Default)]
struct Conduct {
    provider_shopping: provider_shopping::Memory,
    refusal_burst: refusal_burst::Memory,
    tool_enumeration: tool_enumeration::Memory,
    argument_probing: argument_probing::Memory,
    rate_spike: rate_spike::Memory,
    many_addresses: many_addresses::Memory,
    unusual_activity: unusual_activity::Memory,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            off: BTreeSet::new(),
            open_for: Duration::from_secs(3_600),
            tool_open_for: Duration::from_secs(24 * 3_600),
            principals: 20_000,
            provider_shopping: provider_shopping::Rule::default(),
            refusal_burst: refusal_burst::Rule::default(),
            tool_enumeration: tool_enumeration::Rule::default(),
            argument_probing: argument_probing::Rule::default(),
            rate_spike: rate_spike::Rule::default(),
            many_addresses: many_addresses::Rule::default(),
            unusual_activity: unusual_activity::Rule::default(),
            webhook: None,
        }
    }
}

impl Watch {
    pub(crate) fn new(config: WatchConfig) -> Self {
        let eviction = EvictionPolicy::lru();
        let known = Cache::builder().max_capacity(config.principals).eviction_policy(eviction);
        Self {
            digests: RandomState::new(),
            known: known.build(),
            board: Board::new(config.principals),
            config,
        }
    }

    /// What is new with this record: findings that were not open, or have become worse. Those that
    /// were noticed again are only kept open. Time is the records' own.
    pub(crate) fn observe(&self, record: &DecisionRecord) -> Vec<Finding> {
        let Some((principal, act)) = Act::of(record, &self.digests) else { return Vec::new() };
        let conduct = self.known.get_with_by_ref(principal, Arc::default);
        let mut conduct = conduct.lock().unwrap_or_else(PoisonError::into_inner);
        let suspicions = conduct.look(&self.config, &act);
        drop(conduct);
        let raised = suspicions.into_iter().flatten();
        raised.filter_map(|suspicion| self.raise_about(principal, suspicion, record.at)).collect()
    }

    /// A tool is no longer what its pin says, as the list shows that this request asked for. `Some`
    /// when that is new.
    pub(crate) fn definition_changed(
        &self,
        tool: &str,
        request_id: Uuid,
        at: Timestamp,
    ) -> Option<Finding> {
        let about = About::Tool(tool.to_owned());
        let suspicion = definition_change::suspicion(tool, request_id);
        self.raise(about, suspicion, at, self.config.tool_open_for)
    }

    /// Looks for credentials in what passes. `Some` when there is one and that is new.
    pub(crate) fn look_for_credentials(
        &self,
        about: impl FnOnce() -> About,
        request_id: Uuid,
        (text, seen_in): (&[u8], SeenIn),
        at: Timestamp,
    ) -> Option<Finding> {
        if self.config.off.contains(&Detector::CredentialSeen) {
            return None;
        }
        let kind = credentials_in(text)?;
        self.credential_seen(about(), request_id, (kind, seen_in), at)
    }

    /// Something that [`credentials_in`] knows was in a call or an answer. `Some` when that is new.
    pub(crate) fn credential_seen(
        &self,
        about: About,
        request_id: Uuid,
        (kind, seen_in): (CredentialKind, SeenIn),
        at: Timestamp,
    ) -> Option<Finding> {
        let suspicion = credential::suspicion(kind, seen_in, request_id);
        self.raise(about, suspicion, at, self.config.open_for)
    }

    /// What policies may know about a principal.
    pub(crate) fn open_findings(&self, principal: &str, now: Timestamp) -> OpenFindings {
        self.board.about(&About::Principal(principal.to_owned()), now)
    }

    /// What operators may see: everything that is open, worst first. Looks at all of it.
    pub(crate) fn all_open_findings(&self, now: Timestamp) -> Vec<Finding> {
        self.board.all(now)
    }

    fn raise_about(&self, principal: &str, what: Suspicion, at: Timestamp) -> Option<Finding> {
        self.raise(About::Principal(principal.to_owned()), what, at, self.config.open_for)
    }

    fn raise(
        &self,
        about: About,
        what: Suspicion,
        at: Timestamp,
        open_for: Duration,
    ) -> Option<Finding> {
        let is_off = self.config.off.contains(&what.detector);
        if is_off { None } else { self.board.raise(about, what, at, open_for) }
    }
}

impl Conduct {
    fn look(&mut self, rules: &WatchConfig, act: &Act<'_>) -> [Option<Suspicion>; 7] {
        [
            rules.provider_shopping.look(&mut self.provider_shopping, act),
            rules.refusal_burst.look(&mut self.refusal_burst, act),
            rules.tool_enumeration.look(&mut self.tool_enumeration, act),
            rules.argument_probing.look(&mut self.argument_probing, act),
            rules.rate_spike.look(&mut self.rate_spike, act),
            rules.many_addresses.look(&mut self.many_addresses, act),
            rules.unusual_activity.look(&mut self.unusual_activity, act),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;
    use sequence::{Step, record};

    fn now() -> Timestamp {
        Timestamp::from_str("2026-11-23T12:00:00Z").unwrap()
    }

    #[test]
    fn a_changed_tool_is_told_once_and_is_about_nobody() {
        let watch = Watch::new(WatchConfig::default());
        let found = watch.definition_changed("export", Uuid::nil(), now()).unwrap();
        assert_eq!(found.about, About::Tool("export".to_owned()));
        assert_eq!((found.detector, found.severity), (Detector::DefinitionChanged, Severity::High));
        assert_eq!(watch.definition_changed("export", Uuid::nil(), now()), None);
        assert!(watch.definition_changed("import", Uuid::nil(), now()).is_some());
        assert_eq!(watch.open_findings("export", now()), OpenFindings::default());
        assert_eq!(watch.all_open_findings(now()).len(), 2);
    }

    #[test]
    fn a_credential_is_told_with_its_record_and_again_when_it_is_worse() {
        let watch = Watch::new(WatchConfig::default());
        let ids = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
        assert_eq!(
            credentials_in(["-----BEGIN EC", "PRIVATE KEY-----"].join(" ").as_bytes()),
            Some(CredentialKind::PrivateKey)
        );
        let alice = || About::Principal("alice".to_owned());
        let seen = |id, kind| watch.credential_seen(alice(), id, (kind, SeenIn::Arguments), now());
        let found = seen(ids[0], CredentialKind::JsonWebToken).unwrap();
        assert_eq!((found.severity, &found.evidence[..]), (Severity::Medium, &ids[..1]));
        assert_eq!(seen(ids[1], CredentialKind::JsonWebToken), None);
        let worse = seen(ids[2], CredentialKind::PrivateKey).unwrap();
        assert_eq!((worse.id, worse.severity), (found.id, Severity::Critical));
        assert_eq!(worse.evidence, ids);
        let open = watch.open_findings("alice", now());
        assert_eq!((open.medium, open.critical), (0, 1));
        assert_eq!(open.detectors, BTreeSet::from(["credential-seen"]));
        assert_eq!(watch.open_findings("bob", now()), OpenFindings::default());
    }

    #[test]
    fn what_is_off_is_not_raised() {
        let config = r#"{ "off": ["definition-changed"], "rate_spike": { "calls": 50 },
                          "refusal_burst": { "window": "5m", "refusals": 20 } }"#;
        let watch = Watch::new(serde_json::from_str(config).unwrap());
        assert_eq!(watch.definition_changed("export", Uuid::nil(), now()), None);
        for wrong in [
            r#"{ "off": ["rate-spikes"] }"#,
            r#"{ "rate_spike": { "call": 50 } }"#,
            r#"{ "refusal_burst": { "refusals": 0 } }"#,
        ] {
            assert!(serde_json::from_str::<WatchConfig>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_guides_settings_are_the_defaults() {
        use figment::{
            Figment,
            providers::{Format as _, Toml},
        };
        let guide = include_str!("../../docs/watch.md");
        let written = guide.split("```toml").nth(1).unwrap().split("```").next().unwrap();
        let written = Figment::from(Toml::string(written));
        let read: WatchConfig = written.focus("watch").extract().unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", WatchConfig::default()));
        let told = format!("{:?}", written.find_value("watch").unwrap());
        for key in ["open_for", "ways", "names", "attempts", "warm_up", "networks", "days"] {
            assert!(told.contains(key), "{key}");
        }
        for detector in Detector::ALL {
            assert!(guide.contains(&format!("| `{}` |", detector.code())), "{detector:?}");
        }
    }

    #[test]
    fn of_whom_nothing_is_known_nothing_is_remembered() {
        let watch = Watch::new(WatchConfig::default());
        for _ in 0..50 {
            let mut refused = record(&Step { reason: "denied", ..Step::default() });
            refused.principal = None;
            assert_eq!(watch.observe(&refused), []);
        }
        watch.known.run_pending_tasks();
        assert_eq!(watch.known.entry_count(), 0);
    }

    #[test]
    fn there_is_an_end_to_those_who_are_remembered_and_newcomers_are_among_them() {
        let watch = Watch::new(WatchConfig { principals: 10, ..WatchConfig::default() });
        let refusal = |principal: &str| {
            let mut record = record(&Step { reason: "denied", ..Step::default() });
            record.principal = Some(principal.to_owned());
            watch.observe(&record)
        };
        for name in 0..500 {
            refusal(&name.to_string());
        }
        let found: Vec<Finding> = (0..12).flat_map(|_| refusal("newcomer")).collect();
        watch.known.run_pending_tasks();
        assert_eq!(watch.known.entry_count(), 10);
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
