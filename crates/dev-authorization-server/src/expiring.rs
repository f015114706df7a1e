//! Stores that forget: every entry has an end, and there is room for so many and no more.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::secret::Digest;

/// Values by the digest of what names them.
pub(crate) struct Expiring<V> {
    /// Protects the table for the length of one look-up; nothing awaits while holding it.
    entries: Mutex<HashMap<Digest, Kept<V>>>,
    capacity: usize,
}

impl<V> std::fmt::Debug for Expiring<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expiring").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

struct Kept<V> {
    value: V,
    until: Instant,
}

/// There is no room, and nothing has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// It is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotNew {
    Known,
    Full,
}

impl<V> Expiring<V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: Mutex::new(HashMap::new()), capacity }
    }

    /// Puts a value in, in place of any of that name.
    pub(crate) fn insert(&self, key: Digest, value: V, lifetime: Duration) -> Result<(), Full> {
        let mut entries = self.lock();
        self.make_room(&mut entries, &key)?;
        entries.insert(key, Kept { value, until: after(lifetime) });
        Ok(())
    }

    /// Puts a value in unless there is one of that name, in one step.
    pub(crate) fn insert_new(
        &self,
        key: Digest,
        value: V,
        lifetime: Duration,
    ) -> Result<(), NotNew> {
        let mut entries = self.lock();
        if entries.get(&key).is_some_and(Kept::is_alive) {
            return Err(NotNew::Known);
        }
        self.make_room(&mut entries, &key).map_err(|Full| NotNew::Full)?;
        entries.insert(key, Kept { value, until: after(lifetime) });
        Ok(())
    }

    /// Looks at an unexpired value, and may change it, while nobody else does.
    pub(crate) fn with<R>(&self, key: &Digest, look: impl FnOnce(&mut V) -> R) -> Option<R> {
        let mut entries = self.lock();
        let kept = entries.get_mut(key).filter(|kept| kept.is_alive())?;
        Some(look(&mut kept.value))
    }

    pub(crate) fn get(&self, key: &Digest) -> Option<V>
    where
        V: Clone,
    {
        self.with(key, |value| value.clone())
    }

    /// Lets an unexpired value live for `lifetime` from now.
    pub(crate) fn prolong(&self, key: &Digest, lifetime: Duration) {
        if let Some(kept) = self.lock().get_mut(key).filter(|kept| kept.is_alive()) {
            kept.until = after(lifetime);
        }
    }

    pub(crate) fn remove(&self, key: &Digest) -> Option<V> {
        self.lock().remove(key).filter(Kept::is_alive).map(|kept| kept.value)
    }

    fn make_room(&self, entries: &mut HashMap<Digest, Kept<V>>, key: &Digest) -> Result<(), Full> {
        if entries.len() >= self.capacity && !entries.contains_key(key) {
            entries.retain(|_, kept| kept.is_alive());
            if entries.len() >= self.capacity {
                return Err(Full);
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Kept<V>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Kept<V> {
    fn is_alive(&self) -> bool {
        self.until > Instant::now()
    }
}

/// The end of a lifetime that begins now; of one without end, a century from now, so that what is
/// too long to add up does not end at once.
pub(crate) fn after(lifetime: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(lifetime.min(CENTURY)).unwrap_or(now)
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn what_has_expired_is_not_there() {
        let store = Expiring::new(2);
        store.insert(Digest::of("a"), 1, Duration::ZERO).unwrap();
        assert_eq!(store.get(&Digest::of("a")), None);
        assert_eq!(store.remove(&Digest::of("a")), None);
        store.insert(Digest::of("b"), 2, HOUR).unwrap();
        assert_eq!(store.get(&Digest::of("b")), Some(2));
    }

    #[test]
    fn what_should_last_forever_lasts() {
        let store = Expiring::new(1);
        store.insert(Digest::of("a"), 1, Duration::MAX).unwrap();
        assert_eq!(store.get(&Digest::of("a")), Some(1));
    }

    #[test]
    fn a_full_store_drops_what_has_expired_and_then_refuses() {
        let store = Expiring::new(2);
        store.insert(Digest::of("a"), 1, Duration::ZERO).unwrap();
        store.insert(Digest::of("b"), 2, HOUR).unwrap();
        store.insert(Digest::of("c"), 3, HOUR).unwrap();
        assert_eq!(store.insert(Digest::of("d"), 4, HOUR), Err(Full));
        store.insert(Digest::of("c"), 5, HOUR).unwrap();
        assert_eq!(store.get(&Digest::of("c")), Some(5), "what is there can be replaced");
    }

    #[test]
    fn a_name_is_new_once_while_it_lives() {
        let store = Expiring::new(2);
        store.insert_new(Digest::of("a"), (), Duration::ZERO).unwrap();
        store.insert_new(Digest::of("a"), (), HOUR).unwrap();
        assert_eq!(store.insert_new(Digest::of("a"), (), HOUR), Err(NotNew::Known));
    }
}
