//! What looks like a credential, what does not, and what it costs to look.

use std::time::{Duration, Instant};

use super::*;

/// Put together here, so that no scanner of repositories takes them for real.
fn examples() -> Vec<(CredentialKind, String)> {
    let x = |n| "x1".repeat(n);
    vec![
        (CredentialKind::JsonWebToken, format!("eyJ{0}.eyJ{0}.{0}", x(10))),
        (CredentialKind::AmazonKeyId, format!("AK{}{}", "IA", "Q7".repeat(8))),
        (CredentialKind::AmazonKeyId, format!("AS{}{}", "IA", "Q7".repeat(8))),
        (CredentialKind::GitHubToken, format!("gh{}_{}", "p", x(18))),
        (CredentialKind::GitHubToken, format!("github_{}_{}_{}", "pat", x(11), x(30))),
        (CredentialKind::SlackToken, format!("xo{}-123456789012-{}", "xb", x(12))),
        (CredentialKind::PrivateKey, format!("-----BEGIN {} KEY-----", "PRIVATE")),
        (CredentialKind::PrivateKey, format!("-----BEGIN OPENSSH {} KEY-----", "PRIVATE")),
        (CredentialKind::PrivateKey, format!("-----BEGIN PGP {} KEY BLOCK-----", "PRIVATE")),
        (CredentialKind::GoogleApiKey, format!("AI{}{}", "za", "_-aB7".repeat(7))),
        (CredentialKind::StripeKey, format!("sk_{}_{}", "live", x(12))),
    ]
}

#[test]
fn a_credential_is_known_wherever_a_word_begins() {
    for (kind, example) in examples() {
        for text in [
            example.clone(),
            format!("{{\"a\":\"{example}\"}}"),
            format!("the key:\\n{example}\\nends"),
            format!("the key:\\u000a{example}."),
            format!("ключ {example} e eyJ ghp_ A"),
            format!("token={example}&x"),
        ] {
            assert_eq!(credentials_in(text.as_bytes()), Some(kind), "{text}");
        }
    }
}

#[test]
fn what_only_begins_like_one_is_none() {
    for (_, example) in examples() {
        let cut = example.split_at(example.len() / 2).0;
        assert_eq!(credentials_in(cut.as_bytes()), None, "{cut}");
        let within = format!("a{example}");
        assert_eq!(credentials_in(within.as_bytes()), None, "{within}");
    }
    for text in [
        "",
        "\\",
        "\\u00",
        "AKIAIOSFODNN7EXAMPLE",
        "AKIAQ7Q7Q7Q7Q7Q7Q7Q7Q7",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "eyJhbGciOiJub25lIn0",
        "sk_test_x1x1x1x1x1x1x1x1x1x1x1x1",
        "2f1b9a3c-0d5e-4f67-8a90-b1c2d3e4f567",
    ] {
        assert_eq!(credentials_in(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn a_credential_is_known_however_json_spells_it() {
    for (kind, example) in examples() {
        let spelled: String =
            example.bytes().map(|byte| format!("\\u{:04X}", u16::from(byte))).collect();
        let some = example.replace('-', "\\u002d").replace('y', "\\u0079");
        for text in [spelled, format!("{{\"a\":\"\\u0022{some}\\n\"}}")] {
            assert_eq!(credentials_in(text.as_bytes()), Some(kind), "{text}");
        }
    }
    for text in ["\\u00", "\\u00+1", "\\u002", "\\u00zz", "\\u0000eyJ"] {
        assert_eq!(credentials_in(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn every_processor_finds_the_same() {
    let plain = AhoCorasick::new(BEGINNINGS).unwrap();
    for (kind, example) in examples() {
        let text = format!("e eyJ {example} sk_live_");
        let found = plain.find_iter(&text).map(|found| found.start());
        assert_eq!(worst_of(text.as_bytes(), found), Some(kind), "{text}");
    }
}

#[test]
fn of_several_the_worst_is_told() {
    let all: Vec<String> = examples().into_iter().map(|(_, example)| example).collect();
    let worst = credentials_in(all.join(" ").as_bytes()).unwrap();
    assert_eq!(worst.severity(), Severity::Critical);
}

#[test]
fn the_worst_of_texts_cost_no_more_than_their_length() {
    for unit in [
        "eyJ-",
        "eyJxxxxxxxxxx.eyJxxxxxxxxxx.x.",
        "eyJ.",
        "AIza-",
        "xoxb-1",
        "-----BEGIN ",
        "\\",
        "e",
    ] {
        let text = unit.repeat(200_000 / unit.len());
        let begun = Instant::now();
        assert_eq!(credentials_in(text.as_bytes()), None, "{unit}");
        // Were it the square of it, it would take minutes.
        assert!(begun.elapsed() < Duration::from_secs(5), "{unit}");
    }
}
