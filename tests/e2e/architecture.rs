use std::process::Command;

use harness::{repository, skip};

fn tree(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO"))
        .arg("tree")
        .args(arguments)
        .args(["--prefix", "none", "--format", "{lib}"])
        .current_dir(repository())
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_gate_links_no_model_no_server_no_issuer_and_no_demo() {
    let (ok, linked) = tree(&["--package", "sidecar", "--edges", "normal,build"]);
    assert!(ok && linked.contains("cedar_policy"), "{linked}");
    for foreign in [
        "genai",
        "rmcp",
        "oauth2",
        "server",
        "client",
        "demo",
        "dev_authorization_server",
        "dev_certificates",
    ] {
        assert!(!linked.lines().any(|line| line == foreign), "the gate links `{foreign}`");
    }
}

#[test]
fn there_is_one_crypto_provider_and_no_rsa_of_rustcrypto() {
    for unwanted in ["ring", "rsa", "openssl-sys", "native-tls"] {
        let (_, found) = tree(&["--workspace", "--invert", unwanted]);
        assert!(found.trim().is_empty(), "{unwanted} is linked through: {found}");
    }
}

#[test]
fn no_private_key_is_committed() {
    let tracked = Command::new("git").arg("ls-files").current_dir(repository()).output();
    let Some(tracked) = tracked.ok().filter(|output| output.status.success()) else {
        return skip("git, and a checkout it knows");
    };
    for name in String::from_utf8(tracked.stdout).unwrap().lines() {
        let Ok(text) = std::fs::read_to_string(repository().join(name)) else { continue };
        let begins = text.lines().any(|line| {
            line.starts_with("-----BEGIN ") && line.trim_end().ends_with("PRIVATE KEY-----")
        });
        assert!(!begins, "{name} holds a private key");
    }
}
