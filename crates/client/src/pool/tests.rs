use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use proptest::prelude::*;

use super::*;
use crate::model::{Call, Usage};

/// A member that does what its script says, and then what it did last.
#[derive(Debug)]
struct Scripted {
    name: ModelName,
    script: Vec<Act>,
    asked: Arc<AtomicU32>,
}

#[derive(Debug, Clone)]
enum Act {
    Answers,
    Fails(Failure),
}

fn scripted(name: &str, script: &[Act]) -> (Arc<dyn Model>, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let name = format!("test/{name}").parse().unwrap();
    let model = Scripted { name, script: script.to_vec(), asked: Arc::clone(&asked) };
    (Arc::new(model), asked)
}

#[async_trait]
impl Model for Scripted {
    fn name(&self) -> &ModelName {
        &self.name
    }

    async fn turn(
        &self,
        _: &Conversation,
        _: &[UniversalTool],
        hear: &mut (dyn for<'a> FnMut(Heard<'a>) + Send),
    ) -> Result<Turn, ModelError> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let place = usize::try_from(asked).unwrap().min(self.script.len() - 1);
        let said = format!("{} {asked}", self.name);
        hear(Heard::Text(&said));
        match self.script[place].clone() {
            Act::Answers => Ok(Turn {
                by: self.name.clone(),
                text: said.clone(),
                calls: vec![Call { id: said, tool: "add".into(), arguments: "{}".into() }],
                usage: Usage::default(),
                signatures: Vec::new(),
            }),
            Act::Fails(failure) => Err(ModelError { model: self.name.clone(), failure }),
        }
    }

    async fn probe(&self) -> Result<(), ModelError> {
        match self.script[0].clone() {
            Act::Answers => Ok(()),
            Act::Fails(failure) => Err(ModelError { model: self.name.clone(), failure }),
        }
    }
}

/// What is left of what was heard, once what does not count is struck out.
#[derive(Debug, Default)]
struct Ear {
    text: String,
    notes: Vec<String>,
}

impl Ear {
    fn hear(&mut self, what: Heard<'_>) {
        match what {
            Heard::Text(text) => self.text.push_str(text),
            Heard::Again { model, after, .. } => {
                self.text.clear();
                self.notes.push(format!("{model} again after {after:?}"));
            }
            Heard::Instead { failed, next, .. } => {
                self.text.clear();
                self.notes.push(format!("{next} instead of {failed}"));
            }
        }
    }
}

async fn ask(pool: &Pool, conversation: &Conversation) -> (Result<Turn, ModelError>, Ear) {
    let mut ear = Ear::default();
    let turn = pool.turn(conversation, &[], &mut |what| ear.hear(what)).await;
    (turn, ear)
}

fn pool_of(members: Vec<Arc<dyn Model>>) -> Pool {
    let mut members = members.into_iter();
    let first = members.next().unwrap();
    Pool::with(first, members.collect(), Patience::default(), || 0.5)
}

fn fresh() -> Conversation {
    let mut conversation = Conversation::under("x");
    conversation.ask("y");
    conversation
}

fn fails(failure: Failure) -> [Act; 1] {
    [Act::Fails(failure)]
}

fn busy() -> Failure {
    Failure::Failed { status: 503, said: "busy".to_owned() }
}

fn limited(seconds: u64) -> Failure {
    Failure::RateLimited { retry_after: Some(Duration::from_secs(seconds)) }
}

#[tokio::test(start_paused = true)]
async fn the_first_is_asked_again_and_then_the_next() {
    let (first, asked_first) = scripted("a", &fails(busy()));
    let (second, asked_second) = scripted("b", &[Act::Answers]);
    let pool = pool_of(vec![first, second]);
    let began = Instant::now();
    let (turn, ear) = ask(&pool, &fresh()).await;
    assert_eq!(turn.unwrap().text, "test/b 0");
    assert_eq!(ear.text, "test/b 0", "what was heard of failed turns does not count");
    assert_eq!(
        ear.notes,
        ["test/a again after 250ms", "test/a again after 500ms", "test/b instead of test/a"]
    );
    assert_eq!(began.elapsed(), Duration::from_millis(750));
    assert_eq!((asked_first.load(Ordering::Relaxed), asked_second.load(Ordering::Relaxed)), (3, 1));
    assert_eq!(pool.name().to_string(), "test/a");
}

#[tokio::test(start_paused = true)]
async fn a_hiccup_is_gone_with_the_second_attempt() {
    let (first, asked) = scripted("a", &[Act::Fails(Failure::Broken("x".into())), Act::Answers]);
    let (second, asked_second) = scripted("b", &[Act::Answers]);
    let pool = pool_of(vec![first, second]);
    assert_eq!(ask(&pool, &fresh()).await.0.unwrap().by.model(), "a");
    assert_eq!((asked.load(Ordering::Relaxed), asked_second.load(Ordering::Relaxed)), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn who_will_not_help_is_asked_once() {
    for failure in [
        Failure::Unauthorized("key?".into()),
        Failure::Refused { status: 400, said: "no".into() },
        Failure::TimedOut(Duration::from_secs(600)),
        limited(9),
    ] {
        let (first, asked) = scripted("a", &fails(failure.clone()));
        let (second, _) = scripted("b", &[Act::Answers]);
        let (turn, ear) = ask(&pool_of(vec![first, second]), &fresh()).await;
        assert_eq!(turn.unwrap().by.model(), "b", "{failure}");
        assert_eq!(asked.load(Ordering::Relaxed), 1, "{failure}");
        assert_eq!(ear.notes, ["test/b instead of test/a"], "{failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_says_when_is_asked_then() {
    let (first, _) = scripted("a", &[Act::Fails(limited(7)), Act::Answers]);
    let began = Instant::now();
    let (turn, ear) = ask(&pool_of(vec![first]), &fresh()).await;
    assert_eq!(turn.unwrap().by.model(), "a");
    assert_eq!(ear.notes, ["test/a again after 7s"]);
    assert_eq!(began.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn who_failed_is_left_alone_for_longer_each_time() {
    let (first, asked) = scripted("a", &fails(Failure::TimedOut(Duration::from_secs(1))));
    let (second, _) = scripted("b", &[Act::Answers]);
    let pool = pool_of(vec![first, second]);
    let mut asked_at = Vec::new();
    let began = Instant::now();
    for _ in 0..2000 {
        let before = asked.load(Ordering::Relaxed);
        ask(&pool, &fresh()).await.0.unwrap();
        if asked.load(Ordering::Relaxed) > before {
            asked_at.push(began.elapsed().as_secs());
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(asked_at, [0, 5, 15, 35, 75, 155, 315, 615, 915, 1215, 1515, 1815]);
}

#[tokio::test(start_paused = true)]
async fn who_is_rate_limited_is_left_alone_for_as_long_as_it_says() {
    let (first, asked) = scripted("a", &[Act::Fails(limited(60)), Act::Answers]);
    let (second, _) = scripted("b", &[Act::Answers]);
    let pool = pool_of(vec![first, second]);
    for (after, expected, times) in [(0, "b", 1), (59, "b", 1), (2, "a", 2)] {
        tokio::time::advance(Duration::from_secs(after)).await;
        assert_eq!(ask(&pool, &fresh()).await.0.unwrap().by.model(), expected, "{after}");
        assert_eq!(asked.load(Ordering::Relaxed), times);
    }
}

#[tokio::test(start_paused = true)]
async fn a_conversation_goes_on_with_who_answered_last_while_it_is_well() {
    let (first, _) = scripted("a", &[Act::Fails(limited(60)), Act::Answers]);
    let (second, _) = scripted("b", &[Act::Answers, Act::Answers, Act::Fails(limited(90))]);
    let pool = pool_of(vec![first, second]);
    let mut conversation = fresh();
    for (after, expected) in [(0, "b"), (61, "b"), (0, "a"), (0, "a")] {
        tokio::time::advance(Duration::from_secs(after)).await;
        let turn = ask(&pool, &conversation).await.0.unwrap();
        assert_eq!(turn.by.model(), expected);
        conversation.answered(turn);
    }
    assert_eq!(ask(&pool, &fresh()).await.0.unwrap().by.model(), "a", "a new one begins anew");
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_each_is_named_with_its_reason() {
    let (first, _) = scripted("a", &fails(Failure::Unauthorized("no such key".into())));
    let (second, asked) = scripted("b", &fails(limited(3600)));
    let pool = pool_of(vec![first, second]);
    for times in 1..3 {
        let error = ask(&pool, &fresh()).await.0.unwrap_err();
        let said = error.to_string();
        for part in ["test/a", "test/b", "no such key", "is asked too often"] {
            assert!(said.contains(part), "{said}");
        }
        assert!(error.failure.may_pass());
        assert_eq!(asked.load(Ordering::Relaxed), times, "a late answer is better than none");
    }
    assert!(pool.probe().await.unwrap_err().to_string().contains("test/b"));
}

#[tokio::test]
async fn one_that_answers_is_enough_for_a_probe() {
    let (first, _) = scripted("a", &fails(busy()));
    let (second, _) = scripted("b", &[Act::Answers]);
    assert!(pool_of(vec![first, second]).probe().await.is_ok());
}

#[test]
fn chance_is_from_zero_to_below_one() {
    let numbers: Vec<f64> = (0..1000).map(|_| random()).collect();
    assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
    let mean = numbers.iter().sum::<f64>() / 1000.0;
    assert!((0.4..0.6).contains(&mean), "{mean}");
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Answers),
        1 => Just(Act::Fails(busy())),
        1 => Just(Act::Fails(Failure::Broken("x".into()))),
        1 => Just(Act::Fails(Failure::Unreachable("x".into()))),
        1 => Just(Act::Fails(Failure::TimedOut(Duration::from_secs(1)))),
        1 => Just(Act::Fails(Failure::Unauthorized("x".into()))),
        1 => Just(Act::Fails(Failure::Refused { status: 400, said: "x".into() })),
        1 => (0_u64..100).prop_map(|seconds| Act::Fails(limited(seconds))),
        1 => Just(Act::Fails(Failure::RateLimited { retry_after: None })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens: a turn that was given is the last thing that anyone was asked for, it is
    /// the only one that is heard, everyone is asked a bounded number of times, and no wait is
    /// longer than agreed.
    #[test]
    fn a_turn_is_given_at_most_once_and_within_bounds(
        scripts in prop::collection::vec(prop::collection::vec(act(), 1..6), 1..4),
        jitter in 0.0_f64..1.0,
        rounds in 1_usize..6,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let members: Vec<_> = scripts
                .iter()
                .enumerate()
                .map(|(place, script)| scripted(&place.to_string(), script))
                .collect();
            let counts: Vec<_> = members.iter().map(|(_, asked)| Arc::clone(asked)).collect();
            let mut models = members.into_iter().map(|(model, _)| model);
            let first = models.next().unwrap();
            let patience = Patience::default();
            let pool = Pool::with(first, models.collect(), patience, move || jitter);
            let mut conversation = fresh();
            let given = Mutex::new(Vec::new());
            for _ in 0..rounds {
                let before: Vec<_> = counts.iter().map(|n| n.load(Ordering::Relaxed)).collect();
                let began = Instant::now();
                let (turn, ear) = ask(&pool, &conversation).await;
                let most = patience.longest_wait * 2 * u32::try_from(counts.len()).unwrap();
                prop_assert!(began.elapsed() <= most);
                for (count, before) in counts.iter().zip(&before) {
                    prop_assert!(count.load(Ordering::Relaxed) - before <= patience.attempts);
                }
                match turn {
                    Ok(turn) => {
                        prop_assert_eq!(&ear.text, &turn.text);
                        let id = turn.calls[0].id.clone();
                        let mut given = given.lock().unwrap();
                        prop_assert!(!given.contains(&id), "a turn was given twice");
                        given.push(id);
                        conversation.answered(turn);
                    }
                    Err(error) => {
                        let Failure::AllFailed(errors) = error.failure else {
                            return Err(TestCaseError::fail("not told of all"));
                        };
                        prop_assert_eq!(errors.len(), counts.len());
                    }
                }
            }
            Ok(())
        })?;
    }
}
