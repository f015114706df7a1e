//! Several models as one: whoever can, answers.
//!
//! A turn is asked for until one is given, and never again: calls of a turn that was not given
//! whole are never seen by anyone, so that no tool is called twice because a provider failed.

mod health;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::join_all;
use tokio::time::{Instant, sleep};

use crate::{
    model::{Conversation, Failure, Heard, Message, Model, ModelError, ModelName, Turn},
    tools::UniversalTool,
};
use health::Health;

/// Models in the order in which they are preferred.
///
/// The order is a preference for conversations, not for turns: whoever gave the last turn of a
/// conversation is asked first for the next as long as it is well. A provider has the conversation
/// so far at hand, signed thoughts go back to who had them, and a person does not talk to someone
/// else with every answer. A new conversation begins with the first of the order that is well.
pub struct Pool {
    members: Vec<Member>,
    patience: Patience,
    jitter: Jitter,
}

struct Member {
    model: Arc<dyn Model>,
    health: Health,
}

/// A number from 0 to below 1, another each time.
type Jitter = Box<dyn Fn() -> f64 + Send + Sync>;

/// How much is done for one turn before it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often one member is asked, the first time included.
    pub attempts: u32,
    /// The longest wait before the second attempt; twice as long before the third, and so on. The
    /// wait itself is anything up to that, so that many clients do not come back all at once.
    pub first_wait: Duration,
    /// The longest of those waits, and the longest that a provider may ask for before another is
    /// asked instead.
    pub longest_wait: Duration,
}

impl Pool {
    /// A pool of these, the first preferred.
    pub fn of(first: Arc<dyn Model>, others: Vec<Arc<dyn Model>>) -> Self {
        Self::with(first, others, Patience::default(), random)
    }

    /// A pool with other patience and other chance.
    pub fn with(
        first: Arc<dyn Model>,
        others: Vec<Arc<dyn Model>>,
        patience: Patience,
        jitter: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Self {
        let models = std::iter::once(first).chain(others);
        let members = models.map(|model| Member { model, health: Health::default() });
        Self { members: members.collect(), patience, jitter: Box::new(jitter) }
    }

    /// Whom to ask, in which order: whoever is well, and only then whoever is best left alone, the
    /// soonest well first, since a late answer is better than none.
    fn order(&self, conversation: &Conversation) -> Vec<&Member> {
        let last = conversation.messages().iter().rev().find_map(|message| match message {
            Message::Assistant(turn) => Some(&turn.by),
            _ => None,
        });
        let now = Instant::now();
        let mut order: Vec<_> = self.members.iter().collect();
        order.sort_by_key(|member| {
            let left_alone = member.health.left_alone(now);
            (left_alone, left_alone.is_zero() && Some(member.model.name()) != last)
        });
        order
    }

    /// Asks one member until it gives a turn or there is no use in asking it again.
    async fn ask(
        &self,
        member: &Member,
        conversation: &Conversation,
        tools: &[UniversalTool],
        hear: &mut (dyn for<'a> FnMut(Heard<'a>) + Send),
    ) -> Result<Turn, ModelError> {
        let mut attempt = 1;
        loop {
            let error = match member.model.turn(conversation, tools, &mut *hear).await {
                Ok(turn) => {
                    member.health.is_well();
                    return Ok(turn);
                }
                Err(error) => error,
            };
            match self.wait(&error.failure, attempt) {
                Some(after) => {
                    hear(Heard::Again { model: member.model.name(), why: &error, after });
                    sleep(after).await;
                    attempt += 1;
                }
                None => {
                    member.health.failed(&error.failure, Instant::now());
                    return Err(error);
                }
            }
        }
    }

    /// How long to wait before the same member is asked again; none when it is not.
    fn wait(&self, failure: &Failure, attempt: u32) -> Option<Duration> {
        let Patience { attempts, first_wait, longest_wait } = self.patience;
        if attempt >= attempts {
            return None;
        }
        match failure {
            Failure::RateLimited { retry_after: Some(wait) } => {
                (*wait <= longest_wait).then_some(*wait)
            }
            Failure::RateLimited { retry_after: None }
            | Failure::Unreachable(_)
            | Failure::Failed { .. }
            | Failure::Broken(_) => {
                let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
                let longest = first_wait.saturating_mul(doubled).min(longest_wait);
                Some(longest.mul_f64((self.jitter)().clamp(0.0, 1.0)))
            }
            // It has been waited for already, and for long.
            Failure::TimedOut(_)
            | Failure::Unauthorized(_)
            | Failure::Refused { .. }
            | Failure::AllFailed(_) => None,
        }
    }

    fn all_failed(&self, errors: Vec<ModelError>) -> ModelError {
        ModelError { model: self.name().clone(), failure: Failure::AllFailed(errors) }
    }
}

#[async_trait]
impl Model for Pool {
    fn name(&self) -> &ModelName {
        // A pool is made of a first and others, so there is one.
        #[expect(clippy::indexing_slicing, reason = "`with` puts the first there")]
        self.members[0].model.name()
    }

    async fn turn(
        &self,
        conversation: &Conversation,
        tools: &[UniversalTool],
        hear: &mut (dyn for<'a> FnMut(Heard<'a>) + Send),
    ) -> Result<Turn, ModelError> {
        let mut errors: Vec<ModelError> = Vec::new();
        for member in self.order(conversation) {
            if let Some(why) = errors.last() {
                let next = member.model.name();
                hear(Heard::Instead { failed: &why.model, next, why });
            }
            match self.ask(member, conversation, tools, hear).await {
                Ok(turn) => return Ok(turn),
                Err(error) => errors.push(error),
            }
        }
        Err(self.all_failed(errors))
    }

    /// One that answers is enough.
    async fn probe(&self) -> Result<(), ModelError> {
        let probed = join_all(self.members.iter().map(|member| member.model.probe())).await;
        let mut errors = Vec::new();
        for outcome in probed {
            match outcome {
                Ok(()) => return Ok(()),
                Err(error) => errors.push(error),
            }
        }
        Err(self.all_failed(errors))
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models: Vec<_> = self.members.iter().map(|member| &member.model).collect();
        f.debug_struct("Pool")
            .field("members", &models)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 3,
            first_wait: Duration::from_millis(500),
            // About what a person waits before wondering.
            longest_wait: Duration::from_secs(8),
        }
    }
}

/// From the operating system's randomness, by way of the standard library's hash keys.
fn random() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    let bits = RandomState::new().hash_one(0_u8) >> 32;
    f64::from(u32::try_from(bits).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests;
