//! A fortnight of honest traffic, the attacks after it, and what the detectors make of both.
//!
//! Everything is made up from a seed, so that a run is the same every time: see [`honest`] for how
//! people and agents behave, and [`attack`] for the scripts. The shares of refusals, mistakes and
//! journeys are guesses on the busy side, no measurements: the table says what the rules do with such
//! traffic, not what they will do with yours.

mod attack;
mod honest;

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use super::{
    About, Detector, Finding, SeenIn, Watch, WatchConfig,
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
    /// What stands in its arguments.
    text: Text,
}

/// What looks more or less like a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    /// Names, ids, digests, cursors, images.
    Usual,
    Token,
    Key,
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
    let principal = name(request.principal);
    let record = record(&Step {
        second: request.second,
        principal: &principal,
        from: request.from,
        token: &request.token.to_string(),
        client: request.client,
        zone: "",
        provider: request.provider,
        tool: request.tool,
        arguments: &request.arguments.to_string(),
        reason: request.reason,
        for_risk: false,
    });
    let text = request.text.written(request.arguments);
    let what = (text.as_bytes(), SeenIn::Arguments);
    let about = || About::Principal(principal.clone());
    let seen = watch.look_for_credentials(about, record.request_id, what, record.at);
    seen.into_iter().chain(watch.observe(&record)).collect()
}

impl Text {
    /// As JSON, with so many bits of its own.
    fn written(self, bits: u64) -> String {
        let shown = match (self, bits % 5) {
            (Self::Token, _) => format!("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ{bits:012x}.{bits:024x}"),
            (Self::Key, _) => format!("gh{}_{bits:036x}", "p"),
            (Self::Usual, 0) => format!("{bits:08x}-0000-4000-8000-{bits:012x}"),
            (Self::Usual, 1) => format!("sha256:{bits:064x}"),
            // A cursor: an object in base64url.
            (Self::Usual, 2) => format!("eyJhZnRlciI6{bits:022}fQ"),
            (Self::Usual, 3) => format!("data:image/png;base64,iVBORw0KGgo{bits:040X}"),
            (Self::Usual, _) => format!("sk_test_{bits:024} or AIza, ghp_ and the like"),
        };
        format!(r#"{{"customer_id":"C{}","note":"{shown}"}}"#, bits % 10_000)
    }
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

    /// In Markdown, as `docs/watch.md` has it.
    fn table(&self) -> String {
        let runs = SEEDS.len();
        let mut table = format!(
            "{} honest requests in {runs} runs of a fortnight, of {} principals each:\n\n\
             | detector | attacks | found within ten requests | the last one after | false alarms | in a thousand requests |\n\
             |---|---|---|---|---|---|\n",
            self.honest,
            honest::PRINCIPALS,
        );
        for (detector, found) in &self.found {
            let alarms = self.alarms.get(detector).copied().unwrap_or_default();
            let in_time = found.iter().filter(|after| in_time(after)).count();
            let last = found.iter().flatten().max().unwrap_or(&0);
            let (code, share) = (detector.code(), self.per_thousand(alarms));
            let row = format!(
                "| `{code}` | {} | {in_time} | {last} | {alarms} | {share:.4} |\n",
                found.len(),
            );
            table.push_str(&row);
        }
        let (alarms, share) = (self.all_alarms(), self.per_thousand(self.all_alarms()));
        table + &format!("| all | | | | {alarms} | {share:.4} |\n\n{}\n", self.of_busy_people())
    }

    /// What is not promised.
    fn of_busy_people(&self) -> String {
        let mut busy = self.busy.clone();
        busy.sort();
        let found: Vec<usize> = busy.iter().flatten().copied().collect();
        let (half, last) = (found.get(found.len() / 2).unwrap(), found.last().unwrap());
        format!(
            "Of people who often have twenty calls made at once, ten are no spike: of {} such attacks \
             `rate-spike` finds {}, half of them after {half} requests and the last after {last}.",
            busy.len(),
            found.len(),
        )
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
    assert_eq!(tally.found.len(), 8, "one script for each detector but for changed definitions");
    for (detector, found) in &tally.found {
        assert!(found.len() > 20 && found.iter().all(in_time), "{detector:?}: {found:?}");
    }
    let all = tally.per_thousand(tally.all_alarms());
    assert!(all < 1.0, "{all} false alarms per 1000 honest requests: {:?}", tally.alarms);
    let table = tally.table();
    println!("{table}");
    require_documented(&table);
}

/// Whether the guide says the same; or makes it say so, for `just watch-table`.
fn require_documented(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/watch.md");
    let guide = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = guide.split_once(BEGIN).expect("a mark where the table begins");
    let (documented, after) = rest.split_once(END).expect("a mark where it ends");
    if std::env::var_os("CEDARGATE_WRITE_TABLE").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}\n{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(documented.trim(), table.trim(), "`just watch-table` writes it");
    }
}

const BEGIN: &str = "<!-- written by `just watch-table` -->";
const END: &str = "<!-- end of what is written -->";

const SEEDS: [u64; 3] = [1, 2, 3];
