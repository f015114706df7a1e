//! Real neighbours: programs that a test starts when they are there.

use std::{io::Write as _, path::PathBuf, process::Command};

/// A program and what it needs.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// The program.
    pub program: PathBuf,
}

impl Neighbour {
    /// A Python that has the official MCP SDK: `$CEDARGATE_TEST_PYTHON`, else `python3`.
    pub fn python_with_mcp() -> Option<Self> {
        Self::python_with("mcp.client.streamable_http")
    }

    /// A Python that has this module: `$CEDARGATE_TEST_PYTHON`, else `python3`.
    pub fn python_with(module: &str) -> Option<Self> {
        let program =
            std::env::var_os("CEDARGATE_TEST_PYTHON").map_or("python3".into(), PathBuf::from);
        let there = Command::new(&program).args(["-c", &format!("import {module}")]).output();
        there.is_ok_and(|output| output.status.success()).then_some(Self { program })
    }

    /// A Python that has LiteLLM's proxy: `$CEDARGATE_TEST_LITELLM_PYTHON`. It is a folder of its
    /// own because it brings several hundred megabytes and pins what others use.
    pub fn python_with_litellm() -> Option<Self> {
        let program = PathBuf::from(std::env::var_os("CEDARGATE_TEST_LITELLM_PYTHON")?);
        // Importing it takes seconds; whether it is there is known at once.
        let asked = "import importlib.util as i, sys; sys.exit(i.find_spec('litellm') is None)";
        let there = Command::new(&program).args(["-c", asked]).output();
        there.is_ok_and(|output| output.status.success()).then_some(Self { program })
    }

    /// A Node whose modules folder `$CEDARGATE_TEST_NODE_MODULES` has the official MCP SDK.
    pub fn node_with_mcp() -> Option<(Self, PathBuf)> {
        Self::node_with("@modelcontextprotocol/client")
    }

    /// A Node whose modules folder `$CEDARGATE_TEST_NODE_MODULES` has this package.
    pub fn node_with(package: &str) -> Option<(Self, PathBuf)> {
        let modules = Self::node_modules()?;
        let sdk = modules.join(package).join("package.json");
        let there = Command::new("node").arg("--version").output();
        let there = there.is_ok_and(|output| output.status.success()) && sdk.is_file();
        there.then_some((Self { program: "node".into() }, modules))
    }

    /// The modules folder `$CEDARGATE_TEST_NODE_MODULES`.
    pub(crate) fn node_modules() -> Option<PathBuf> {
        std::env::var_os("CEDARGATE_TEST_NODE_MODULES").map(PathBuf::from)
    }
}

/// Says that a test was skipped and what it needs, also where the output of tests is captured; in
/// CI, where nothing may be skipped (`CEDARGATE_TEST_NOTHING_SKIPPED`), fails instead.
pub fn skip(what: &str) {
    // The macros that print are captured, the stream itself is not.
    drop(writeln!(std::io::stderr(), "skipped: needs {what}"));
    assert!(
        std::env::var_os("CEDARGATE_TEST_NOTHING_SKIPPED").is_none(),
        "skipped where nothing may be skipped: needs {what}"
    );
}
