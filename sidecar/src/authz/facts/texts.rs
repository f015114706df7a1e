//! Facts about texts: their length, and what they are when they are URLs, paths or addresses.

use std::collections::BTreeSet;

use cedar_policy::RestrictedExpression;
use url::Url;

use super::{count, select, set_of};

/// Facts about one text.
pub(super) fn about(text: &str, wanted: &[&'static str]) -> RestrictedExpression {
    let asks_for_url = wanted.iter().any(|fact| matches!(*fact, "scheme" | "host" | "port"));
    let url = if asks_for_url { plain_url(text) } else { None };
    let url = url.as_ref();
    let string = |text: &str| RestrictedExpression::new_string(text.to_owned());
    select(wanted, |fact| match fact {
        "length" => count(text.chars().count()),
        "scheme" => string(url.map_or("", Url::scheme)),
        "host" => string(url.and_then(Url::host_str).unwrap_or_default()),
        "port" => count(url.and_then(Url::port_or_known_default).unwrap_or_default().into()),
        "path" => string(&absolute_path(text).unwrap_or_default()),
        _ => string(&email_domain(text).unwrap_or_default()),
    })
}

/// The parts of a URI of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::authz) struct Parts {
    pub(in crate::authz) scheme: String,
    pub(in crate::authz) host: String,
    /// Of any scheme, without its percent signs read.
    pub(in crate::authz) path: String,
}

/// The parts of a URI; nothing of one that readers disagree about.
pub(in crate::authz) fn parts_of(uri: &str) -> Parts {
    let Some(url) = plain_url(uri) else { return Parts::default() };
    Parts {
        scheme: url.scheme().to_owned(),
        host: url.host_str().unwrap_or_default().to_owned(),
        path: absolute_path(uri).unwrap_or_else(|| url.path().to_owned()),
    }
}

/// Facts about many texts together.
pub(super) fn about_all<'a>(
    texts: impl Iterator<Item = &'a str> + Clone,
    wanted: &[&'static str],
) -> RestrictedExpression {
    let all = |of: &dyn Fn(&str) -> Option<String>| {
        let found: BTreeSet<String> =
            texts.clone().map(|text| of(text).unwrap_or_default()).collect();
        set_of(&found.iter().map(String::as_str).collect())
    };
    select(wanted, |fact| match fact {
        "count" => count(texts.clone().count()),
        "longest" => count(texts.clone().map(|t| t.chars().count()).max().unwrap_or_default()),
        "path" => RestrictedExpression::new_string(common_folder(texts.clone())),
        "hosts" => all(&|text| Some(plain_url(text)?.host_str()?.to_owned())),
        _ => all(&email_domain),
    })
}

/// A URL on whose parts all readers agree (WHATWG against RFC 3986): without backslashes, spaces,
/// controls, or a user before the host.
pub(super) fn plain_url(text: &str) -> Option<Url> {
    if text.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control()) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    (url.username().is_empty() && url.password().is_none()).then_some(url)
}

/// The absolute path that a text is or that a file URL names, without `.`, `..` and empty steps.
/// Links in the file system are not followed.
pub(super) fn absolute_path(text: &str) -> Option<String> {
    let path = match text.strip_prefix("file://") {
        Some(_) => {
            let url = plain_url(text).filter(|url| url.host_str().is_none())?;
            url.to_file_path().ok()?.into_os_string().into_string().ok()?
        }
        None => text.to_owned(),
    };
    if !path.starts_with('/') || path.contains(['\0', '\\']) {
        return None;
    }
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    Some(format!("/{}", steps.join("/")))
}

/// The path itself of one, the deepest folder that several are in, nothing unless all are absolute.
fn common_folder<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut common: Option<Vec<String>> = None;
    for text in texts {
        let Some(path) = absolute_path(text) else { return String::new() };
        let steps: Vec<String> =
            path.split('/').filter(|step| !step.is_empty()).map(ToOwned::to_owned).collect();
        common = Some(match common {
            None => steps,
            Some(before) => {
                let same = before.iter().zip(&steps).take_while(|(one, two)| one == two).count();
                before.into_iter().take(same).collect()
            }
        });
    }
    common.map_or_else(String::new, |steps| format!("/{}", steps.join("/")))
}

/// The domain of an address with one `@` and nothing in it that could end or begin another.
fn email_domain(text: &str) -> Option<String> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c);
    if text.contains(odd) {
        return None;
    }
    let (local, domain) = text.split_once('@')?;
    (!local.is_empty() && !domain.is_empty() && !domain.contains('@'))
        .then(|| domain.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_as_text() {
        for (text, path) in [
            ("/srv/public/a.txt", Some("/srv/public/a.txt")),
            ("/srv/public/../secret", Some("/srv/secret")),
            ("//srv/./public//b/", Some("/srv/public/b")),
            ("/../../etc/passwd", Some("/etc/passwd")),
            ("/", Some("/")),
            ("srv/public", None),
            ("~/x", None),
            ("C:\\x", None),
            ("/srv/public\\..\\x", None),
            ("/a\0b", None),
            ("file:///srv/public/%2e%2e/x", Some("/srv/x")),
            ("file://host/srv/x", None),
            ("", None),
        ] {
            assert_eq!(absolute_path(text).as_deref(), path, "{text:?}");
        }
    }

    #[test]
    fn the_folder_of_several_paths_holds_them_all() {
        let of = |texts: &[&'static str]| common_folder(texts.iter().copied());
        assert_eq!(of(&["/srv/public/a", "/srv/public/b/c"]), "/srv/public");
        assert_eq!(of(&["/srv/public/a"]), "/srv/public/a");
        assert_eq!(of(&["/srv/public/a", "/srv/publicity"]), "/srv");
        assert_eq!(of(&["/srv/public/a", "/etc"]), "/");
        assert_eq!(of(&["/srv/public/a", "b"]), "");
        assert_eq!(of(&[]), "");
    }

    #[test]
    fn only_what_all_readers_take_for_the_same_host_is_one() {
        for (text, host) in [
            ("https://Example.com/x", Some("example.com")),
            ("https://example.com:8443", Some("example.com")),
            ("https://good.com\\@evil.com/", None),
            ("https://good.com@evil.com/", None),
            (" https://example.com", None),
            ("https://example.com/\n", None),
            ("example.com", None),
            ("https://[::1]/", Some("[::1]")),
            ("https://0x7f.1/", Some("127.0.0.1")),
        ] {
            let url = plain_url(text);
            assert_eq!(url.as_ref().and_then(Url::host_str), host, "{text:?}");
        }
    }

    #[test]
    fn an_address_has_one_domain() {
        for (text, domain) in [
            ("a@Example.com", Some("example.com")),
            ("a@b@example.com", None),
            ("a@example.com, c@evil.com", None),
            ("A <a@example.com>", None),
            ("@example.com", None),
            ("a@", None),
        ] {
            assert_eq!(email_domain(text).as_deref(), domain, "{text:?}");
        }
    }
}
