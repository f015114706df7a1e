//! `cedargate test`: what policies are meant to decide, held against what they do decide.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Serialize;
use serde_json::json;

use super::{
    ConfigFile, load_quietly,
    matrix::matrix,
    report,
    report::styled,
    schema::difference,
    trial_file::{PolicyTest, read_all},
};
use crate::{
    authz::{Lock, Policies, PolicyError, offer::Offer},
    config::Config,
    files,
};

/// Run the tests of the policies, and compare the access matrix
///
/// Tests are YAML files in the folder `tests` beside the policies. The access matrix is matrix.txt
/// there: who may do what, to be reviewed like code. Exit code 1 when a test fails or the matrix says
/// something else.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct TestArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Write the access matrix anew instead of comparing it
    #[arg(long)]
    write: bool,
    /// Write the tests to this folder, as `cedar run-tests` of the stock Cedar CLI reads them
    #[arg(long, value_name = "FOLDER")]
    export: Option<PathBuf>,
    /// Say it in JSON
    #[arg(long)]
    json: bool,
}

/// What became of one test.
#[derive(Serialize)]
struct Outcome {
    file: PathBuf,
    name: String,
    passed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<String>,
}

pub(super) fn test(arguments: TestArguments) -> ExitCode {
    let TestArguments { file, write, export, json: as_json } = arguments;
    let config = match load_quietly(&file.config, None) {
        Ok(config) => config,
        Err(error) => return report::error(&error, as_json),
    };
    let policies = match Policies::load(&config) {
        Ok(policies) => policies,
        Err(error) => return report::policy_error(&error, as_json),
    };
    let folder = config.policies.directory.join("tests");
    let tests = match read_all(&folder) {
        Ok(tests) => tests,
        Err(what) => return report::fault(&what, as_json),
    };
    if let Some(target) = export {
        return match export_to(&policies, &tests, &target) {
            Ok(count) => {
                anstream::println!(
                    "{} {count} tests to `{}`",
                    styled(report::GOOD, "exported"),
                    target.display()
                );
                ExitCode::SUCCESS
            }
            Err(what) => report::fault(&what, as_json),
        };
    }
    let outcomes: Vec<Outcome> = tests
        .iter()
        .flat_map(|(path, tests)| tests.iter().map(move |test| (path, test)))
        .map(|(path, test)| run(&policies, path, test))
        .collect();
    match compare_matrix(&config, &policies, write) {
        Ok(matrix) => tell(&outcomes, &matrix, as_json),
        Err(what) => report::fault(&what, as_json),
    }
}

fn run(policies: &Policies, path: &Path, test: &PolicyTest) -> Outcome {
    let failures =
        match test.trial().and_then(|trial| policies.try_out(&trial).map_err(|e| e.to_string())) {
            Err(what) => vec![what],
            Ok(tried) => {
                let set = |all: &[String]| all.iter().cloned().collect::<BTreeSet<String>>();
                let mut failures = Vec::new();
                if tried.decision() != test.expect {
                    let because = match tried.policies() {
                        [] => String::new(),
                        by => format!(" by {}", by.join(", ")),
                    };
                    failures.push(format!(
                        "expected `{}`, decided `{}`{because}",
                        test.expect,
                        tried.decision()
                    ));
                }
                for (what, expected, found) in [
                    ("by", &test.by, set(tried.policies())),
                    ("required-scopes", &test.required_scopes, set(tried.required_scopes())),
                    ("shadow", &test.shadow, set(&tried.shadow)),
                ] {
                    if expected.as_ref().is_some_and(|expected| *expected != found) {
                        let listed = |all: &BTreeSet<String>| {
                            all.iter().cloned().collect::<Vec<_>>().join(", ")
                        };
                        let expected = expected.as_ref().map(listed).unwrap_or_default();
                        failures.push(format!(
                            "`{what}`: expected [{expected}], found [{}]",
                            listed(&found)
                        ));
                    }
                }
                failures
            }
        };
    let name = test.name.clone();
    Outcome { file: path.to_owned(), name, passed: failures.is_empty(), failures }
}

/// How the matrix compares.
struct Matrix {
    path: PathBuf,
    same: bool,
    written: bool,
    difference: String,
}

fn compare_matrix(config: &Config, policies: &Policies, write: bool) -> Result<Matrix, String> {
    let path = config.policies.directory.join("matrix.txt");
    let offer = match config.policies.lock.exists() {
        true => Lock::read(&config.policies.lock)
            .map_err(|e: PolicyError| e.to_string())?
            .offer()
            .clone(),
        false => Offer::default(),
    };
    let now = matrix(policies, &offer);
    if write {
        files::replace(&path, &now)
            .map_err(|e| format!("cannot write `{}`: {e}", path.display()))?;
        return Ok(Matrix { path, same: true, written: true, difference: String::new() });
    }
    let before = match std::fs::read_to_string(&path) {
        Ok(before) => before,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(cause) => return Err(format!("cannot read `{}`: {cause}", path.display())),
    };
    let difference = difference(&before, &now, "matrix.txt");
    Ok(Matrix { path, same: before == now, written: false, difference })
}

fn tell(outcomes: &[Outcome], matrix: &Matrix, as_json: bool) -> ExitCode {
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    let good = failed == 0 && matrix.same;
    if as_json {
        report::json(&json!({ "passed": good, "tests": outcomes,
            "matrix": { "same": matrix.same, "diff": matrix.difference } }));
    } else {
        for outcome in outcomes {
            let (style, mark) =
                if outcome.passed { (report::GOOD, "ok  ") } else { (report::BAD, "FAIL") };
            anstream::println!("{} {}", styled(style, mark), outcome.name);
            for failure in &outcome.failures {
                anstream::println!("     {}: {failure}", outcome.file.display());
            }
        }
        let path = matrix.path.display();
        match (matrix.written, matrix.same) {
            (true, _) => anstream::println!("{} `{path}`", styled(report::GOOD, "wrote")),
            (false, true) => anstream::println!("{} `{path}`", styled(report::GOOD, "ok  ")),
            (false, false) => {
                anstream::println!(
                    "{} `{path}` says something else; `cedargate test --write` takes this over:",
                    styled(report::BAD, "FAIL")
                );
                anstream::println!("{}", matrix.difference.trim_end());
            }
        }
        let style = if good { report::GOOD } else { report::BAD };
        anstream::println!(
            "{}",
            styled(style, format!("{} tests, {failed} failed", outcomes.len()))
        );
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Policies, schema, entities and tests as the stock Cedar CLI reads them. Refusals that come before
/// policy are left out: Cedar knows nothing of them.
fn export_to(
    policies: &Policies,
    tests: &[(PathBuf, Vec<PolicyTest>)],
    folder: &Path,
) -> Result<usize, String> {
    let mut exported = Vec::new();
    for test in tests.iter().flat_map(|(_, tests)| tests) {
        let trial = test.trial()?;
        if let Some(mut case) = policies.as_cedar_test(&trial).map_err(|e| e.to_string())? {
            case.insert("name".to_owned(), json!(test.name));
            exported.push(case);
        }
    }
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        files::replace(&path, &text).map_err(|e| format!("cannot write `{}`: {e}", path.display()))
    };
    std::fs::create_dir_all(folder)
        .map_err(|e| format!("cannot make `{}`: {e}", folder.display()))?;
    let tests = serde_json::to_string_pretty(&exported).map_err(|e| e.to_string())?;
    write("tests.json", tests + "\n")?;
    write("policies.cedar", policies.enforced_text())?;
    Ok(exported.len())
}

const EXAMPLE: &str = "\
A test:

  - name: clerks may look at customers
    who: { scopes: [customer:read], groups: [clerks] }
    tool: get_customer_info
    arguments: { customer_id: ABC123 }
    expect: permit                    # or the reason code of the refusal
    by: [customer-read]               # optional
    required-scopes: [customer:read]  # optional, of a refusal `insufficient-scope`
    circumstances: { changed: true }  # optional; also ip, provider, model, at, calls, denials, tools";
