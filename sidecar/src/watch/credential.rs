//! Arguments or results hold what looks like a credential.
//!
//! Rule: any of the shapes of [`CredentialKind`], each with a fixed beginning, an alphabet and a
//! length, where a word begins. Looking costs one pass over the bytes.
//!
//! False alarms: examples in documentation, since an example looks like what it is an example of
//! (Amazon's own, which end in `EXAMPLE`, are left out); a JSON Web Token that was meant to be passed
//! on. Passwords and keys without a shape are not found, nor is anything that is encoded, encrypted or
//! split over several texts.

use std::sync::LazyLock;

use aho_corasick::{
    AhoCorasick,
    packed::{self, MatchKind},
};
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::finding::{Detector, Severity, Suspicion};

/// What kind of credential something looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CredentialKind {
    /// Three parts in base64url, of which two are JSON objects.
    JsonWebToken,
    /// `AKIA` or `ASIA` and 16 more: the public half of a pair, seldom far from the other.
    AmazonKeyId,
    /// `ghp_`, `gho_`, `ghu_`, `ghs_`, `ghr_` or `github_pat_`.
    GitHubToken,
    /// `xoxb-` and its like.
    SlackToken,
    /// The first line of a private key in PEM.
    PrivateKey,
    /// `AIza` and 35 more.
    GoogleApiKey,
    /// `sk_live_` or `rk_live_`.
    StripeKey,
}

/// Where a credential was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SeenIn {
    /// A caller sent it.
    Arguments,
    /// The upstream answered with it.
    Results,
}

/// Finds the places where a credential might begin. Of two that overlap it finds the first; the second
/// would begin within a word, since nothing but words are looked for.
enum Searcher {
    OfSeveralBytes(packed::Searcher),
    /// Where the processor cannot do that.
    OfEach(AhoCorasick),
    Unusable,
}

impl Searcher {
    fn new() -> Self {
        let mut builder = packed::Config::new().match_kind(MatchKind::LeftmostFirst).builder();
        builder.extend(BEGINNINGS);
        match (builder.build(), AhoCorasick::new(BEGINNINGS)) {
            (Some(packed), _) => Self::OfSeveralBytes(packed),
            (None, Ok(plain)) => Self::OfEach(plain),
            // Too many to count, which they are not.
            (None, Err(_)) => Self::Unusable,
        }
    }
}

impl CredentialKind {
    fn severity(self) -> Severity {
        match self {
            Self::JsonWebToken | Self::AmazonKeyId => Severity::Medium,
            Self::GoogleApiKey | Self::SlackToken => Severity::High,
            Self::GitHubToken | Self::StripeKey | Self::PrivateKey => Severity::Critical,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::JsonWebToken => "a JSON Web Token",
            Self::AmazonKeyId => "an Amazon access key id",
            Self::GitHubToken => "a GitHub token",
            Self::SlackToken => "a Slack token",
            Self::PrivateKey => "a private key",
            Self::GoogleApiKey => "a Google API key",
            Self::StripeKey => "a Stripe key",
        }
    }
}

pub(super) fn suspicion(kind: CredentialKind, seen_in: SeenIn, record: Uuid) -> Suspicion {
    let place = match seen_in {
        SeenIn::Arguments => "the arguments of a call",
        SeenIn::Results => "what the upstream answered",
    };
    Suspicion {
        detector: Detector::CredentialSeen,
        severity: kind.severity(),
        explanation: format!("what looks like {} was in {place}", kind.words()),
        evidence: vec![record],
    }
}

/// The worst credential in the text, as far as one can tell by its shape.
///
/// Linear in its length: one pass finds where one might begin, and of what begins there each byte is
/// looked at three times at most.
pub(crate) fn credentials_in(text: &[u8]) -> Option<CredentialKind> {
    match unescaped(text) {
        Some(plain) => worst_in(&plain),
        None => worst_in(text),
    }
}

fn worst_in(text: &[u8]) -> Option<CredentialKind> {
    match &*SEARCHER {
        Searcher::OfSeveralBytes(packed) => {
            worst_of(text, packed.find_iter(text).map(|found| found.start()))
        }
        Searcher::OfEach(plain) => worst_of(text, plain.find_iter(text).map(|found| found.start())),
        Searcher::Unusable => None,
    }
}

fn worst_of(text: &[u8], places: impl Iterator<Item = usize>) -> Option<CredentialKind> {
    let kinds = places.filter_map(|place| {
        let (before, from_here) = text.split_at_checked(place)?;
        ends_between_words(before).then(|| begins(from_here)).flatten()
    });
    kinds.max_by_key(|kind| kind.severity())
}

/// Whether a word can begin after this. What JSON writes as `\n` or `\u000a` stands between words
/// too, and so it does where JSON stands within JSON.
fn ends_between_words(before: &[u8]) -> bool {
    match before {
        [] | [.., b'\\', b'b' | b'f' | b'n' | b'r' | b't'] => true,
        [.., b'\\', b'u', _, _, _, _] => true,
        [.., last] => !is_base64url(*last),
    }
}

/// The text without escapes of characters that need none (`\u002d`), if it has any: by them words
/// that everybody reads would be hidden from whoever looks at bytes.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let mut taken = 0;
    for start in ESCAPE.find_iter(text) {
        let end = start + ESCAPE.needle().len() + 2;
        let digits = text.get(end - 2..end).unwrap_or_default();
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'));
        let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
            continue;
        };
        if byte.is_ascii_graphic() || byte == b' ' {
            plain.extend_from_slice(text.get(taken..start).unwrap_or_default());
            plain.push(byte);
            taken = end;
        }
    }
    (taken > 0).then(|| {
        plain.extend_from_slice(text.get(taken..).unwrap_or_default());
        plain
    })
}

fn begins(text: &[u8]) -> Option<CredentialKind> {
    match text.first()? {
        b'e' => is_json_web_token(text).then_some(CredentialKind::JsonWebToken),
        b'A' if is_amazon_key_id(text) => Some(CredentialKind::AmazonKeyId),
        b'A' => is_google_key(text).then_some(CredentialKind::GoogleApiKey),
        b'g' => is_github_token(text).then_some(CredentialKind::GitHubToken),
        b'x' => is_slack_token(text).then_some(CredentialKind::SlackToken),
        b's' | b'r' => is_stripe_key(text).then_some(CredentialKind::StripeKey),
        b'-' => is_private_key(text).then_some(CredentialKind::PrivateKey),
        _ => None,
    }
}

/// RFC 7515 section 3.1, with a header and claims: an object begins with `eyJ` in base64url.
fn is_json_web_token(text: &[u8]) -> bool {
    let object = |text| {
        let (part, after) = word(text, is_base64url);
        let is_object = part.len() >= MIN_JWT_PART && part.starts_with(b"eyJ");
        after.strip_prefix(b".").filter(|_| is_object)
    };
    let signature = |text| word(text, is_base64url).0.len();
    object(text).and_then(object).is_some_and(|rest| signature(rest) >= MIN_JWT_PART)
}

fn is_amazon_key_id(text: &[u8]) -> bool {
    let (word, _) = word(text, is_word);
    word.len() == 20
        && (word.starts_with(b"AKIA") || word.starts_with(b"ASIA"))
        && word.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        && !word.ends_with(b"EXAMPLE")
}

fn is_google_key(text: &[u8]) -> bool {
    text.starts_with(b"AIza") && word(text, is_base64url).0.len() == 39
}

fn is_github_token(text: &[u8]) -> bool {
    let classic = [&b"ghp_"[..], b"gho_", b"ghu_", b"ghs_", b"ghr_"];
    if classic.iter().any(|prefix| text.starts_with(prefix)) {
        return rest_of_word(text, 4, |byte| byte.is_ascii_alphanumeric()) >= 36;
    }
    text.starts_with(b"github_pat_") && rest_of_word(text, 11, is_word) >= 60
}

fn is_slack_token(text: &[u8]) -> bool {
    let kinds = [&b"xoxa-"[..], b"xoxb-", b"xoxe-", b"xoxp-", b"xoxr-", b"xoxs-"];
    let is_kind = kinds.iter().any(|prefix| text.starts_with(prefix));
    let of_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    is_kind && text.get(5).is_some_and(u8::is_ascii_alphanumeric) && {
        let (word, _) = word(text, of_token);
        (24..=MAX_SLACK_TOKEN).contains(&word.len()) && word.iter().any(u8::is_ascii_digit)
    }
}

fn is_stripe_key(text: &[u8]) -> bool {
    (text.starts_with(b"sk_live_") || text.starts_with(b"rk_live_"))
        && rest_of_word(text, 8, |byte| byte.is_ascii_alphanumeric()) >= 20
}

/// RFC 7468 section 10 and 11, and what others write between `BEGIN` and `PRIVATE KEY`.
fn is_private_key(text: &[u8]) -> bool {
    let Some(label) = text.strip_prefix(b"-----BEGIN ") else { return false };
    let label = label.get(..MAX_PEM_LABEL.min(label.len())).unwrap_or_default();
    let (label, after) =
        word(label, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
    let is_private = label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK");
    is_private && after.starts_with(b"-----")
}

/// The word that the text begins with, and what follows it.
fn word(text: &[u8], of_word: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let length = text.iter().take_while(|byte| of_word(**byte)).count();
    text.split_at_checked(length).unwrap_or((text, &[]))
}

/// How long a word goes on after its beginning.
fn rest_of_word(text: &[u8], beginning: usize, of_word: impl Fn(u8) -> bool) -> usize {
    word(text.get(beginning..).unwrap_or_default(), of_word).0.len()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A word of these begins where none of them stands before, so that none is looked at from each of
/// its bytes on.
fn is_base64url(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

/// How those begin for which `begins` looks.
const BEGINNINGS: [&str; 14] = [
    "eyJ",
    "AKIA",
    "ASIA",
    "AIza",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "xox",
    "sk_live_",
    "rk_live_",
    "-----BEGIN ",
];
static SEARCHER: LazyLock<Searcher> = LazyLock::new(Searcher::new);
/// How JSON can write any of the first 256 characters.
static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\\u00"));
/// The shortest header that names an algorithm is longer.
const MIN_JWT_PART: usize = 12;
/// Several times as long as they are.
const MAX_SLACK_TOKEN: usize = 512;
/// `BEGIN ENCRYPTED PRIVATE KEY-----` and longer ones.
const MAX_PEM_LABEL: usize = 64;

#[cfg(test)]
mod tests;
