//! A fortnight of honest traffic, the attacks after it, and what the detectors make of both.
//!
//! Everything is made up from a seed, so that a run is the same every time: see [`honest`] for how
//! people and agents behave, and [`attack`] for the scripts. The shares of refusals, mistakes and
//! journeys are guesses on the busy side, no measurements: the table says what the rules do with such
//! traffic, not what they will do with yours.

mod attack;
mod honest;

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    About, Detector, Finding, Watch, WatchConfig,
    sequence::{Step, record},
};
use attack::Script;

/// One request, in numbers.
#[derive(Debug, Clone, Copy)]
struct Request {
    /// After the first midnight, of a Thursday.
    second: i64,
    principal: usize,
    from: IpAddr,
    token: i64,
    client: &'static str,
    provider: &'static str,
    tool: &'static str,
    arguments: u64,
    reason: &'static str,
}

/// Splitmix64: small, and the same on every machine.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From the first to the last, both among them.
    fn between(&mut self, first: i64, last: i64) -> i64 {
        let many = u64::try_from(last - first + 1).unwrap();
        first + i64::try_from(self.next() % many).unwrap()
    }

    /// Of so many in a thousand, whether this is one.
    fn permille(&mut self, chance: i64) -> bool {
        self.between(1, 1_000) <= chance
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.next() % all.len() as u64).unwrap()]
    }
}

fn name(principal: usize) -> String {
    format!("principal-{principal}")
}

fn observe(watch: &Watch, request: &Request) -> Vec<Finding> {
    watch.observe(&record(&Step {
        second: request.second,
        principal: &name(request.principal),
        from: request.from,
        token: &request.token.to_string(),
        client: request.client,
        zone: "",
        provider: request.provider,
        tool: request.tool,
        arguments: &request.arguments.to_string(),
        reason: request.reason,
    }))
}

/// What came of everything.
#[derive(Default)]
struct Tally {
    honest: usize,
    alarms: BTreeMap<Detector, usize>,
    /// After how many requests each attack was found by the detector it is for.
    found: BTreeMap<Detector, Vec<Option<usize>>>,
    busy: Vec<Option<usize>>,
}

impl Tally {
    fn play(&mut self, seed: u64) {
        let watch = Watch::new(WatchConfig::default());
        let mut dice = Dice(seed);
        let honest = honest::fortnight(&mut dice);
        self.honest += honest.len();
        for finding in honest.iter().flat_map(|request| observe(&watch, request)) {
            *self.alarms.entry(finding.detector).or_default() += 1;
        }
        for script in attack::SCRIPTS {
            let found = found_after(&watch, script, &mut dice);
            self.found.entry(script.detector).or_default().extend(found);
        }
        self.busy.extend(found_after(&watch, &attack::SPIKE_OF_BUSY_PEOPLE, &mut dice));
    }

    fn per_thousand(&self, alarms: usize) -> f64 {
        alarms as f64 * 1_000.0 / self.honest as f64
    }

    fn print(&self) {
        println!("{} honest requests of {} principals", self.honest, honest::PRINCIPALS);
        println!("detector          | attacks found within ten requests | false alarms per 1000");
        for (detector, found) in &self.found {
            let alarms = self.alarms.get(detector).copied().unwrap_or_default();
            println!(
                "{:<17} | {:>3} of {:<3} the last after {:<9} | {:.4} ({alarms})",
                detector.code(),
                found.iter().filter(|after| in_time(after)).count(),
                found.len(),
                found.iter().flatten().max().unwrap_or(&0),
                self.per_thousand(alarms),
            );
        }
        println!("all               | {:<33} | {:.4}", "", self.per_thousand(self.all_alarms()));
        let mut busy = self.busy.clone();
        busy.sort();
        let [some, most] = [2, 1].map(|part| busy.get((busy.len() - 1) / part).unwrap());
        println!(
            "rate-spike of busy people, not asserted: half after {some:?}, all after {most:?}"
        );
    }

    fn all_alarms(&self) -> usize {
        self.alarms.values().sum()
    }
}

/// How soon a script's detector finds it, by the requests of each attack; `None` of one not found.
fn found_after(watch: &Watch, script: &Script, dice: &mut Dice) -> Vec<Option<usize>> {
    let attack = |victim: usize| {
        let requests = (script.requests)(victim, dice);
        let about = About::Principal(name(victim));
        (1..).zip(&requests).find_map(|(number, request)| {
            let found = observe(watch, request);
            let is_it = |f: &Finding| f.detector == script.detector && f.about == about;
            found.iter().any(is_it).then_some(number)
        })
    };
    (script.victims)().into_iter().map(attack).collect()
}

fn in_time(after: &Option<usize>) -> bool {
    after.is_some_and(|after| after <= 10)
}

#[test]
fn attacks_are_found_within_ten_requests_and_honest_work_is_hardly_ever() {
    let mut tally = Tally::default();
    for seed in SEEDS {
        tally.play(seed);
    }
    tally.print();
    assert_eq!(tally.found.len(), 7, "one script for each detector that reads records");
    for (detector, found) in &tally.found {
        assert!(found.len() > 20 && found.iter().all(in_time), "{detector:?}: {found:?}");
    }
    let all = tally.per_thousand(tally.all_alarms());
    assert!(all < 1.0, "{all} false alarms per 1000 honest requests: {:?}", tally.alarms);
}

const SEEDS: [u64; 3] = [1, 2, 3];
