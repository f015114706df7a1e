//! Have they had enough? What policies grant with `@rate_limit` and the configuration with
//! `[[call_limits]]`, to principals, groups, clients, zones, or everybody together. By which provider
//! or model somebody says to ask makes no difference.
//!
//! A call passes when all limits that apply to it have room, and takes from all of them; one that is
//! refused takes from none. Of this process only, and kept over a reload of policies.

mod arithmetic;
mod clock;
mod demands;
mod meter;
mod state;
mod store;

use std::sync::Arc;

use crate::{
    authz::{Authorized, Standing},
    config::{CallLimit, Config},
    message::{Message, Origin, Target},
    rejection::Rejection,
};
use clock::Timepiece;
pub(crate) use demands::BY_POLICY;
use demands::Demands;
pub(crate) use meter::Meter;
pub use state::{Ceiling, LimitState};
use store::{Demand, NoRoom, Purpose, Store, Taken};

/// How many calls are granted, and to whom how many are left.
#[derive(Debug)]
pub(crate) struct CallLimits {
    rules: Arc<[CallLimit]>,
    /// The upstream's name.
    server: String,
    backend: Backend,
}

/// Where budgets are kept. One that instances share would do the same: take a call from all of its
/// budgets at once or from none, wherever it is decided.
#[derive(Debug, Clone)]
enum Backend {
    /// In this process; they end with it.
    Process(Arc<Store>),
}

/// What a permitted call took. Dropped, it is given back: the call is not made.
#[derive(Debug)]
pub(crate) struct Spent {
    backend: Backend,
    purpose: Purpose,
    demands: Vec<Demand>,
    states: Vec<LimitState>,
    note: Option<String>,
}

/// What follows a call that is made.
#[derive(Debug)]
pub(crate) struct Made {
    /// Held until its answer ends.
    pub(crate) permit: Option<Permit>,
    /// Counts what it yields.
    pub(crate) meter: Option<Meter>,
    /// What its caller is told of what is left, as JSON.
    pub(crate) note: Option<String>,
}

/// A call under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    backend: Backend,
    keys: Vec<Box<str>>,
}

impl CallLimits {
    pub(crate) fn new(config: &Config) -> Self {
        let store = Store::new(Timepiece::system(), config.limits.max_call_budgets);
        Self {
            rules: Arc::clone(&config.call_limits),
            server: config.upstream.name.clone(),
            backend: Backend::Process(Arc::new(store)),
        }
    }

    /// Takes a permitted call out of all budgets that it counts in, or refuses it and takes nothing.
    pub(crate) async fn spend(
        &self,
        standing: &Standing<'_>,
        authorized: &Authorized<Message>,
    ) -> Result<Spent, Rejection> {
        let Some((tool, purpose)) = limited(authorized.get()) else {
            return Ok(self.spent(Purpose::Yield, Vec::new()));
        };
        let mut wanted = Demands::default();
        if let (Some(rate), Purpose::Call) = (authorized.obligations().rate_limit, purpose) {
            wanted.by_policy(rate, standing, tool);
        }
        for rule in self.rules.iter() {
            wanted.by_rule(rule, (standing, &self.server), tool, purpose);
        }
        let Demands { demands, rules } = wanted;
        if demands.is_empty() {
            return Ok(self.spent(purpose, demands));
        }
        let named = |left: &[(usize, state::Left)]| {
            let of = left.iter().filter_map(|(number, left)| Some((*rules.get(*number)?, left)));
            state::states(of)
        };
        match self.backend.take(&demands, purpose).await {
            Ok(Taken(left)) => {
                let states = named(&left);
                let note = state::note(left.iter().map(|(_, left)| left));
                let mut spent = self.spent(purpose, demands);
                (spent.states, spent.note) = (states, note);
                Ok(spent)
            }
            Err(NoRoom { wait, left }) => Err(Rejection::RateLimited {
                wait,
                policies: authorized.determining_policies().to_vec(),
                limits: named(&left),
            }),
        }
    }

    fn spent(&self, purpose: Purpose, demands: Vec<Demand>) -> Spent {
        let backend = self.backend.clone();
        Spent { backend, purpose, demands, states: Vec::new(), note: None }
    }
}

impl Backend {
    async fn take(&self, demands: &[Demand], purpose: Purpose) -> Result<Taken, NoRoom> {
        match self {
            Self::Process(store) => store.take(demands, purpose),
        }
    }

    fn give_back(&self, demands: &[Demand]) {
        match self {
            Self::Process(store) => store.give_back(demands),
        }
    }

    fn leave(&self, keys: &[Box<str>]) {
        match self {
            Self::Process(store) => store.leave(keys),
        }
    }

    fn count(&self, keys: &[Box<str>], bytes: u64) {
        match self {
            Self::Process(store) => store.count(keys, bytes),
        }
    }
}

impl Spent {
    /// What every limit leaves that applied.
    pub(crate) fn states(&self) -> &[LimitState] {
        &self.states
    }

    /// The call is made: what it took stays taken.
    pub(crate) fn made(mut self) -> Made {
        let demands = std::mem::take(&mut self.demands);
        let keys = |wanted: fn(&Demand) -> bool| {
            let keys = demands.iter().filter(|demand| wanted(demand));
            let keys: Vec<_> = keys.map(|demand| demand.key.clone()).collect();
            Some(keys).filter(|keys| !keys.is_empty())
        };
        let under_way = match self.purpose {
            Purpose::Call => keys(|demand| demand.ceilings.concurrent.is_some()),
            Purpose::Yield => None,
        };
        let counted = keys(|demand| demand.ceilings.result_bytes_per_day.is_some());
        let backend = || self.backend.clone();
        Made {
            permit: under_way.map(|keys| Permit { backend: backend(), keys }),
            meter: counted.map(|keys| Meter { backend: backend(), keys }),
            note: self.note.take(),
        }
    }
}

impl Drop for Spent {
    fn drop(&mut self) {
        if self.purpose == Purpose::Call && !self.demands.is_empty() {
            self.backend.give_back(&self.demands);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.backend.leave(&self.keys);
    }
}

/// The tool of which a message is a call, or fetches what a call of it yielded: the result of a task,
/// or a stream that is taken up again.
fn limited(message: &Message) -> Option<(&str, Purpose)> {
    if let Some(tool) = message.called_tool() {
        return Some((tool, Purpose::Call));
    }
    let resumed = message.route().origin.as_ref().map(Origin::target);
    let fetched = FETCHING.contains(&message.method().name).then(|| message.target());
    match resumed.or(fetched) {
        Some(Target::Tool(tool)) => Some((tool, Purpose::Yield)),
        _ => None,
    }
}

/// What brings the result of a task (MCP 2025-11-25, tasks; 2026-07-28, SEP-2663).
const FETCHING: [&str; 2] = ["tasks/get", "tasks/result"];

#[cfg(test)]
mod tests;
