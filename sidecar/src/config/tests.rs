//! Good files resolve, bad ones name every key.

use super::*;

const MINIMAL: &str = r#"
[listener]
address = "127.0.0.1:8443"
certificate = "certs/gate.pem"
key = "/etc/gate-key.pem"
[resource]
public_url = "https://gate.example.com/mcp"
scopes_supported = ["customer:read"]
[[issuers]]
issuer = "https://issuer.example.com"
[policies]
directory = "policies"
[upstream]
name = "customers"
url = "http://127.0.0.1:8445/mcp"
identity = "none"
"#;

fn resolve(text: &str) -> Result<Config, String> {
    RawConfig::parse(text)
        .and_then(|raw| raw.resolve(Path::new("/home/gate")))
        .map_err(|problems| ConfigError { file: "gate.toml".into(), problems }.to_string())
}

#[test]
fn a_minimal_file_resolves_relative_to_its_folder() {
    let config = resolve(MINIMAL).unwrap();
    assert_eq!(config.listener.certificate, Path::new("/home/gate/certs/gate.pem"));
    assert_eq!(config.listener.key, Path::new("/etc/gate-key.pem"));
    assert_eq!(config.policies.schema, Path::new("/home/gate/policies/schema.cedarschema"));
    assert_eq!(config.limits.max_body_bytes, 1024 * 1024);
    assert_eq!(config.answers.refusals, RefusalStyle::Auto);
}

#[test]
fn the_example_resolves() {
    let text = include_str!("../../cedargate.example.toml");
    resolve(text).unwrap();
}

#[test]
fn all_problems_are_told_at_once_with_their_keys() {
    let text = MINIMAL
        .replace("https://gate.example.com/mcp", "http://gate.example.com/mcp?x")
        .replace("https://issuer.example.com", "http://issuer.example.com")
        .replace("identity = \"none\"", "identity = \"assertion\"")
        .replace("customer:read", "customer read");
    let told = resolve(&text).unwrap_err();
    for key in [
        "resource.public_url",
        "resource.scopes_supported",
        "issuers.0.issuer",
        "upstream.assertion_key",
    ] {
        assert!(told.contains(key), "{key} in {told}");
    }
}

#[test]
fn a_misspelt_key_is_refused_by_name() {
    let told = resolve(&MINIMAL.replace("scopes_supported", "scope_supported")).unwrap_err();
    assert!(told.contains("scope_supported"), "{told}");
    let told = resolve(&format!("{MINIMAL}\n[limit]\nmax_body_bytes = 1\n")).unwrap_err();
    assert!(told.contains("limit"), "{told}");
}

#[test]
fn what_checks_depend_on_cannot_be_left_out() {
    for line in ["issuer = ", "public_url = ", "directory = ", "identity = ", "certificate = "] {
        let text: String = MINIMAL
            .lines()
            .filter(|l| !l.starts_with(line))
            .fold(String::new(), |t, l| t + l + "\n");
        assert!(resolve(&text).is_err(), "without {line}");
    }
    assert!(
        resolve(
            &MINIMAL
                .replace("[[issuers]]\nissuer = \"https://issuer.example.com\"", "issuers = []")
        )
        .is_err()
    );
}

#[test]
fn values_of_the_wrong_kind_are_named() {
    for (from, to, key) in [
        ("127.0.0.1:8443", "8443", "listener.address"),
        ("identity = \"none\"", "identity = \"trust-me\"", "upstream.identity"),
        ("[policies]", "[limits]\nbody_timeout = \"soon\"\n[policies]", "limits.body_timeout"),
        ("[policies]", "[limits]\nbody_timeout = \"0s\"\n[policies]", "limits.body_timeout"),
    ] {
        let told = resolve(&MINIMAL.replace(from, to)).unwrap_err();
        assert!(told.contains(key), "{key} in {told}");
    }
}

#[test]
fn an_issuers_rules_are_checked_one_by_one() {
    let issuer = "issuer = \"https://issuer.example.com\"";
    let with = |line: &str| resolve(&MINIMAL.replace(issuer, &format!("{issuer}\n{line}")));
    for good in [
        "algorithms = [\"ES256\", \"EdDSA\"]",
        "token_type = \"JWT\"",
        "audiences = [\"api://gate\"]",
        "claims = { groups = \"https://example.com/groups\", roles = [\"realm_access\", \"roles\"] }",
        "max_token_age = \"1day\"",
        "jwks_file = \"keys.json\"",
    ] {
        assert!(with(good).is_ok(), "{good}: {:?}", with(good).err());
    }
    for (bad, key) in [
        ("algorithms = []", "algorithms"),
        ("algorithms = [\"HS256\"]", "algorithms"),
        ("algorithms = [\"none\"]", "algorithms"),
        ("algorithms = [\"RS256\", \"RS999\"]", "algorithms"),
        ("token_type = \"id_token\"", "token_type"),
        ("audiences = []", "audiences"),
        ("audiences = [\"\"]", "audiences"),
        ("leeway = \"2m\"", "leeway"),
        ("refresh_every = \"1s\"", "refresh_every"),
        ("max_stale = \"1m\"", "max_stale"),
        ("claims = { group = \"groups\" }", "group"),
        ("claims = { groups = [] }", "claims.groups"),
        ("claims = { zone = \"\" }", "claims.zone"),
        ("jwks_file = \"keys.json\"\njwks_url = \"https://issuer.example.com/keys\"", "jwks_file"),
        ("jwks_url = \"http://issuer.example.com/keys\"", "jwks_url"),
    ] {
        let told = with(bad).unwrap_err();
        assert!(told.contains(key), "{bad}: {told}");
    }
}

#[test]
fn every_entry_for_an_identity_provider_in_the_documentation_resolves() {
    let guide = include_str!("../../../docs/identity-providers.md");
    let issuer = "[[issuers]]\nissuer = \"https://issuer.example.com\"\n";
    assert!(MINIMAL.contains(issuer));
    let entries: Vec<&str> =
        guide.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    for entry in &entries {
        let outcome = resolve(&MINIMAL.replace(issuer, entry));
        assert!(outcome.is_ok(), "{entry}\n{}", outcome.unwrap_err());
    }
    assert_eq!(entries.len(), 11);
}

#[test]
fn rules_of_calls_mean_something_or_are_refused() {
    let with = |rule: &str| resolve(&format!("{MINIMAL}\n[[call_limits]]\n{rule}"));
    let full = r#"id = "all"
        per = ["principal", "tool", "group", "client", "zone", "server"]
        tools = ["t"]
        groups = ["g"]
        zones = ["z"]
        clients = ["c"]
        rate = "30/minute"
        burst = 5
        concurrent = 4
        calls_per_day = 1000
        result_bytes_per_day = "10 MB""#;
    let config = with(full).unwrap();
    let [rule] = &*config.call_limits else { panic!("{:?}", config.call_limits) };
    assert_eq!(rule.per.len(), 6);
    assert_eq!(rule.ceilings.result_bytes_per_day, Some(10_000_000));
    assert_eq!(rule.ceilings.rate.map(|rate| (rate.limit.calls, rate.burst)), Some((30, 5)));
    let plain = with("id = \"a\"\nper = [\"tool\"]\nrate = \"3/day\"").unwrap();
    assert_eq!(plain.call_limits[0].ceilings.rate.map(|rate| rate.burst), Some(3));
    let usual = "id = \"a\"\nper = [\"tool\"]\nconcurrent = 1";
    for (from, to, key) in [
        ("id = \"a\"", "id = \"Not Kebab\"", "call_limits.0.id"),
        ("id = \"a\"", "id = \"@rate_limit\"", "call_limits.0.id"),
        ("concurrent = 1", "", "call_limits.0.id"),
        ("[\"tool\"]", "[]", "call_limits.0.per"),
        ("[\"tool\"]", "[\"tool\", \"tool\"]", "call_limits.0.per"),
        ("[\"tool\"]", "[\"provider\"]", "per"),
        ("[\"tool\"]", "[\"model\"]", "per"),
        ("concurrent = 1", "concurrent = 0", "call_limits.0.concurrent"),
        ("concurrent = 1", "concurrent = -1", "concurrent"),
        ("concurrent = 1", "calls_per_day = 0", "call_limits.0.calls_per_day"),
        ("concurrent = 1", "result_bytes_per_day = 0", "call_limits.0.result_bytes_per_day"),
        ("concurrent = 1", "result_bytes_per_day = \"much\"", "result_bytes_per_day"),
        ("concurrent = 1", "burst = 5", "call_limits.0.burst"),
        ("concurrent = 1", "rate = \"0/day\"", "call_limits.0.rate"),
        ("concurrent = 1", "rate = \"3/fortnight\"", "call_limits.0.rate"),
        ("concurrent = 1", "rate = \"3/day\"\nburst = 0", "call_limits.0.burst"),
        ("concurrent = 1", "rate = \"1/day\"\nburst = 4000000000", "call_limits.0.burst"),
        ("concurrent = 1", "concurrent = 1\ntools = []", "call_limits.0.tools"),
        ("concurrent = 1", "concurrent = 1\ngroups = [\"\"]", "call_limits.0.groups"),
        ("concurrent = 1", "concurent = 1", "concurent"),
    ] {
        assert!(usual.contains(from));
        let told = with(&usual.replace(from, to)).unwrap_err();
        assert!(told.contains(key), "{to}: {told}");
    }
    let twice = format!("{usual}\n[[call_limits]]\n{usual}");
    assert!(with(&twice).unwrap_err().contains("`call_limits.1.id` `a` is another rule's"));
}

#[test]
fn the_rules_in_the_documentation_resolve() {
    let guide = include_str!("../../../docs/limits.md");
    let (_, rest) = guide.split_once("```toml\n").unwrap();
    let rules = rest.split("```").next().unwrap();
    let config = resolve(&format!("{MINIMAL}\n{rules}")).unwrap();
    assert_eq!(config.call_limits.len(), 3);
}

#[test]
fn what_is_commented_out_in_the_example_resolves_too() {
    let example = include_str!("../../cedargate.example.toml");
    let rule: String = example
        .lines()
        .skip_while(|line| *line != "# [[call_limits]]")
        .map_while(|line| line.strip_prefix("# "))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(resolve(&format!("{MINIMAL}\n{rule}")).unwrap().call_limits.len(), 1);
}

#[test]
fn telemetry_resolves_with_its_defaults_and_says_what_is_wrong() {
    let with = |toml: &str| resolve(&format!("{MINIMAL}[telemetry]\n{toml}"));
    assert!(resolve(MINIMAL).unwrap().telemetry.is_none(), "nothing is exported unless configured");
    let telemetry = with("endpoint = \"http://collector:4318\"").unwrap().telemetry.unwrap();
    assert_eq!(telemetry.sample_ratio, 0.1);
    assert_eq!(telemetry.callers_context, CallersContext::Parent);
    assert_eq!(telemetry.signals.metrics, Exported::Yes);
    let secret = "endpoint = \"https://c.example.com/otlp\"\nheaders_file = \"headers\"\nprotocol = \"http/protobuf\"\nsignals = [\"traces\"]\n[telemetry.resource]\n\"a.b\" = \"c\"";
    let telemetry = with(secret).unwrap().telemetry.unwrap();
    assert_eq!(telemetry.headers.as_deref(), Some(Path::new("/home/gate/headers")));
    assert_eq!(telemetry.signals.metrics, Exported::No);
    assert_eq!(telemetry.resource["a.b"], "c");
    for (toml, key) in [
        ("endpoint = \"collector:4318\"", "telemetry.endpoint"),
        ("endpoint = \"http://u:p@collector:4318\"", "telemetry.endpoint"),
        ("endpoint = \"http://collector:4318\"\nheaders_file = \"h\"", "telemetry.endpoint"),
        ("endpoint = \"http://c:1\"\nsample_ratio = 1.5", "telemetry.sample_ratio"),
        ("endpoint = \"http://c:1\"\nsample_ratio = nan", "telemetry.sample_ratio"),
        ("endpoint = \"http://c:1\"\nmetrics_interval = \"0s\"", "telemetry.metrics_interval"),
        ("endpoint = \"http://c:1\"\nsignals = []", "telemetry.signals"),
        ("endpoint = \"http://c:1\"\nprotocol = \"grpc\"", "telemetry.protocol"),
        (
            "endpoint = \"http://c:1\"\naccept_trace_context = true",
            "telemetry.accept_trace_context",
        ),
        ("endpoint = \"http://c:1\"\nsampling = 1", "telemetry.sampling"),
    ] {
        let told = with(toml).unwrap_err();
        assert!(told.contains(key), "{key} in {told}");
    }
}
