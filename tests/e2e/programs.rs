/// Started with a server of its own; SIGTERM: what is under way finishes, who merely listens is let go.
mod running;

use std::{os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use axum::{Router, routing::post};
use harness::{Program, Stack, eventually, free_port};
use serde_json::json;

const GATE: &str = env!("CARGO_BIN_EXE_cedargate-under-test");
const SERVER: &str = env!("CARGO_BIN_EXE_customer-mcp-server-under-test");
const ISSUER: &str = env!("CARGO_BIN_EXE_dev-authorization-server-under-test");

/// Runs a program that must refuse: its exit code and its one complaint.
fn complaint(program: &str, arguments: &[&str], folder: &Path) -> (i32, String) {
    let output = Program::run(program, arguments, folder);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!told.contains("panicked"), "{told}");
    (output.status.code().unwrap(), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_configuration_checks_out() {
    let stack = Stack::start().await;
    let output = Program::run(GATE, &["check", "--live", "--config", "gate.toml"], stack.home());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("6 policies in 6 files over 4 tools"), "{told}");
    assert!(told.contains(&format!("issuer `{}`: 1 key", stack.issuer())), "{told}");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_configurations_exit_with_64_and_name_what_is_wrong() {
    let stack = Stack::start().await;
    let home = stack.home();
    let good = std::fs::read_to_string(home.join("gate.toml")).unwrap();
    std::fs::write(home.join("empty.pem"), "").unwrap();
    std::fs::write(home.join("not-a-key.pem"), "-----BEGIN NOTHING-----").unwrap();
    std::fs::create_dir(home.join("no-policies")).unwrap();
    std::fs::copy(
        home.join("policies/schema.cedarschema"),
        home.join("no-policies/schema.cedarschema"),
    )
    .unwrap();
    for (from, to, part) in [
        ("gate.pem", "missing.pem", "missing.pem"),
        ("gate-key.pem", "missing-key.pem", "missing-key.pem"),
        ("gate-key.pem", "empty.pem", "empty.pem"),
        ("ca = \"ca.pem\"", "ca = \"missing-ca.pem\"", "missing-ca.pem"),
        ("\"assertion-key.pem\"", "\"missing-assertion.pem\"", "missing-assertion.pem"),
        ("\"assertion-key.pem\"", "\"gate-key.pem\"", "Ed25519"),
        ("\"assertion-key.pem\"", "\"not-a-key.pem\"", "not-a-key.pem"),
        ("directory = \"policies\"", "directory = \"nowhere\"", "nowhere"),
        ("directory = \"policies\"", "directory = \"no-policies\"", "holds no policy"),
        ("[policies]", "[policy]", "policy"),
        ("https://127", "ftp://127", "resource.public_url"),
        ("[listener]", "[listener", "configuration `bad.toml`"),
    ] {
        assert!(good.contains(from), "{from}");
        std::fs::write(home.join("bad.toml"), good.replace(from, to)).unwrap();
        let (code, told) = complaint(GATE, &["run", "--config", "bad.toml"], home);
        assert_eq!(code, 64, "{to}: {told}");
        assert!(told.contains(part), "{part} in {told}");
        assert!(told.starts_with("cedargate: "), "{told}");
    }
    for arguments in [&["run"] as &[&str], &["run", "--config", "nowhere.toml"], &["fly"], &[]] {
        let (code, told) = complaint(GATE, arguments, home);
        assert_eq!(code, 64, "{arguments:?}: {told}");
        assert!(!told.is_empty());
    }
    assert!(Program::run(GATE, &["--help"], home).status.success());
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let stack = Stack::start().await;
    let own = std::fs::read_to_string(stack.home().join("gate.toml")).unwrap();
    let beside = own + "\n[ledger]\ndirectory = \"ledger-beside\"\n";
    std::fs::write(stack.home().join("beside.toml"), beside).unwrap();
    let (code, told) = complaint(GATE, &["run", "--config", "beside.toml"], stack.home());
    assert_eq!(code, 64);
    assert!(
        told.contains(&stack.gate().to_string()) && told.contains("listener.address"),
        "{told}"
    );
    stack.finish().await;
}

#[tokio::test]
async fn the_environment_overrides_the_file_and_nothing_else_does() {
    let stack = Stack::start().await;
    let output = std::process::Command::new(GATE)
        .args(["check", "--config", "gate.toml"])
        .current_dir(stack.home())
        .env("CEDARGATE_POLICIES__DIRECTORY", "elsewhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("elsewhere"), "{told}");
    let output = std::process::Command::new(GATE)
        .args(["check", "--config", "gate.toml"])
        .current_dir(stack.home())
        .env("CEDARGATE_POLICIES__DIRECTROY", "x")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.to_lowercase().contains("directroy"), "{told}");
    stack.finish().await;
}

#[tokio::test]
async fn the_server_does_not_start_without_a_trusted_key() {
    let stack = Stack::start().await;
    let home = stack.home();
    std::fs::write(home.join("no-keys.json"), r#"{"keys":[]}"#).unwrap();
    std::fs::write(home.join("not-json.json"), "keys").unwrap();
    let rsa = serde_json::to_string(&stack.signing_key().jwks()).unwrap();
    std::fs::write(home.join("rsa.json"), rsa).unwrap();
    for file in ["missing.json", "no-keys.json", "not-json.json", "rsa.json"] {
        let arguments = [
            "--listen",
            "127.0.0.1:0",
            "--certificate",
            "upstream.pem",
            "--key",
            "upstream-key.pem",
            "--assertion-jwks",
            file,
            "--database",
            "never.sqlite",
        ];
        let (code, told) = complaint(SERVER, &arguments, home);
        assert_eq!(code, 64, "{file}: {told}");
        assert!(told.contains(file), "{told}");
        assert!(!home.join("never.sqlite").exists(), "nothing half made");
    }
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--certificate",
        "upstream.pem",
        "--key",
        "upstream-key.pem",
        "--assertion-jwks",
        "assertion-jwks.json",
        "--database",
        "no/such/folder/c.sqlite",
    ];
    let (code, told) = complaint(SERVER, &arguments, home);
    assert_eq!(code, 64, "{told}");
    assert!(told.contains("no/such/folder/c.sqlite"), "{told}");
    stack.finish().await;
}

#[tokio::test]
async fn the_issuer_tells_its_secrets_to_one_file_and_serves() {
    let stack = Stack::start().await;
    let home = stack.home();
    let address = format!("127.0.0.1:{}", free_port());
    std::fs::write(home.join("passwords"), "demo_user=one=two\nadmin_user=three\n").unwrap();
    let usual = ["--certificate", "upstream.pem", "--key", "upstream-key.pem"];
    let resource = ["--resource", "https://127.0.0.1:8443/mcp"];
    let more = ["--listen", &address, "--secrets-file", "told", "--passwords", "passwords"];
    let arguments = [&usual[..], &resource, &more, &["--rotate-every", "1h"]].concat();
    let issuer = Program::start(ISSUER, &arguments, home);
    let url = format!("https://{address}");
    let health = format!("{url}/health");
    eventually("it serves", async || stack.http().get(&health).send().await.is_ok()).await;
    let rotate = stack.http().post(format!("{url}/test/rotate-keys")).send().await.unwrap();
    assert_eq!(rotate.status(), 404, "tests have to ask for their endpoints");

    let file = std::fs::metadata(home.join("told")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let told = std::fs::read_to_string(home.join("told")).unwrap();
    assert!(told.contains(&format!("issuer {url}\n")), "{told}");
    assert!(told.contains("user demo_user  password one=two "), "{told}");
    let line = told.lines().find(|line| line.starts_with("client mcp-secure-client ")).unwrap();
    let secret = line.split("secret ").nth(1).unwrap().split(' ').next().unwrap();
    let form = [("grant_type", "client_credentials")];
    let asked = stack.http().post(format!("{url}/token")).form(&form);
    let asked = asked.basic_auth("mcp-secure-client", Some(secret)).send().await.unwrap();
    assert_eq!(asked.status(), 200);

    let (code, again) = complaint(ISSUER, &[&usual[..], &resource, &more[2..]].concat(), home);
    assert_eq!(code, 64, "the file is there already: {again}");
    issuer.signal("TERM");
    let (status, log) = issuer.finish().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains(secret) && !log.contains("one=two"), "{log}");
    stack.finish().await;
}

#[tokio::test]
async fn the_issuer_does_not_start_where_others_could_reach_it_or_without_a_word() {
    let stack = Stack::start().await;
    let usual = ["--certificate", "upstream.pem", "--key", "upstream-key.pem"];
    let good = ["--resource", "https://127.0.0.1:8443/mcp"];
    std::fs::write(stack.home().join("half"), "demo_user=x\n").unwrap();
    for (arguments, part) in [
        (&[&usual[..], &good, &["--listen", "0.0.0.0:0"]].concat(), "loopback"),
        (&[&usual[..], &["--listen", "127.0.0.1:0"]].concat(), "--resource"),
        (&[&usual[..], &good, &["--rotate-every", "soon"]].concat(), "rotate-every"),
        (&[&usual[..], &good, &["--passwords", "nowhere"]].concat(), "nowhere"),
        (&[&usual[..], &good, &["--passwords", "half"]].concat(), "admin_user"),
    ] {
        let (code, told) = complaint(ISSUER, arguments, stack.home());
        assert_eq!(code, 64, "{arguments:?}: {told}");
        assert!(told.contains(part), "{part} in {told}");
    }
    let help = Program::run(ISSUER, &["--help"], stack.home());
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("client_credentials"));
    stack.finish().await;
}
