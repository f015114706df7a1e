//! What a 401 or 403 asks for (RFC 9110 section 11.6.1), read strictly or not at all.

use std::collections::BTreeSet;

use http::{HeaderMap, header::WWW_AUTHENTICATE};

/// What the challenges of one answer ask for, taken together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// `error` (RFC 6750 section 3.1, RFC 9449 section 7.1).
    pub(crate) error: Option<String>,
    /// The scopes that it takes.
    pub(crate) scopes: BTreeSet<String>,
    /// Where the resource describes itself (RFC 9728 section 5.1).
    pub(crate) resource_metadata: Option<String>,
}

impl Challenge {
    /// Reads the `Bearer` and `DPoP` challenges; whatever is malformed or said twice in one
    /// challenge counts for nothing.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut all = Self::default();
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let text = value.to_str().ok().filter(|text| text.len() <= MAX_BYTES);
            for challenge in text.and_then(read).unwrap_or_default() {
                all.error = all.error.or(challenge.error);
                all.scopes.extend(challenge.scopes);
                all.resource_metadata = all.resource_metadata.or(challenge.resource_metadata);
            }
        }
        all
    }

    /// Whether it asks for a proof with the nonce that is sent along.
    pub(crate) fn wants_nonce(&self) -> bool {
        self.error.as_deref() == Some("use_dpop_nonce")
    }

    /// Whether more scope would help.
    pub(crate) fn wants_scope(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope")
    }
}

fn read(text: &str) -> Option<Vec<Challenge>> {
    let challenges = http_auth::parse_challenges(text).ok()?;
    let ours = challenges.into_iter().filter(|challenge| {
        ["bearer", "dpop"].iter().any(|scheme| challenge.scheme.eq_ignore_ascii_case(scheme))
    });
    ours.map(|challenge| {
        let mut read = Challenge::default();
        let mut names = BTreeSet::new();
        for (name, value) in challenge.params {
            let (name, value) = (name.to_ascii_lowercase(), value.to_unescaped());
            match name.as_str() {
                "error" => read.error = Some(value),
                "scope" => read.scopes = scopes_of(&value)?,
                "resource_metadata" => read.resource_metadata = Some(value),
                _ => {}
            }
            if !names.insert(name) {
                return None;
            }
        }
        Some(read)
    })
    .collect()
}

/// The scopes in a list of them (RFC 6749 section 3.3).
pub(crate) fn scopes_of(text: &str) -> Option<BTreeSet<String>> {
    let scopes: BTreeSet<String> =
        text.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
    let sound = |scope: &String| {
        scope.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
    };
    (scopes.len() <= MAX_SCOPES && scopes.iter().all(sound)).then_some(scopes)
}

const MAX_BYTES: usize = 8 * 1024;
const MAX_SCOPES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(values: &[&str]) -> Challenge {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        Challenge::of(&headers)
    }

    #[test]
    fn a_challenge_says_what_is_missing_and_where_to_read_on() {
        let read = challenge(&[
            r#"Basic realm="x", Bearer error="insufficient_scope", scope="a b", resource_metadata="https://h/m""#,
        ]);
        assert!(read.wants_scope());
        assert_eq!(read.scopes, ["a", "b"].map(str::to_owned).into());
        assert_eq!(read.resource_metadata.as_deref(), Some("https://h/m"));
        let two = challenge(&[r#"bearer scope=a"#, r#"DPoP error="use_dpop_nonce", algs="ES256""#]);
        assert!(two.wants_nonce());
        assert_eq!(two.scopes, ["a".to_owned()].into());
    }

    #[test]
    fn what_is_malformed_counts_for_nothing() {
        for malformed in [
            r#"Bearer scope="a", scope="b""#,
            r#"Bearer scope="a"#,
            r#"Bearer scope="a" error="b""#,
            r#"Bearer scope="a\"b""#,
            "Bearer scope=\"a\tb\"",
            r#"Bearer =x"#,
            r#"Basic scope="a", error="insufficient_scope""#,
            "",
        ] {
            assert_eq!(challenge(&[malformed]), Challenge::default(), "{malformed}");
        }
        let long = format!("Bearer scope=\"{}\"", "x".repeat(9000));
        assert_eq!(challenge(&[&long]), Challenge::default());
    }
}
