//! Facts about texts: their length, and what they are when they are URLs, paths or addresses.

use std::collections::BTreeSet;

use cedar_policy::RestrictedExpression;
use url::{Host, Url};

use super::{count, select, set_of};

/// Facts about one text.
pub(super) fn about(text: &str, wanted: &[&'static str]) -> RestrictedExpression {
    let asks_for_url = wanted.iter().any(|fact| matches!(*fact, "scheme" | "host" | "port"));
    let url = if asks_for_url { plain_url(text) } else { None };
    let url = url.as_ref();
    let host = url.and_then(host_of).unwrap_or_default();
    let string = |text: &str| RestrictedExpression::new_string(text.to_owned());
    select(wanted, |fact| match fact {
        "length" => count(text.chars().count()),
        "scheme" => string(url.map_or("", Url::scheme)),
        "host" => string(&host),
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
    /// Of a file as it is in the file system, of any other scheme without its percent signs read.
    pub(in crate::authz) path: String,
}

/// The parts of a URI; nothing of one that readers disagree about.
pub(in crate::authz) fn parts_of(uri: &str) -> Parts {
    let Some(url) = plain_url(uri) else { return Parts::default() };
    let path = match url.scheme() {
        "file" => absolute_path(uri),
        _ => plain_path(&url).map(str::to_owned),
    };
    Parts {
        scheme: url.scheme().to_owned(),
        host: host_of(&url).unwrap_or_default(),
        path: path.unwrap_or_default(),
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
        "hosts" => all(&|text| host_of(&plain_url(text)?)),
        _ => all(&email_domain),
    })
}

/// A URL on whose parts all readers agree (WHATWG against RFC 3986): without backslashes, spaces,
/// controls or a user before the host, and with a host written in ASCII after two slashes.
pub(super) fn plain_url(text: &str) -> Option<Url> {
    if text.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control()) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let (_, after_scheme) = text.split_once(':')?;
    let authority = match after_scheme.strip_prefix("//") {
        Some(rest) => rest.split(['/', '?', '#']).next().unwrap_or_default(),
        None => "",
    };
    // To a browser `https:/x` and `https:///x` are `https://x`.
    let is_missing = authority.is_empty() && url.is_special() && url.scheme() != "file";
    (!is_missing && authority.is_ascii() && !authority.contains(['@', '%'])).then_some(url)
}

/// The host of a URL in the one form that policies compare: in lower case, without the dot that may
/// end a name (RFC 1034 section 3.1), of an IPv4 address within IPv6 that one.
fn host_of(url: &Url) -> Option<String> {
    Some(match url.host()? {
        Host::Domain(name) => {
            let name = name.to_ascii_lowercase();
            name.strip_suffix('.').map_or(name.clone(), str::to_owned)
        }
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => format!("[{address}]"),
        },
    })
}

/// The path of a URL, unless somebody might read steps upwards or slashes in it that others do not.
fn plain_path(url: &Url) -> Option<&str> {
    let path = url.path();
    let escaped = path.to_ascii_lowercase();
    let is_plain = !["%2e", "%2f", "%5c"].iter().any(|odd| escaped.contains(odd))
        && !path.split('/').any(|step| matches!(step, "." | ".."));
    is_plain.then_some(path)
}

/// The absolute path that a text is or that a file URL names, without `.`, `..` and empty steps.
/// Links in the file system are not followed.
pub(super) fn absolute_path(text: &str) -> Option<String> {
    let is_file_url = text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:"));
    let path = if is_file_url {
        // Whoever cuts the scheme off takes a query for a part of the path.
        let plain = |url: &Url| {
            url.host_str().is_none() && url.query().is_none() && url.fragment().is_none()
        };
        let url = plain_url(text).filter(plain)?;
        url.to_file_path().ok()?.into_os_string().into_string().ok()?
    } else {
        text.to_owned()
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

/// The domain of an address with one `@`, in which nothing can end or begin another, name a relay
/// or be decoded.
fn email_domain(text: &str) -> Option<String> {
    let (local, domain) = text.split_once('@')?;
    let plain = |text: &str, others: &[char]| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(&c))
    };
    (plain(local, &['.', '_', '+', '-', '\''])
        && plain(domain, &['.', '-'])
        && !domain.ends_with('.'))
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
            ("file:/srv/public/..%2f..%2fetc/x", Some("/etc/x")),
            ("FILE:///srv/public/..%2f..%2fetc/x", Some("/etc/x")),
            ("file:///srv/public/%ff/..%2f..%2fetc/x", None),
            ("file:///srv/public/..%5cx", None),
            ("file:///srv/public/%00", None),
            ("file://host/srv/x", None),
            ("file:///srv/public/x?/../../../etc/passwd", None),
            ("file:///srv/public/x#/../../../etc/passwd", None),
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
            ("https://[::ffff:169.254.169.254]/", Some("169.254.169.254")),
            ("https://evil.com./", Some("evil.com")),
            ("customer://ADMIN/x", Some("admin")),
            ("https:evil.com", None),
            ("https:/evil.com", None),
            ("https:///evil.com", None),
            ("https://@evil.com/", None),
            ("https://stra\u{df}e.de/", None),
            ("https://ev%69l.com/", None),
        ] {
            let found = plain_url(text).as_ref().and_then(host_of);
            assert_eq!(found.as_deref(), host, "{text:?}");
        }
    }

    #[test]
    fn a_resource_has_a_path_that_nobody_reads_otherwise() {
        for (uri, scheme, path) in [
            ("file:///srv/public/a%20b", "file", "/srv/public/a b"),
            ("file:/srv/public/..%2f..%2fetc/passwd", "file", "/etc/passwd"),
            ("FILE:///srv/public/..%2f..%2fetc/passwd", "file", "/etc/passwd"),
            ("file:///srv/public/%ff/..%2f..%2fetc/passwd", "file", ""),
            ("file://host/srv/public/x", "file", ""),
            ("customer:public/a", "customer", "public/a"),
            ("customer:public/../secret", "customer", ""),
            ("customer://x/public/..%2Fsecret", "customer", ""),
            ("https://x.example/public/%2e%2e/secret", "https", "/secret"),
            ("https://x.example/public/..%2fsecret", "https", ""),
        ] {
            let parts = parts_of(uri);
            assert_eq!((parts.scheme.as_str(), parts.path.as_str()), (scheme, path), "{uri}");
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
            ("o'neil+x@example.com", Some("example.com")),
            ("=?utf-8?q?u=40evil.com=3e=20?=@example.com", None),
            ("u%evil.com@example.com", None),
            ("evil.com!u@example.com", None),
            ("a@example.com.", None),
            ("a@ex\u{e4}mple.com", None),
        ] {
            assert_eq!(email_domain(text).as_deref(), domain, "{text:?}");
        }
    }
}
