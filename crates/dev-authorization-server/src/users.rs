//! People who can sign in, and how fast somebody may guess at their passwords.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{constant_time, rand};

use crate::secret::{RandomnessFailed, Seal, Secret};

/// A person.
#[derive(Debug, Clone)]
pub struct User {
    /// What they sign in with, and the `sub` of their tokens.
    pub name: String,
    /// What they are called.
    pub display_name: String,
    /// What they belong to: the `groups` of their tokens.
    pub groups: Vec<String>,
    /// What they can grant to a client.
    pub scopes: Vec<String>,
}

/// How hard a password is to guess from its hash.
#[derive(Debug, Clone, Copy)]
pub struct HashingCost {
    /// Memory for one hash.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for HashingCost {
    /// What OWASP recommends for argon2id.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2 }
    }
}

/// All people, with salted argon2id hashes of their passwords.
pub struct Users {
    known: Vec<(User, Hash)>,
    cost: HashingCost,
    /// Hashed against when nobody is of that name, so that it takes as long.
    nobody: Hash,
    failures: Failures,
}

struct Hash {
    salt: [u8; 16],
    hash: [u8; 32],
}

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashingFailed {
    /// No random bytes.
    #[error(transparent)]
    Randomness(#[from] RandomnessFailed),
    /// Argon2 refused its parameters.
    #[error("cannot hash a password: {0}")]
    Argon2(String),
}

/// Why somebody is not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignInRefused {
    /// Unknown name or wrong password, which look the same.
    Wrong,
    /// Too many failures for this name; try again after this.
    TooMany(Duration),
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Users {
    /// Nobody at all.
    pub fn none() -> Result<Self, HashingFailed> {
        Self::new(Vec::new(), HashingCost { memory_kib: 8, passes: 1 })
    }

    /// These people, with their passwords, which are forgotten once they are hashed.
    pub fn new(users: Vec<(User, Secret)>, cost: HashingCost) -> Result<Self, HashingFailed> {
        let known = users
            .into_iter()
            .map(|(user, password)| Ok((user, Hash::of(password.expose(), cost)?)))
            .collect::<Result<_, HashingFailed>>()?;
        let nobody = Hash::of("", cost)?;
        Ok(Self { known, cost, nobody, failures: Failures::new()? })
    }

    /// The two users of the demo, to be given passwords.
    pub fn demo() -> [User; 2] {
        let user = |name: &str, display_name: &str, groups: &[&str], more: &[&str]| User {
            name: name.to_owned(),
            display_name: display_name.to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            scopes: ["customer:read", "ticket:create", "account:calculate", "security:read"]
                .iter()
                .chain(more)
                .map(|&scope| scope.to_owned())
                .collect(),
        };
        [
            user("demo_user", "Demo User", &["support"], &[]),
            user("admin_user", "Admin User", &["support", "administrators"], &["admin:manage"]),
        ]
    }

    /// All people.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.known.iter().map(|(user, _)| user)
    }

    pub(crate) fn find(&self, name: &str) -> Option<&User> {
        self.iter().find(|user| user.name == name)
    }

    /// Signs in; takes as long for an unknown name as for a wrong password, and counts failures
    /// for both. Slow on purpose: not for a thread that serves others.
    pub(crate) fn sign_in(&self, name: &str, password: &str) -> Result<&User, SignInRefused> {
        self.failures.allow(name).map_err(SignInRefused::TooMany)?;
        let known = self.known.iter().find(|(user, _)| user.name == name);
        let hash = known.map_or(&self.nobody, |(_, hash)| hash);
        let same = hash.is_of(password, self.cost);
        match known.filter(|_| same) {
            Some((user, _)) => {
                self.failures.forget(name);
                Ok(user)
            }
            None => Err(SignInRefused::Wrong),
        }
    }
}

impl Hash {
    fn of(password: &str, cost: HashingCost) -> Result<Self, HashingFailed> {
        let mut salt = [0; 16];
        rand::fill(&mut salt).map_err(|_| RandomnessFailed)?;
        let hash = argon2id(password, &salt, cost)
            .map_err(|error| HashingFailed::Argon2(error.to_string()))?;
        Ok(Self { salt, hash })
    }

    fn is_of(&self, password: &str, cost: HashingCost) -> bool {
        argon2id(password, &self.salt, cost)
            .is_ok_and(|hash| constant_time::verify_slices_are_equal(&hash, &self.hash).is_ok())
    }
}

fn argon2id(password: &str, salt: &[u8], cost: HashingCost) -> Result<[u8; 32], argon2::Error> {
    let params = Params::new(cost.memory_kib, cost.passes, 1, Some(32))?;
    let mut hash = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
        password.as_bytes(),
        salt,
        &mut hash,
    )?;
    Ok(hash)
}

/// Counts failures by name, in so many places and no more.
///
/// A name's place is found by a keyed hash: nobody can fill the table, choose whom to share a place
/// with, or tell from it whether a name is known.
struct Failures {
    key: Seal,
    /// Protects the counts for the length of one look; nothing awaits while holding it.
    places: Mutex<Vec<Place>>,
}

#[derive(Clone, Copy)]
struct Place {
    attempts: u32,
    since: Instant,
}

impl Failures {
    fn new() -> Result<Self, RandomnessFailed> {
        let place = Place { attempts: 0, since: Instant::now() };
        Ok(Self { key: Seal::generate()?, places: Mutex::new(vec![place; PLACES]) })
    }

    /// Counts an attempt before it is made, so that many at once are no way around.
    fn allow(&self, name: &str) -> Result<(), Duration> {
        self.at(name, |place| {
            let age = place.since.elapsed();
            if place.attempts == 0 || age >= WINDOW {
                *place = Place { attempts: 1, since: Instant::now() };
                return Ok(());
            }
            if place.attempts >= ATTEMPTS {
                return Err(WINDOW.saturating_sub(age));
            }
            place.attempts += 1;
            Ok(())
        })
        .unwrap_or(Err(WINDOW))
    }

    fn forget(&self, name: &str) {
        self.at(name, |place| place.attempts = 0);
    }

    fn at<R>(&self, name: &str, look: impl FnOnce(&mut Place) -> R) -> Option<R> {
        let mut hash = 0_usize;
        for byte in self.key.of(&[name]).bytes().take(8) {
            hash = hash.wrapping_mul(64).wrapping_add(usize::from(byte));
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.get_mut(hash % PLACES).map(look)
    }
}

/// Guesses at one name within the window: enough for a typing error, too few for a dictionary.
const ATTEMPTS: u32 = 5;
const WINDOW: Duration = Duration::from_secs(300);
/// A few dozen KiB.
const PLACES: usize = 1021;

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let [user, _] = Users::demo();
        let password = Secret::new("right");
        Users::new(vec![(user, password)], HashingCost { memory_kib: 8, passes: 1 }).unwrap()
    }

    #[test]
    fn the_right_password_signs_in_and_no_other() {
        let users = users();
        assert_eq!(users.sign_in("demo_user", "right").unwrap().name, "demo_user");
        for (name, password) in
            [("demo_user", "wrong"), ("demo_user", ""), ("nobody", "right"), ("nobody", "")]
        {
            assert_eq!(users.sign_in(name, password).unwrap_err(), SignInRefused::Wrong, "{name}");
        }
    }

    #[test]
    fn guessing_ends_after_five_failures_for_known_and_unknown_names_alike() {
        for name in ["demo_user", "nobody"] {
            let users = users();
            for _ in 0..ATTEMPTS {
                assert_eq!(users.sign_in(name, "wrong").unwrap_err(), SignInRefused::Wrong);
            }
            let refused = users.sign_in(name, "right").unwrap_err();
            assert!(matches!(refused, SignInRefused::TooMany(_)), "{name}: {refused:?}");
        }
    }

    #[test]
    fn a_success_forgets_the_failures() {
        let users = users();
        for _ in 0..3 {
            for _ in 0..ATTEMPTS - 1 {
                users.sign_in("demo_user", "wrong").unwrap_err();
            }
            users.sign_in("demo_user", "right").unwrap();
        }
    }

    /// The fastest of a few attempts at `name`, as a guesser would measure it.
    fn fastest(users: &Users, name: &str) -> Duration {
        let attempt = |_| {
            let start = Instant::now();
            users.sign_in(name, "wrong").unwrap_err();
            start.elapsed()
        };
        (0..ATTEMPTS).map(attempt).min().unwrap()
    }

    #[test]
    fn a_guess_costs_a_hash_for_known_and_unknown_names_alike() {
        let [user, _] = Users::demo();
        let password = Secret::new("right");
        let cost = HashingCost { memory_kib: 4096, passes: 1 };
        let dear = Users::new(vec![(user, password)], cost).unwrap();
        let (known, unknown) = (fastest(&dear, "demo_user"), fastest(&dear, "nobody"));
        let cheap = fastest(&users(), "demo_user");
        for (what, took) in [("known", known), ("unknown", unknown)] {
            assert!(took > 5 * cheap, "{what}: {took:?}, and {cheap:?} with a cheap hash");
        }
        assert!(known < 3 * unknown && unknown < 3 * known, "{known:?} and {unknown:?}");
    }

    #[test]
    fn no_password_is_kept() {
        let users = users();
        assert!(!format!("{users:?}").contains("right"));
    }
}
