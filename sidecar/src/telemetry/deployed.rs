//! What is documented and deployed speaks of the metrics that there are, and of no others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{family::Kind, readings::FAMILIES};

const DOCUMENTED: &str = include_str!("../../../docs/telemetry.md");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/cedargate.json");
const ALERTS: &str = include_str!("../../../deploy/prometheus/alerts.yaml");

/// The labels of every sample that is told, by its name; beside them those that a scrape adds.
fn samples() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut samples = BTreeMap::new();
    for family in FAMILIES {
        let labels: BTreeSet<_> =
            family.labels.iter().copied().chain(["instance", "job"]).collect();
        match family.kind {
            Kind::Counter | Kind::Gauge => drop(samples.insert(family.name.to_owned(), labels)),
            Kind::Histogram => {
                for (ending, more) in [("_sum", None), ("_count", None), ("_bucket", Some("le"))] {
                    let labels = labels.iter().copied().chain(more).collect();
                    samples.insert(format!("{}{ending}", family.name), labels);
                }
            }
        }
    }
    samples
}

/// What is wrong with an expression, and the labels that its samples have together.
fn looked_at(expression: &str) -> Result<BTreeSet<&'static str>, String> {
    let samples = samples();
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let mut labels = BTreeSet::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let (_, word_on) = rest.split_at(start);
        let end = word_on.find(|c| !is_part(c)).unwrap_or(word_on.len());
        let (word, after) = word_on.split_at(end);
        rest = after;
        if !["cedargate_", "process_"].iter().any(|prefix| word.starts_with(prefix)) {
            continue;
        }
        let own = samples.get(word).ok_or(format!("there is no `{word}`"))?;
        labels.extend(own);
        let Some((matchers, after)) = after.strip_prefix('{').and_then(|it| it.split_once('}'))
        else {
            continue;
        };
        rest = after;
        for matcher in matchers.split(',') {
            let name = matcher.split(['=', '!']).next().unwrap_or_default().trim();
            if !own.contains(name) {
                return Err(format!("`{word}` has no label `{name}`"));
            }
        }
    }
    for grouping in expression.split("by (").skip(1).chain(expression.split("on (").skip(1)) {
        for name in grouping.split(')').next().unwrap_or_default().split(',').map(str::trim) {
            if !labels.contains(name) {
                return Err(format!("nothing has a label `{name}`"));
            }
        }
    }
    if labels.is_empty() { Err("no metric of ours is in it".to_owned()) } else { Ok(labels) }
}

fn require(expression: &str, told: &str, marks: (&str, &str)) {
    let labels = looked_at(expression).unwrap_or_else(|what| panic!("{what}: {expression}"));
    for after in told.split(marks.0).skip(1) {
        let name = after.split(marks.1).next().unwrap_or_default().trim();
        assert!(labels.contains(name), "no label `{name}` in {expression}: {told}");
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    for (expression, wrong) in [
        ("rate(cedargate_made_up_total[5m])", "cedargate_made_up_total"),
        ("cedargate_ledger_write_seconds", "cedargate_ledger_write_seconds"),
        ("cedargate_decisions_total{person=\"x\"}", "person"),
        ("sum by (tool, person) (cedargate_decisions_total)", "person"),
        ("up == 0", "no metric"),
    ] {
        assert!(looked_at(expression).unwrap_err().contains(wrong), "{expression}");
    }
    let fine = "sum by (le, step) (rate(cedargate_step_duration_seconds_bucket{step=~\"a|b\",job!=\"x\"}[5m]))";
    assert!(looked_at(fine).is_ok());
}

#[test]
fn the_table_of_metrics_is_that_of_the_code() {
    let mut rows = Vec::new();
    for family in FAMILIES {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind) = (family.name, family.kind.name());
        rows.push(format!("| `{name}` | {kind} | {} | {} |", labels.join(", "), family.help));
    }
    let documented = DOCUMENTED
        .lines()
        .filter(|line| line.starts_with("| `cedargate_") || line.starts_with("| `process_"));
    assert_eq!(documented.collect::<Vec<_>>(), rows, "in docs/telemetry.md:\n{}", rows.join("\n"));
}

#[test]
fn names_end_in_their_units_and_are_there_once() {
    let names: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), FAMILIES.len());
    for family in FAMILIES {
        assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{family:?}");
        assert!(family.help.ends_with('.'), "{family:?}");
    }
}

#[test]
fn every_panel_shows_metrics_that_there_are() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let mut seen = 0;
    for target in targets {
        let legend = target["legendFormat"].as_str().unwrap();
        require(target["expr"].as_str().unwrap(), legend, ("{{", "}}"));
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let query = variables[1]["definition"].as_str().unwrap();
    assert!(looked_at(query).unwrap().contains("instance"), "{query}");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
}

#[test]
fn every_alert_is_about_metrics_that_there_are() {
    let alerts: Value = serde_saphyr::from_str(ALERTS).unwrap();
    let rules = alerts["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() >= 10);
    for rule in rules {
        let expression = rule["expr"].as_str().unwrap();
        for told in ["summary", "description"] {
            let told = rule["annotations"][told].as_str().unwrap();
            require(expression, told, ("$labels.", " "));
        }
        assert!(rule["labels"]["severity"].is_string(), "{rule}");
    }
}
