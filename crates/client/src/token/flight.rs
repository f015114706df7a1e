//! One fetch at a time, whoever asks: all who wait are told the same outcome, and nobody's leaving
//! ends it for the others.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::watch;

use super::{
    error::TokenError,
    inspection::{HeldToken, Inspection},
    obtaining::{Obtained, Obtaining},
    own_check::Checked,
};
use crate::secret::Secret;

/// A token that is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) token: Secret,
    pub(super) granted: BTreeSet<String>,
    /// Seconds since 1970; from then on a new one is fetched.
    pub(super) renew_at: u64,
    pub(super) expires_at: u64,
    pub(super) checked: Checked,
}

/// Where tokens are held and fetches depart.
#[derive(Debug)]
pub(super) struct Hangar {
    pub(super) obtaining: Obtaining,
    // Looked at and swapped, never held while anything is awaited.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What to ask for; empty asks for the client's default.
    wanted: BTreeSet<String>,
    held: Option<Arc<Held>>,
    /// The token that the resource refused last; another process may still offer it.
    refused: Option<Secret>,
    /// The fetch that is under way; whoever fetches owns it.
    flight: Weak<Flight>,
    /// The latest failure, and when: for those who ask a moment too late to have been told.
    failed: Option<(u64, TokenError)>,
    requests: u64,
}

/// A fetch under way.
#[derive(Debug)]
struct Flight {
    wanted: BTreeSet<String>,
    /// What a step-up is for: without it there is no new token.
    needed: BTreeSet<String>,
    outcome: watch::Sender<Option<Outcome>>,
}

type Outcome = Result<Arc<Held>, TokenError>;
type Waiting = watch::Receiver<Option<Outcome>>;

impl Hangar {
    pub(super) fn new(obtaining: Obtaining) -> Self {
        let wanted = obtaining.first_scopes.clone();
        Self { obtaining, state: Mutex::new(State { wanted, ..State::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token that is held, good or not.
    pub(super) fn current(&self) -> Option<Arc<Held>> {
        self.state().held.clone()
    }

    /// A token that is good for a while yet.
    pub(super) async fn held(self: &Arc<Self>) -> Outcome {
        loop {
            let (waiting, of_a_step_up) = {
                let mut state = self.state();
                let now = self.obtaining.clock.now();
                if let Some(held) = state.held.as_ref().filter(|held| now < held.renew_at) {
                    return Ok(Arc::clone(held));
                }
                match (state.flight.upgrade(), &state.failed) {
                    (Some(flight), _) => (flight.outcome.subscribe(), !flight.needed.is_empty()),
                    (None, Some((when, failure))) if now <= when + FAILURE_STANDS_SECONDS => {
                        return Err(failure.clone());
                    }
                    (None, _) => {
                        let wanted = state.wanted.clone();
                        (self.depart(&mut state, wanted, BTreeSet::new()), false)
                    }
                }
            };
            let outcome = arrived(waiting).await;
            // That others were not granted more is nothing to who wants no more.
            if outcome.is_ok() || !of_a_step_up {
                return outcome;
            }
        }
    }

    /// Sees to it that the token has these scopes too.
    pub(super) async fn step_up(
        self: &Arc<Self>,
        scopes: &BTreeSet<String>,
    ) -> Result<(), TokenError> {
        loop {
            let (waiting, brings_them) = {
                let mut state = self.state();
                let now = self.obtaining.clock.now();
                let held = state.held.as_ref().filter(|held| now < held.renew_at);
                if held.is_some_and(|held| scopes.is_subset(&held.granted)) {
                    return Ok(());
                }
                let granted = state.held.as_ref().map(|held| held.granted.clone());
                let all = state.wanted.iter().chain(scopes).cloned();
                let wanted: BTreeSet<String> = all.chain(granted.unwrap_or_default()).collect();
                match state.flight.upgrade() {
                    Some(flight) => (flight.outcome.subscribe(), scopes.is_subset(&flight.wanted)),
                    None => (self.depart(&mut state, wanted, scopes.clone()), true),
                }
            };
            let outcome = arrived(waiting).await;
            if brings_them {
                let missing: Vec<String> = scopes.difference(&outcome?.granted).cloned().collect();
                return if missing.is_empty() {
                    Ok(())
                } else {
                    Err(TokenError::NotGranted { missing })
                };
            }
        }
    }

    pub(super) fn discard(&self, token: &Secret) {
        let mut state = self.state();
        if state.held.as_ref().is_some_and(|held| held.token == *token) {
            state.held = None;
            state.refused = Some(token.clone());
        }
    }

    fn depart(
        self: &Arc<Self>,
        state: &mut State,
        wanted: BTreeSet<String>,
        needed: BTreeSet<String>,
    ) -> Waiting {
        let (outcome, waiting) = watch::channel(None);
        let flight = Arc::new(Flight { wanted, needed, outcome });
        state.flight = Arc::downgrade(&flight);
        let (hangar, refused) = (Arc::clone(self), state.refused.clone());
        tokio::spawn(async move {
            // A person who gave up waiting needs no browser any more.
            let nobody_waits = flight.outcome.closed();
            let obtained =
                hangar.obtaining.obtain(&flight.wanted, refused.as_ref(), nobody_waits).await;
            let outcome = hangar.landed(&flight, obtained);
            flight.outcome.send_replace(Some(outcome));
        });
        waiting
    }

    fn landed(&self, flight: &Flight, obtained: Result<Obtained, TokenError>) -> Outcome {
        let mut state = self.state();
        let obtained = match obtained {
            Ok(obtained) => obtained,
            Err(failure) => {
                state.requests += 1;
                if flight.needed.is_empty() {
                    state.failed = Some((self.obtaining.clock.now(), failure.clone()));
                }
                return Err(failure);
            }
        };
        state.requests += obtained.requests;
        let held = Arc::new(obtained.held);
        let missing: Vec<String> = flight.needed.difference(&held.granted).cloned().collect();
        if !missing.is_empty() {
            return Err(TokenError::NotGranted { missing });
        }
        state.wanted.clone_from(&flight.wanted);
        state.held = Some(Arc::clone(&held));
        state.failed = None;
        Ok(held)
    }

    pub(super) fn inspect(&self) -> Inspection {
        let now = self.obtaining.clock.now();
        let (wanted_scopes, held, requests) = {
            let state = self.state();
            (state.wanted.clone(), state.held.clone(), state.requests)
        };
        let (found, issuer) = (&self.obtaining.found, &self.obtaining.found.issuer);
        Inspection {
            resource: found.resource.clone(),
            resource_metadata: found.told_at.to_string(),
            issuer: issuer.identifier.clone(),
            token_endpoint: issuer.token_endpoint.to_string(),
            authorization_endpoint: issuer.authorization_endpoint.as_ref().map(ToString::to_string),
            jwks_uri: issuer.jwks_uri.as_ref().map(ToString::to_string),
            client_id: self.obtaining.client_id(),
            wanted_scopes,
            known_scopes: found.known_scopes.clone(),
            proof_key: self.obtaining.key.as_ref().map(|key| key.thumbprint().to_owned()),
            token: held.map(|held| {
                HeldToken::new(held.granted.clone(), held.expires_at, now, held.checked)
            }),
            requests,
        }
    }
}

async fn arrived(mut waiting: Waiting) -> Outcome {
    let outcome = waiting.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
    outcome.unwrap_or(Err(TokenError::Interrupted("the fetch was broken off")))
}

/// So that of a thousand tasks the last is told what the first was, and does not ask again.
const FAILURE_STANDS_SECONDS: u64 = 1;
