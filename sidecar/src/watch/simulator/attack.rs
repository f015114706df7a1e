//! Attacks, a script for each detector that reads records, on victims whose habits are known.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    Detector, Dice, Request, Text,
    honest::{AGENTS, PEOPLE, PROVIDERS, TOOLS, hours_east, is_steady},
};

/// How somebody attacks in the name of each victim.
pub(super) struct Script {
    pub(super) detector: Detector,
    pub(super) victims: fn() -> Vec<usize>,
    pub(super) requests: fn(usize, &mut Dice) -> Vec<Request>,
}

pub(super) const SCRIPTS: &[Script] = &[
    Script { detector: Detector::ProviderShopping, victims: || people(0), requests: shop_around },
    Script { detector: Detector::RefusalBurst, victims: || people(1), requests: look_for_a_gap },
    Script { detector: Detector::ToolEnumeration, victims: || people(2), requests: try_names },
    Script { detector: Detector::ArgumentProbing, victims: || people(3), requests: try_arguments },
    Script { detector: Detector::RateSpike, victims: steady_agents, requests: hurry },
    Script { detector: Detector::ManyAddresses, victims: || people(4), requests: share_a_token },
    Script { detector: Detector::UnusualActivity, victims: || people(5), requests: steal_at_night },
    Script { detector: Detector::CredentialSeen, victims: || people(1), requests: carry_keys_out },
];

/// Somebody who often has twenty calls made at once is no easy victim to see.
pub(super) const SPIKE_OF_BUSY_PEOPLE: Script =
    Script { detector: Detector::RateSpike, victims: || people(5), requests: hurry };

/// What is tried by somebody who guesses.
const GUESSES: [&str; 16] = [
    "admin",
    "exec",
    "shell",
    "run_sql",
    "export_all",
    "dump",
    "delete_customer",
    "get_secrets",
    "read_file",
    "write_file",
    "list_users",
    "create_user",
    "impersonate",
    "backup",
    "debug",
    "eval",
];

/// Thirty of those who were there from the beginning, others for each script.
fn people(script: usize) -> Vec<usize> {
    PEOPLE.take(160).filter(|person| person % 6 == script).collect()
}

/// For whom one or two calls in a minute are usual, and who never had a burst of them. Of somebody
/// who often has twenty calls made at once, ten are no spike.
fn steady_agents() -> Vec<usize> {
    AGENTS.filter(|agent| is_steady(*agent)).collect()
}

/// The day after the fortnight, at a time of the script's own.
fn request(victim: usize, second: i64) -> Request {
    Request {
        second: 14 * 86_400 + second,
        principal: victim,
        from: Ipv4Addr::new(192, 0, 2, 66).into(),
        token: i64::try_from(victim).unwrap(),
        client: "desktop",
        provider: PROVIDERS[0],
        tool: TOOLS[victim % TOOLS.len()],
        arguments: 1,
        reason: "permitted",
        text: Text::Usual,
    }
}

/// A hundred requests with pauses.
fn spaced(
    victim: usize,
    dice: &mut Dice,
    (shortest, longest): (i64, i64),
    change: impl Fn(usize, &mut Dice, &mut Request),
) -> Vec<Request> {
    let mut second = dice.between(0, 86_000);
    let many = 0..100;
    let one = |number| {
        second += dice.between(shortest, longest);
        let mut request = request(victim, second);
        change(number, dice, &mut request);
        request
    };
    many.map(one).collect()
}

/// Half of them with the same arguments, until one provider's call passes; half with others.
fn shop_around(victim: usize, dice: &mut Dice) -> Vec<Request> {
    spaced(victim, dice, (5, 120), |number, dice, request| {
        request.provider = PROVIDERS[number % PROVIDERS.len()];
        request.reason = if number < 3 { "denied" } else { "permitted" };
        if victim.is_multiple_of(4) {
            request.arguments = dice.next();
        }
    })
}

fn look_for_a_gap(victim: usize, dice: &mut Dice) -> Vec<Request> {
    spaced(victim, dice, (1, 12), |number, dice, request| {
        request.tool = dice.one_of(&TOOLS[..4]);
        request.arguments = dice.next();
        // One that passes among them does not hide the rest.
        request.reason = if number == 3 { "permitted" } else { "denied" };
    })
}

fn try_names(victim: usize, dice: &mut Dice) -> Vec<Request> {
    let first = victim % GUESSES.len();
    spaced(victim, dice, (1, 200), move |number, dice, request| {
        request.tool = GUESSES[(first + number) % GUESSES.len()];
        request.reason = dice.one_of(&["unknown-tool", "unknown-tool", "hidden", "denied"]);
    })
}

fn try_arguments(victim: usize, dice: &mut Dice) -> Vec<Request> {
    spaced(victim, dice, (1, 60), |number, dice, request| {
        request.arguments = dice.next();
        request.reason = if number % 5 == 4 { "permitted" } else { "invalid-arguments" };
    })
}

fn hurry(victim: usize, dice: &mut Dice) -> Vec<Request> {
    spaced(victim, dice, (0, 1), |_, dice, request| {
        request.provider = dice.one_of(&PROVIDERS);
        request.arguments = dice.next();
    })
}

fn share_a_token(victim: usize, dice: &mut Dice) -> Vec<Request> {
    spaced(victim, dice, (1, 150), |number, dice, request| {
        let network = [number, victim].map(|n| u8::try_from(n).unwrap());
        let last = u8::try_from(dice.between(1, 254)).unwrap();
        let address = Ipv4Addr::new(45, network[1], network[0], last);
        request.from = if victim.is_multiple_of(4) {
            IpAddr::V6(address.to_ipv6_mapped())
        } else {
            IpAddr::V4(address)
        };
    })
}

/// What the victim never did, when it is between two and four where the victim lives.
fn steal_at_night(victim: usize, dice: &mut Dice) -> Vec<Request> {
    let starts = (24 + 2 - hours_east(victim)) * 3_600 + dice.between(0, 7_200);
    let mut requests = spaced(victim, dice, (1, 60), |_, dice, request| {
        request.tool = dice.one_of(&["export_all", "get_secrets", "impersonate"]);
    });
    let first = requests[0].second;
    for request in &mut requests {
        request.second += 14 * 86_400 + starts - first;
    }
    requests
}

/// One after the other, into a note: in each of them a key, after a few without.
fn carry_keys_out(victim: usize, dice: &mut Dice) -> Vec<Request> {
    let first = victim % 8;
    spaced(victim, dice, (1, 60), move |number, dice, request| {
        request.arguments = dice.next();
        request.text = if number < first { Text::Usual } else { Text::Key };
    })
}
