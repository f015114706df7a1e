//! One token or principal acts from many places or through many clients.
//!
//! Rule: within `window`, one token (by its `jti`) comes from `networks_of_a_token` networks, or one
//! principal from `networks` networks or through `clients` OAuth clients. A network is an IPv4 /24
//! or an IPv6 /64, so that the addresses of one place count once. All addresses that are not public
//! count as one network: inside a cluster an address tells a machine, not a place.
//!
//! False alarms: a NAT pool or a hosted model that calls from several /24 (raise the numbers); a
//! token that many instances share behind public addresses of their own. One thief at one address
//! is not found: bind tokens to keys (DPoP, mutual TLS) against that.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU8,
    time::Duration,
};

use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::Act,
    finding::{Detector, Severity, Suspicion},
    recent::Recent,
    times,
};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rule {
    /// How long a place is remembered.
    #[serde(with = "humantime_serde")]
    window: Duration,
    /// From how many networks one token is strange.
    networks_of_a_token: NonZeroU8,
    /// From how many networks one principal is strange, with whatever tokens.
    networks: NonZeroU8,
    /// Through how many OAuth clients one principal is strange.
    clients: NonZeroU8,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30 * 60),
            networks_of_a_token: times(5),
            networks: times(8),
            clients: times(6),
        }
    }
}

/// Where one principal was lately, each place once, by the newest record from there.
pub(super) type Memory = Recent<Place>;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    network: u64,
    token: Option<u64>,
    client: Option<u64>,
}

impl Rule {
    pub(super) fn look(&self, memory: &mut Memory, act: &Act<'_>) -> Option<Suspicion> {
        memory.forget_before(act.at, self.window);
        let here = Place { network: network(act.from), token: act.token, client: act.client };
        memory.drop_like(|place| *place == here);
        memory.note(act, here, MAX_PLACES);
        let of_token = |place: &Place| place.token.is_some() && place.token == act.token;
        let is_enough = |count: usize, rule: NonZeroU8| count >= usize::from(rule.get());
        let networks = distinct(memory, of_token, |place| Some(place.network));
        if is_enough(networks, self.networks_of_a_token) {
            let evidence = memory.like(of_token).map(|seen| seen.record).collect();
            let what = format!("one token was used from {networks} networks");
            return Some(self.suspicion(Severity::High, &what, evidence));
        }
        let networks = distinct(memory, |_| true, |place| Some(place.network));
        if is_enough(networks, self.networks) {
            let what = format!("requests came from {networks} networks");
            return Some(self.suspicion(Severity::Medium, &what, memory.records()));
        }
        let clients = distinct(memory, |_| true, |place| place.client);
        is_enough(clients, self.clients).then(|| {
            let what = format!("requests came through {clients} OAuth clients");
            self.suspicion(Severity::Medium, &what, memory.records())
        })
    }

    fn suspicion(&self, severity: Severity, what: &str, evidence: Vec<Uuid>) -> Suspicion {
        Suspicion {
            detector: Detector::ManyAddresses,
            severity,
            explanation: format!("{what} within {} minutes", self.window.as_secs() / 60),
            evidence,
        }
    }
}

fn distinct(
    memory: &Memory,
    matching: impl Fn(&Place) -> bool,
    of: impl Fn(&Place) -> Option<u64>,
) -> usize {
    memory.like(matching).filter_map(|seen| of(&seen.what)).collect::<BTreeSet<_>>().len()
}

/// The same number for addresses of one network.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) if is_inside(v4) => INSIDE,
        IpAddr::V4(v4) => u64::from(v4.to_bits() >> 8),
        IpAddr::V6(v6) if is_inside_v6(v6) => INSIDE,
        // What is public begins with a bit above all of IPv4's.
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or(INSIDE),
    }
}

fn is_inside(v4: Ipv4Addr) -> bool {
    // RFC 6598: between a provider and its customers.
    let is_shared = v4.to_bits() >> 22 == u32::from_be_bytes([100, 64, 0, 0]) >> 22;
    v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared
}

fn is_inside_v6(v6: Ipv6Addr) -> bool {
    v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()
}

const INSIDE: u64 = 0;
/// Some sixty bytes each; more than any rule can ask for, when tokens change from time to time.
const MAX_PLACES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::sequence::{Step, severities};

    fn from(address: &str) -> Step<'static> {
        Step { from: address.parse().unwrap(), ..Step::default() }
    }

    fn found(steps: &[Step<'_>]) -> Vec<(usize, Severity)> {
        severities(Detector::ManyAddresses, steps)
    }

    #[test]
    fn one_token_from_many_networks_is_found() {
        let v4: Vec<Step<'static>> = (1..9).map(|n| from(&format!("203.0.{n}.7"))).collect();
        assert_eq!(found(&v4), [(5, Severity::High)]);
        let v6: Vec<Step<'static>> = (1..9).map(|n| from(&format!("2001:db8:0:{n}::1"))).collect();
        assert_eq!(found(&v6), [(5, Severity::High)]);
    }

    #[test]
    fn many_tokens_from_many_networks_or_clients_are_found() {
        const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        let token = |(n, token)| Step { token, ..from(&format!("203.0.{n}.7")) };
        let networks: Vec<Step<'static>> = (1..).zip(NAMES).map(token).collect();
        assert_eq!(found(&networks), [(8, Severity::Medium)]);
        let clients: Vec<Step<'static>> =
            NAMES.map(|client| Step { client, ..Step::default() }).to_vec();
        assert_eq!(found(&clients), [(6, Severity::Medium)]);
    }

    #[test]
    fn one_place_a_cluster_or_a_traveller_is_not() {
        let pool: Vec<Step<'static>> = (1..60).map(|n| from(&format!("203.0.113.{n}"))).collect();
        assert_eq!(found(&pool), []);
        let mapped: Vec<Step<'static>> =
            (1..60).map(|n| from(&format!("::ffff:203.0.113.{n}"))).collect();
        assert_eq!(found(&mapped), []);
        let household: Vec<Step<'static>> =
            (1..60).map(|n| from(&format!("2001:db8::{n}"))).collect();
        assert_eq!(found(&household), []);
        let cluster: Vec<Step<'static>> = (1..60).map(|n| from(&format!("10.{n}.{n}.1"))).collect();
        assert_eq!(found(&cluster), []);
        let travels = |n: i64| Step { second: n * 450, ..from(&format!("203.0.{n}.7")) };
        assert_eq!(found(&(1..60).map(travels).collect::<Vec<_>>()), []);
    }
}
