use std::process::Command;

use harness::{repository, skip};
use serde_json::Value;

/// Runs promtool; nothing where it is not installed.
fn promtool(arguments: &[&str]) -> Option<(bool, String)> {
    let mut command = Command::new("promtool");
    let output = command.args(arguments).current_dir(repository()).output().ok()?;
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    Some((output.status.success(), told.concat()))
}

#[test]
fn prometheus_takes_the_alerts_and_they_fire_when_they_should() {
    for arguments in [
        ["check", "rules", "deploy/prometheus/alerts.yaml"],
        ["test", "rules", "deploy/prometheus/alerts.test.yaml"],
    ] {
        let Some((fine, told)) = promtool(&arguments) else { return skip("promtool") };
        assert!(fine, "{told}");
    }
}

/// Each panel's expression as a recording rule, which promtool can check.
#[test]
fn prometheus_reads_every_expression_of_the_dashboard() {
    let text = std::fs::read(repository().join("deploy/grafana/cedargate.json")).unwrap();
    let dashboard: Value = serde_json::from_slice(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let expressions = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let rules: Vec<Value> = expressions
        .enumerate()
        .map(|(number, target)| {
            let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
            serde_json::json!({ "record": format!("panel:{number}"), "expr": expression })
        })
        .collect();
    assert!(rules.len() > 30);
    // JSON is YAML.
    let group = serde_json::json!({ "groups": [{ "name": "panels", "rules": rules }] });
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), group.to_string()).unwrap();
    let path = file.path().to_str().unwrap();
    let Some((fine, told)) = promtool(&["check", "rules", path]) else { return skip("promtool") };
    assert!(fine, "{told}");
}
