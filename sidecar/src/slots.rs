//! How many requests are under way at a time, in all and of one subject's, through
//! however many clients: each holds memory and
//! an exchange with the upstream until it is answered.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::session::{Owner, Subject};

/// Places for requests.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    taken: Arc<Taken>,
}

/// How many each subject has. Look-ups alone happen under the lock.
#[derive(Debug)]
struct Taken {
    most: usize,
    by: Mutex<HashMap<Subject, usize>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    _free: OwnedSemaphorePermit,
    taken: Arc<Taken>,
    subject: Subject,
}

impl Slots {
    pub(crate) fn new(slots: usize, of_one_principal: usize) -> Self {
        let taken = Taken { most: of_one_principal, by: Mutex::default() };
        Self { free: Arc::new(Semaphore::new(slots)), taken: Arc::new(taken) }
    }

    /// A place for a request of this principal's, if it and all together have not too many.
    pub(crate) fn take(&self, owner: &Owner) -> Option<Slot> {
        let free = Arc::clone(&self.free).try_acquire_owned().ok()?;
        let mut by = self.taken.by.lock().unwrap_or_else(PoisonError::into_inner);
        let subject = owner.subject();
        match by.get_mut(&subject) {
            Some(count) if *count >= self.taken.most => return None,
            Some(count) => *count += 1,
            None => drop(by.insert(subject.clone(), 1)),
        }
        Some(Slot { _free: free, taken: Arc::clone(&self.taken), subject })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut by = self.taken.by.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by.get_mut(&self.subject) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                by.remove(&self.subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Claims;

    #[test]
    fn one_principal_cannot_take_every_slot() {
        let slots = Slots::new(3, 2);
        let [greedy, other, late] =
            ["greedy", "other", "late"].map(|name| Owner::of(&Claims::for_test(name, &[])));
        let held = [slots.take(&greedy).unwrap(), slots.take(&greedy).unwrap()];
        assert!(slots.take(&greedy).is_none());
        let others = slots.take(&other).unwrap();
        assert!(slots.take(&late).is_none(), "all are taken");
        drop(held);
        assert!(slots.take(&late).is_some());
        drop(others);
        assert!(slots.taken.by.lock().unwrap().is_empty(), "who has gone is forgotten");
    }
}
