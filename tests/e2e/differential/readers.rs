use std::{collections::BTreeMap, fs::File, io::Write as _, path::Path, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use harness::{Neighbour, repository};
use serde_json::Value;

/// What each parser makes of one body; null where it refuses it.
pub(super) type Readings = BTreeMap<String, Value>;

/// The parser that takes no notification.
pub(super) const REQUESTS_ONLY: &str = "python modern";

/// How the Python SDK's servers read these bodies.
pub(super) fn read_by_python(python: &Neighbour, bodies: &[&[u8]]) -> Vec<Readings> {
    let mut command = Command::new(&python.program);
    command.arg(repository().join("tests/foreign/read.py"));
    read(&mut command, bodies)
}

/// How the TypeScript SDKs' servers do.
pub(super) fn read_by_typescript(
    node: &Neighbour,
    modules: &Path,
    home: &Path,
    bodies: &[&[u8]],
) -> Vec<Readings> {
    // Node looks for modules beside the script.
    let (script, beside) = (home.join("read.mjs"), home.join("node_modules"));
    std::fs::copy(repository().join("tests/foreign/read.mjs"), &script).unwrap();
    if !beside.exists() {
        std::os::unix::fs::symlink(modules, beside).unwrap();
    }
    read(Command::new(&node.program).arg(script), bodies)
}

fn read(command: &mut Command, bodies: &[&[u8]]) -> Vec<Readings> {
    let input = tempfile::NamedTempFile::new().unwrap();
    for body in bodies {
        writeln!(input.as_file(), "{}", STANDARD.encode(body)).unwrap();
    }
    let output = command.stdin(File::open(input.path()).unwrap()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaint}");
    let told = String::from_utf8(output.stdout).unwrap();
    let readings: Vec<Readings> =
        told.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(readings.len(), bodies.len(), "one line each: {complaint}");
    readings
}
