//! Text with gaps for what tools returned.
//!
//! `{result}` is the text of the first result of the turn before, `{result.calculation.total}` a
//! value in it by the names of members (and the numbers of items, from 0) on the way, `{results.1}`
//! that of the second, `{problem}` why a tool did not do it. `:.2` shows a number with two
//! decimals. A brace is written twice. What is not there shows as `?`.

use serde_json::Value;

/// A text with gaps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::rehearsed) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Problem,
    Value { quote: Quote, decimals: Option<usize> },
}

/// A place in what tools returned.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Quote {
    result: usize,
    /// RFC 6901; empty means the whole result.
    pointer: String,
}

/// What a template may quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    Nothing,
    Results,
    ResultsAndProblem,
}

impl Template {
    /// Reads a template, or says what is wrong with it.
    pub(super) fn read(text: &str, quotes: Quotes) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = cut(rest) {
            plain.push_str(before);
            rest = match (after.strip_prefix("{{"), after.strip_prefix("}}")) {
                (Some(after), _) => {
                    plain.push('{');
                    after
                }
                (_, Some(after)) => {
                    plain.push('}');
                    after
                }
                _ => {
                    let gap = after.strip_prefix('{').and_then(|gap| gap.split_once('}'));
                    let (gap, after) =
                        gap.ok_or("a brace has no partner; one that is meant is written twice")?;
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                    parts.push(Part::read(gap, quotes)?);
                    after
                }
            };
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Self { parts })
    }

    /// The text with its gaps filled.
    pub(in crate::rehearsed) fn fill(&self, results: &[&str], problem: &str) -> String {
        self.parts.iter().map(|part| part.fill(results, problem)).collect()
    }
}

/// Before the next brace, and from it on.
fn cut(text: &str) -> Option<(&str, &str)> {
    text.find(['{', '}']).and_then(|at| text.split_at_checked(at))
}

impl Part {
    fn read(gap: &str, quotes: Quotes) -> Result<Self, String> {
        if gap == "problem" && quotes == Quotes::ResultsAndProblem {
            return Ok(Self::Problem);
        }
        let (quote, decimals) = match gap.split_once(":.") {
            Some((quote, digits)) => {
                let digits: Option<usize> = digits.parse().ok().filter(|digits| *digits <= 9);
                (quote, Some(digits.ok_or_else(|| format!("`{gap}`: 0 to 9 decimals"))?))
            }
            None => (gap, None),
        };
        match Quote::read(quote) {
            Some(quote) if quotes != Quotes::Nothing => Ok(Self::Value { quote, decimals }),
            _ => Err(format!("`{{{gap}}}` cannot be quoted here: {}", quotes.told())),
        }
    }

    fn fill(&self, results: &[&str], problem: &str) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Problem => problem.to_owned(),
            Self::Value { quote, decimals: None } if quote.pointer.is_empty() => {
                results.get(quote.result).map_or(MISSING, |text| text).to_owned()
            }
            Self::Value { quote, decimals } => {
                let value = quote.value(results);
                value.map_or_else(|| MISSING.to_owned(), |value| shown(&value, *decimals))
            }
        }
    }
}

impl Quote {
    /// `result`, `result.name`, `results.1.name`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut names = text.split('.');
        let result = match names.next() {
            Some("result") => 0,
            Some("results") => names.next()?.parse().ok()?,
            _ => return None,
        };
        let mut pointer = String::new();
        for name in names {
            if name.is_empty() {
                return None;
            }
            pointer.push('/');
            pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        }
        Some(Self { result, pointer })
    }

    /// The value, where there is one.
    pub(super) fn value(&self, results: &[&str]) -> Option<Value> {
        let result: Value = serde_json::from_str(results.get(self.result)?).ok()?;
        result.pointer(&self.pointer).cloned()
    }
}

impl Quotes {
    fn told(self) -> &'static str {
        match self {
            Self::Nothing => "there is nothing to quote",
            Self::Results => "`result`, `results.1` or what is in them",
            Self::ResultsAndProblem => "`problem`, `result`, `results.1` or what is in them",
        }
    }
}

fn shown(value: &Value, decimals: Option<usize>) -> String {
    match (value, decimals) {
        (Value::String(text), _) => text.clone(),
        (Value::Number(number), Some(decimals)) => number
            .as_f64()
            .map_or_else(|| number.to_string(), |number| format!("{number:.decimals$}")),
        (other, _) => other.to_string(),
    }
}

const MISSING: &str = "?";

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, results: &[&str]) -> String {
        Template::read(text, Quotes::ResultsAndProblem).unwrap().fill(results, "no scope")
    }

    #[test]
    fn gaps_are_filled_with_what_tools_returned() {
        let results =
            [r#"{"calculation":{"total":552.00,"amounts":[150,300]},"a/b~":true}"#, "plain"];
        for (text, told) in [
            ("no gap", "no gap"),
            ("{result.calculation.total:.2} and {{}}", "552.00 and {}"),
            ("{result.calculation.amounts.1}", "300"),
            ("{result.calculation.amounts}", "[150,300]"),
            ("{result.a/b~}", "true"),
            ("{result.calculation.nothing}, {results.1.name}, {results.7}", "?, ?, ?"),
            ("{results.1}!", "plain!"),
            ("not done: {problem}", "not done: no scope"),
        ] {
            assert_eq!(filled(text, &results), told, "{text}");
        }
        assert_eq!(filled("{result}", &results), results[0], "letter by letter");
    }

    #[test]
    fn what_a_tool_returns_is_no_template() {
        assert_eq!(filled("{result.name}", &[r#"{"name":"{problem}"}"#]), "{problem}");
    }

    #[test]
    fn gaps_that_cannot_be_filled_are_refused() {
        for text in [
            "{",
            "}",
            "{user}",
            "{}",
            "{result.}",
            "{results}",
            "{results.x}",
            "{result:.99}",
            "{result",
        ] {
            assert!(Template::read(text, Quotes::ResultsAndProblem).is_err(), "{text}");
        }
        assert!(Template::read("{problem}", Quotes::Results).is_err());
        assert!(Template::read("{result}", Quotes::Nothing).is_err());
    }
}
