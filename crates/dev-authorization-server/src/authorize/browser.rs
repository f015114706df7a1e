//! Whose browser it is: a cookie of random bits, and seals in forms that only this cookie's pages
//! can hold.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::{
    issuer::Issuer,
    secret::{RandomnessFailed, Secret},
    users::User,
};

/// One browser, by its cookie. Before its person signs in nothing about it is kept here.
#[derive(Debug)]
pub(super) struct Browser {
    cookie: Secret,
    /// Made just now, so the browser has to be told.
    fresh: bool,
}

/// The forms, each with seals of its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    SignIn,
    Consent,
}

impl Browser {
    /// The browser of this cookie, or one that gets a cookie now.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, RandomnessFailed> {
        match presented(headers) {
            Some(cookie) => Ok(Self { cookie, fresh: false }),
            None => Self::new(),
        }
    }

    pub(super) fn new() -> Result<Self, RandomnessFailed> {
        Ok(Self { cookie: Secret::generate()?, fresh: true })
    }

    /// Who signed in with it.
    pub(super) fn user<'a>(&self, issuer: &'a Issuer) -> Option<&'a User> {
        let name = issuer.sessions.get(&self.cookie.digest())?;
        issuer.users.find(&name)
    }

    /// Replaces this browser's cookie by one that is signed in, so that whoever planted or saw the
    /// old one has nothing.
    pub(super) fn sign_in(
        &self,
        issuer: &Issuer,
        user: &str,
    ) -> Result<Self, crate::refusal::Refusal> {
        self.sign_out(issuer);
        let browser = Self::new()?;
        let lifetime = issuer.lifetimes.session;
        issuer.sessions.insert(browser.cookie.digest(), user.to_owned(), lifetime)?;
        Ok(browser)
    }

    pub(super) fn sign_out(&self, issuer: &Issuer) {
        issuer.sessions.remove(&self.cookie.digest());
    }

    /// What a form for this query must bring back.
    pub(super) fn seal(&self, issuer: &Issuer, form: Form, query: &str) -> String {
        issuer.seal.of(&[form.name(), self.cookie.expose(), query])
    }

    /// Whether a form was on a page that this server made for this browser and this query.
    pub(super) fn sealed(&self, issuer: &Issuer, form: Form, query: &str, seal: &str) -> bool {
        !self.fresh && issuer.seal.fits(seal, &[form.name(), self.cookie.expose(), query])
    }

    /// The header that gives a fresh browser its cookie. `__Host-` binds it to this host and to
    /// https (RFC 6265bis section 4.1.3).
    pub(super) fn set_cookie(&self) -> Option<(header::HeaderName, HeaderValue)> {
        let text =
            format!("{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax", self.cookie.expose());
        let value = self.fresh.then(|| HeaderValue::from_str(&text).ok())??;
        Some((header::SET_COOKIE, value))
    }
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Consent => "consent",
        }
    }
}

/// The one cookie of ours, if it could be one: two of a name are somebody's trick.
fn presented(headers: &HeaderMap) -> Option<Secret> {
    let mut ours = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value);
    let value = ours.next()?;
    let well_formed = value.len() == 43
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    (ours.next().is_none() && well_formed).then(|| Secret::new(value))
}

/// Cookies do not tell ports apart, so the name is one that no neighbour on loopback has.
const COOKIE: &str = "__Host-dev-authorization-server";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_well_formed_cookie_counts() {
        let good = format!("{COOKIE}={}", "a".repeat(43));
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::COOKIE, value.parse().unwrap());
            }
            Browser::of(&headers).unwrap().fresh
        };
        assert!(!of(&[&good]));
        assert!(!of(&[&format!("other=1; {good}")]));
        assert!(of(&[]));
        assert!(of(&[&good, &good]), "twice");
        assert!(of(&[&format!("{good}b")]), "too long");
        assert!(of(&[&good.to_lowercase()]), "another name");
    }

    #[test]
    fn the_cookie_is_bound_to_host_and_https() {
        let (_, value) = Browser::new().unwrap().set_cookie().unwrap();
        let text = value.to_str().unwrap();
        assert!(text.starts_with("__Host-"), "{text}");
        assert!(text.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{text}");
    }
}
