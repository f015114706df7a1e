//! Servers of models that are none of ours: a mock of every provider's interface, and a gateway
//! that many put before providers. Both run on loopback and are killed when dropped.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{Neighbour, free_port};

/// aimock: answers as its fixtures say, in the interface of whichever provider it is asked in.
#[derive(Debug)]
pub struct Aimock {
    process: Child,
    address: String,
    // Kept open: it goes on writing.
    says: BufReader<ChildStdout>,
}

/// A LiteLLM proxy.
#[derive(Debug)]
pub struct LiteLlm {
    process: Child,
    address: String,
}

impl Aimock {
    /// Starts it with these fixtures, if it is there.
    pub fn start(fixtures: &Value, folder: &Path) -> Option<Self> {
        let (node, modules) = Neighbour::node_with("@copilotkit/aimock")?;
        let file = folder.join("aimock.json");
        std::fs::write(&file, fixtures.to_string()).unwrap();
        let mut process = Command::new(node.program)
            .arg(modules.join("@copilotkit/aimock/dist/cli.js"))
            .args(["--port", "0", "--strict", "--fixtures"])
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let says = BufReader::new(process.stdout.take().unwrap());
        let mut started = Self { process, address: String::new(), says };
        started.listens();
        Some(started)
    }

    fn listens(&mut self) {
        let mut line = String::new();
        while self.says.read_line(&mut line).unwrap() > 0 {
            if let Some((_, address)) = line.trim().split_once("listening on ") {
                address.clone_into(&mut self.address);
                return;
            }
            line.clear();
        }
        panic!("aimock ended before it listened");
    }

    /// `http://127.0.0.1:…`, without a path.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl LiteLlm {
    /// The key that it wants.
    pub const KEY: &str = "sk-litellm-only-in-tests";

    /// Starts it with these models (`model_list` of its configuration), if it is there; it takes
    /// some ten seconds.
    pub async fn start(models: &Value, folder: &Path) -> Option<Self> {
        let python = Neighbour::python_with_litellm()?;
        let (port, file) = (free_port(), folder.join("litellm.yaml"));
        let config = serde_json::json!({
            "model_list": models,
            "general_settings": { "master_key": Self::KEY },
        });
        std::fs::write(&file, config.to_string()).unwrap();
        let process = Command::new(python.program)
            .args(["-c", "import litellm; litellm.run_server()", "--host", "127.0.0.1"])
            .args(["--port", &port.to_string(), "--config"])
            .arg(&file)
            .current_dir(folder)
            // Else it fetches a price list from the internet, and waits for it.
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut started = Self { process, address: format!("http://127.0.0.1:{port}") };
        started.answers().await;
        Some(started)
    }

    /// `http://127.0.0.1:…`, without a path.
    pub fn address(&self) -> &str {
        &self.address
    }

    async fn answers(&mut self) {
        let (http, url) = (reqwest::Client::new(), format!("{}/health/liveliness", self.address));
        for _ in 0..1200 {
            if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            assert!(self.process.try_wait().unwrap().is_none(), "LiteLLM ended");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("LiteLLM did not start within two minutes");
    }
}

impl Drop for Aimock {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

impl Drop for LiteLlm {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

fn end(process: &mut Child) {
    // It may have ended by itself.
    drop(process.kill());
    drop(process.wait());
}
