//! Budgets by a clock that stands still until it is told.

use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

use super::*;
use crate::{authz::RateLimit, config::DAY};

const SECOND: Duration = Duration::from_secs(1);

fn store(most: usize) -> (FakeRelativeClock, Store) {
    let clock = FakeRelativeClock::default();
    // A day is past, so that there is one before today.
    clock.advance(DAY);
    (clock.clone(), Store::new(Timepiece::Set(clock), most))
}

fn rate(text: &str) -> Ceilings {
    Ceilings { rate: RateLimit::read(text).map(Rate::of), ..Ceilings::default() }
}

fn concurrent(most: u32) -> Ceilings {
    Ceilings { concurrent: Some(most), ..Ceilings::default() }
}

fn per_day(most: u32) -> Ceilings {
    Ceilings { calls_per_day: Some(most), ..Ceilings::default() }
}

fn bytes_per_day(most: u64) -> Ceilings {
    Ceilings { result_bytes_per_day: Some(most), ..Ceilings::default() }
}

fn demand(key: &str, ceilings: Ceilings) -> Demand {
    Demand { key: key.into(), ceilings }
}

/// Of so many tries as many as passed.
fn passed(store: &Store, tries: usize, demands: &[Demand]) -> usize {
    (0..tries).filter(|_| store.take(demands, Purpose::Call).is_ok()).count()
}

fn wait(store: &Store, demands: &[Demand]) -> Duration {
    store.take(demands, Purpose::Call).unwrap_err().wait
}

#[test]
fn a_rate_is_spent_and_comes_back_evenly() {
    let (clock, store) = store(9);
    let alice = [demand("alice", rate("30/minute"))];
    assert_eq!(passed(&store, 100, &alice), 30);
    assert_eq!(wait(&store, &alice), 2 * SECOND);
    clock.advance(Duration::from_millis(1_500));
    assert_eq!(wait(&store, &alice), Duration::from_millis(500), "it took nothing");
    clock.advance(Duration::from_millis(500));
    assert_eq!(passed(&store, 100, &alice), 1);
    clock.advance(3_600 * SECOND);
    assert_eq!(passed(&store, 100, &alice), 30, "it is never more than full");
}

#[test]
fn a_day_ends_at_midnight() {
    let (clock, store) = store(9);
    clock.advance(DAY / 2);
    let alice = [demand("alice", per_day(3))];
    assert_eq!(passed(&store, 9, &alice), 3);
    assert_eq!(wait(&store, &alice), DAY / 2);
    clock.advance(DAY / 2 - SECOND);
    assert_eq!(wait(&store, &alice), SECOND);
    clock.advance(SECOND);
    assert_eq!(passed(&store, 9, &alice), 3);
}

#[test]
fn a_clock_that_is_set_back_begins_no_day_anew() {
    let mut budget = Budget { day: 7, calls: 3, bytes: 5, ..Budget::default() };
    budget.begin_day(6);
    budget.begin_day(7);
    assert_eq!((budget.calls, budget.bytes), (3, 5));
    let yesterday = Moment { at: Nanos::default(), day: 6, left_of_day: SECOND };
    assert!(!budget.is_untouched(&yesterday));
    budget.begin_day(8);
    assert_eq!((budget.day, budget.calls, budget.bytes), (8, 0, 0));
}

#[test]
fn there_is_room_again_when_a_call_ends() {
    let (clock, store) = store(9);
    let alice = [demand("alice", concurrent(2))];
    assert_eq!(passed(&store, 9, &alice), 2);
    assert_eq!(wait(&store, &alice), SOON);
    clock.advance(DAY);
    assert_eq!(passed(&store, 9, &alice), 0, "time alone ends none");
    store.leave(&["alice".into()]);
    assert_eq!(passed(&store, 9, &alice), 1);
}

#[test]
fn the_result_that_crosses_the_line_is_the_last_of_its_day() {
    let (clock, store) = store(9);
    let alice = [demand("alice", bytes_per_day(100))];
    let both = [demand("alice", bytes_per_day(100)), demand("calls", per_day(5))];
    let keys = ["alice".into()];
    assert_eq!(passed(&store, 1, &both), 1);
    store.count(&keys, 99);
    assert_eq!(store.take(&both, Purpose::Call).unwrap().0[0].1.remaining, 1);
    store.count(&keys, 1_000);
    for purpose in [Purpose::Call, Purpose::Yield] {
        let refused = store.take(&both, purpose).unwrap_err();
        assert_eq!((refused.wait, refused.left[0].1.remaining), (DAY, 0));
    }
    assert_eq!(passed(&store, 9, &both[1..]), 3, "neither a refusal nor a yield took a call");
    clock.advance(DAY);
    assert_eq!(passed(&store, 9, &alice), 9);
}

#[test]
fn what_yields_takes_bytes_and_no_call() {
    let (_, store) = store(9);
    let ceilings =
        Ceilings { calls_per_day: Some(1), result_bytes_per_day: Some(10), ..rate("1/day") };
    let alice = [demand("alice", ceilings)];
    for _ in 0..5 {
        let left = store.take(&alice, Purpose::Yield).unwrap().0;
        assert_eq!(left.len(), 1, "{left:?}");
    }
    assert_eq!(passed(&store, 9, &alice), 1);
}

#[test]
fn a_call_passes_where_all_have_room_and_waits_for_the_last_of_them() {
    let (clock, store) = store(9);
    let strict = demand("strict", rate("2/hour"));
    let loose = demand("loose", per_day(5));
    let both = [loose.clone(), strict.clone()];
    assert_eq!(passed(&store, 9, &both), 2);
    let NoRoom { wait, left } = store.take(&both, Purpose::Call).unwrap_err();
    assert_eq!(wait, 1_800 * SECOND);
    let told: Vec<_> = left.iter().map(|(_, left)| (left.of, left.remaining)).collect();
    assert_eq!(told, [(Ceiling::CallsPerDay, 3), (Ceiling::Rate, 0)]);
    assert_eq!(passed(&store, 9, &[loose]), 3, "what was refused took none of them");
    assert_eq!(store.take(&both, Purpose::Call).unwrap_err().wait, DAY, "the longer of two");
    clock.advance(DAY);
    assert_eq!(passed(&store, 9, &both), 2);
}

#[test]
fn what_is_given_back_was_never_taken() {
    let (_, store) = store(9);
    let all = Ceilings { concurrent: Some(2), calls_per_day: Some(2), ..rate("2/hour") };
    let alice = [demand("alice", all), demand("bytes", bytes_per_day(1))];
    for _ in 0..9 {
        assert!(store.take(&alice, Purpose::Call).is_ok());
        store.give_back(&alice);
    }
    assert_eq!(passed(&store, 9, &alice), 2);
}

#[test]
fn of_concurrent_calls_exactly_as_many_pass() {
    for _ in 0..100 {
        let store = Store::new(Timepiece::system(), 9);
        let each = |name: &str| [demand(name, rate("30/day")), demand("all", per_day(100))];
        let passed: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|number| {
                    let (store, demands) = (&store, each(["a", "b", "c", "d"][number % 4]));
                    scope.spawn(move || passed(store, 25, &demands))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(passed.iter().sum::<usize>(), 100, "{passed:?}");
        let of = |one: usize| passed[one] + passed[one + 4];
        assert!((0..4).all(|one| of(one) <= 30), "{passed:?}");
        let left: usize = ["a", "b", "c", "d"]
            .iter()
            .map(|name| self::passed(&store, 99, &each(name)[..1]))
            .sum();
        assert_eq!(left, 20, "who was refused by all together lost nothing of their own");
    }
}

#[test]
fn there_is_an_end_to_budgets_and_none_is_forgotten_early() {
    let (clock, store) = store(2);
    let alice = [demand("alice", rate("1/minute"))];
    let bob = [demand("bob", rate("9/day"))];
    let carol = [demand("carol", rate("1/minute"))];
    assert_eq!((passed(&store, 1, &alice), passed(&store, 1, &bob)), (1, 1));
    assert_eq!(wait(&store, &carol), SWEEP_WHEN_FULL);
    assert_eq!(passed(&store, 1, &bob), 1, "who is known is served");
    clock.advance(59 * SECOND);
    assert_eq!(wait(&store, &carol), SWEEP_WHEN_FULL);
    assert_eq!(passed(&store, 1, &alice), 0);
    clock.advance(SECOND);
    assert_eq!(passed(&store, 1, &carol), 1, "alice's is full again and need not be known");
    assert_eq!(store.len(), 2);
}

#[test]
fn a_call_with_several_budgets_needs_a_place_for_each() {
    let (_, store) = store(3);
    let of = |keys: &[&str]| -> Vec<_> { keys.iter().map(|k| demand(k, per_day(9))).collect() };
    assert_eq!(passed(&store, 1, &of(&["a", "b"])), 1);
    assert_eq!(passed(&store, 1, &of(&["c", "d"])), 0);
    assert_eq!(store.len(), 2);
    assert_eq!(passed(&store, 1, &of(&["a", "c"])), 1);
    assert_eq!(store.len(), 3);
}

#[test]
fn what_is_as_if_untouched_is_forgotten_now_and_then() {
    let (clock, store) = store(100);
    for (name, ceilings) in [
        ("rate", rate("5/second")),
        ("day", per_day(5)),
        ("under way", concurrent(5)),
        ("bytes", bytes_per_day(5)),
    ] {
        assert_eq!(passed(&store, 1, &[demand(name, ceilings)]), 1);
    }
    store.count(&["bytes".into()], 1);
    let look = |name| drop(store.take(&[demand(name, rate("1/second"))], Purpose::Call));
    clock.advance(SWEEP);
    look("x");
    assert_eq!(store.len(), 4, "the rate is full again");
    clock.advance(DAY);
    look("y");
    assert_eq!(store.len(), 2, "the day is another one");
    store.leave(&["under way".into()]);
    clock.advance(SWEEP);
    look("z");
    assert_eq!(store.len(), 1);
}

/// What happens to budgets.
#[derive(Debug, Clone)]
enum Event {
    /// A call that counts in the budgets with a bit set.
    Call(u8),
    Pass(Duration),
    End(usize),
    Yield(usize, u64),
}

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

fn demands(of: u8) -> Vec<Demand> {
    let ceilings = [
        Ceilings { concurrent: Some(2), ..rate("3/minute") },
        per_day(4),
        bytes_per_day(50),
        Ceilings {
            rate: rate("2/hour").rate.map(|rate| Rate { burst: 4, ..rate }),
            ..concurrent(3)
        },
    ];
    let wanted = KEYS.iter().zip(ceilings).enumerate().filter(|(bit, _)| of & (1 << bit) != 0);
    wanted.map(|(_, (key, ceilings))| demand(key, ceilings)).collect()
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1_u8..16).prop_map(Event::Call),
        2 => (0_u64..40_000).prop_map(|s| Event::Pass(Duration::from_secs(s))),
        2 => (0_usize..4).prop_map(Event::End),
        1 => ((0_usize..4), (0_u64..40)).prop_map(|(key, bytes)| Event::Yield(key, bytes)),
    ]
}

fn apply(event: &Event, clock: &FakeRelativeClock, store: &Store) -> Option<bool> {
    match event {
        Event::Call(of) => return Some(store.take(&demands(*of), Purpose::Call).is_ok()),
        Event::Pass(time) => clock.advance(*time),
        Event::End(key) => store.leave(&[KEYS[*key].into()]),
        Event::Yield(key, bytes) => store.count(&[KEYS[*key].into()], *bytes),
    }
    None
}

proptest! {
    /// Without the calls that were refused everything is as with them.
    #[test]
    fn a_refused_call_takes_nothing(events in prop::collection::vec(event(), 1..60)) {
        let ((clock, with), (other_clock, without)) = (store(9), store(9));
        for event in &events {
            let before = with.locked().by.clone();
            if apply(event, &clock, &with) == Some(false) {
                // But for a sweep, which forgets what is as if untouched.
                let after = with.locked().by.clone();
                prop_assert!(after.iter().all(|(key, budget)| before.get(key) == Some(budget)));
                continue;
            }
            prop_assert_ne!(apply(event, &other_clock, &without), Some(false));
        }
        for key in 0..4 {
            let rest = |store: &Store| passed(store, 20, &demands(1 << key));
            prop_assert_eq!(rest(&with), rest(&without));
        }
    }
}
