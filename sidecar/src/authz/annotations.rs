//! What a policy's annotations ask for beside its decision: the security metadata of a tool.
//!
//! They take effect when their policy determines a permit. Of several the strictest limit, the
//! fullest audit and all redactions count. An annotation that is not known or cannot be read refuses
//! the whole set: it would be read by nobody.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use cedar_policy::Policy;

/// What determining policies ask for, together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Obligations {
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) audit: Option<AuditLevel>,
    /// Members of the result, each a path of names.
    pub(crate) redact: BTreeSet<String>,
}

/// So many calls in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RateLimit {
    pub(crate) calls: u32,
    pub(crate) per: Duration,
}

/// How much of a call goes on record, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AuditLevel {
    /// A digest of the arguments.
    NoneArgs,
    /// The arguments.
    Args,
    /// The arguments and the result.
    Full,
}

/// What one policy's annotations say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Annotations {
    pub(super) obligations: Obligations,
    /// Whether it is evaluated and recorded, and never enforced.
    pub(super) shadow: bool,
}

impl Annotations {
    /// Of a policy, or what is wrong with them.
    pub(super) fn of(policy: &Policy) -> Result<Self, String> {
        let mut annotations = Self::default();
        let obligations = &mut annotations.obligations;
        for (name, value) in policy.annotations() {
            match name {
                "id" | "description" => {}
                "rate_limit" => obligations.rate_limit = Some(value.parse()?),
                "audit" => obligations.audit = Some(value.parse()?),
                "redact" => obligations.redact = redactions(value)?,
                "mode" if value == "shadow" => annotations.shadow = true,
                "mode" => {
                    return Err(format!(
                        "`@mode({value:?})` is no mode; there is `@mode(\"shadow\")`"
                    ));
                }
                other => {
                    return Err(format!(
                        "annotation `@{other}` is not known and would have no effect; there are {KNOWN}"
                    ));
                }
            }
        }
        if policy.effect() == cedar_policy::Effect::Forbid && *obligations != Obligations::default()
        {
            return Err("a `forbid` permits nothing, so that its `@rate_limit`, `@audit` or `@redact` would have no effect; write it on the `permit`".to_owned());
        }
        Ok(annotations)
    }
}

impl Obligations {
    /// These and those.
    pub(super) fn and(mut self, other: &Self) -> Self {
        self.rate_limit = match (self.rate_limit, other.rate_limit) {
            (Some(one), Some(two)) => Some(one.stricter(two)),
            (one, two) => one.or(two),
        };
        self.audit = self.audit.max(other.audit);
        self.redact.extend(other.redact.iter().cloned());
        self
    }
}

impl RateLimit {
    /// The one that lets fewer calls through in the long run.
    pub(super) fn stricter(self, other: Self) -> Self {
        let calls_over = |one: Self, time: Duration| u128::from(one.calls) * time.as_millis();
        if calls_over(self, other.per) <= calls_over(other, self.per) { self } else { other }
    }

    /// One as people write it: `30/minute`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (calls, unit) = text.split_once('/')?;
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let calls = calls.parse::<u32>().ok().filter(|calls| *calls > 0)?;
        Some(Self { calls, per: Duration::from_secs(*seconds) })
    }
}

impl FromStr for RateLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(text).ok_or_else(|| {
            format!("`@rate_limit({text:?})` is no rate; write for instance `@rate_limit(\"30/minute\")`, per second, minute, hour or day")
        })
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, seconds)| *seconds == self.per.as_secs());
        write!(f, "{}/{}", self.calls, unit.map_or("", |(name, _)| name))
    }
}

impl AuditLevel {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoneArgs => "none-args",
            Self::Args => "args",
            Self::Full => "full",
        }
    }
}

impl FromStr for AuditLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none-args" => Ok(Self::NoneArgs),
            "args" => Ok(Self::Args),
            "full" => Ok(Self::Full),
            _ => Err(format!(
                "`@audit({text:?})` is no level; there are \"none-args\", \"args\" and \"full\""
            )),
        }
    }
}

fn redactions(text: &str) -> Result<BTreeSet<String>, String> {
    let paths: BTreeSet<String> = text.split(',').map(|path| path.trim().to_owned()).collect();
    let is_path = |path: &String| path.split('.').all(|name| !name.is_empty());
    if paths.iter().all(is_path) {
        return Ok(paths);
    }
    Err(format!(
        "`@redact({text:?})` names no members; write for instance `@redact(\"contact_info.email, notes\")`"
    ))
}

const UNITS: [(&str, u64); 4] = [("second", 1), ("minute", 60), ("hour", 3_600), ("day", 86_400)];
const KNOWN: &str = "@id, @description, @rate_limit, @audit, @redact and @mode";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(annotations: &str) -> Result<Annotations, String> {
        let text = format!("@id(\"a\") {annotations} permit (principal, action, resource);");
        Annotations::of(&text.parse().unwrap())
    }

    #[test]
    fn annotations_mean_something_or_are_refused() {
        let all = of(r#"@rate_limit("30/minute") @audit("args") @redact("a.b, c") @mode("shadow") @description("d")"#).unwrap();
        assert!(all.shadow);
        assert_eq!(all.obligations.rate_limit.unwrap().to_string(), "30/minute");
        assert_eq!(all.obligations.audit, Some(AuditLevel::Args));
        assert_eq!(all.obligations.redact.len(), 2);
        for bad in [
            r#"@rate_limit("30")"#,
            r#"@rate_limit("0/minute")"#,
            r#"@rate_limit("30/fortnight")"#,
            r#"@rate_limit("-1/second")"#,
            r#"@audit("everything")"#,
            r#"@redact("")"#,
            r#"@redact("a..b")"#,
            r#"@mode("audit")"#,
            r#"@mood("sour")"#,
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
        let on_forbid: Policy =
            r#"@id("a") @audit("full") forbid (principal, action, resource);"#.parse().unwrap();
        assert!(Annotations::of(&on_forbid).unwrap_err().contains("permits nothing"));
    }

    #[test]
    fn of_several_the_strictest_counts() {
        let one = of(r#"@rate_limit("100/hour") @audit("full") @redact("a")"#).unwrap().obligations;
        let two = of(r#"@rate_limit("2/minute") @audit("args") @redact("b")"#).unwrap().obligations;
        let both = one.clone().and(&two);
        assert_eq!(both.rate_limit, one.rate_limit);
        assert_eq!(both.audit, Some(AuditLevel::Full));
        assert_eq!(both.redact.len(), 2);
        assert_eq!(two.clone().and(&one), both);
    }
}
