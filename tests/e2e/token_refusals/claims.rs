//! What a token says: claims of another value or type, and payloads that are no claims.

use serde_json::{Value, json};

use super::{Mint, Row};

impl Mint<'_> {
    /// Claims of another value, another type, or none.
    pub(super) fn claims(&self) -> Vec<Row> {
        let now = jsonwebtoken::get_current_timestamp();
        let aud = self.claims["aud"].as_str().unwrap().to_owned();
        let iss = self.claims["iss"].as_str().unwrap().to_owned();
        let mut rows = Vec::new();
        let mut row = |name: &str, value: Value, reason| {
            let mut claims = self.claims.clone();
            claims.insert(name.to_owned(), value.clone());
            let token = self.claiming(&Value::Object(claims).to_string());
            rows.push(self.row(format!("{name}: {value}"), &token, reason));
        };
        for name in ["iss", "sub", "aud", "exp", "iat", "client_id"] {
            for value in [json!(null), json!(true), json!({}), json!([[]])] {
                row(name, value, "malformed-claims");
            }
        }
        for name in ["nbf", "exp", "iat"] {
            for value in [json!("1"), json!(now.to_string()), json!(-1), json!(1e300), json!([now])]
            {
                row(name, value, "malformed-claims");
            }
        }
        for (name, value) in [
            ("nbf", json!(null)),
            ("jti", json!(7)),
            ("jti", json!("")),
            ("sub", json!("")),
            ("sub", json!(["alice"])),
            ("client_id", json!("")),
            ("client_id", json!(["c"])),
            ("azp", json!(7)),
            ("scope", json!(["customer:read"])),
            ("scope", json!(null)),
            ("scope", json!({ "customer:read": true })),
            ("scope", json!("customer:read \"quoted\"")),
            ("scope", json!("customer:read\tticket:create")),
            ("scope", json!("customer:rëad")),
            (
                "scope",
                json!(
                    vec!["s"; 129]
                        .iter()
                        .enumerate()
                        .map(|(i, s)| format!("{s}{i}"))
                        .collect::<Vec<_>>()
                        .join(" ")
                ),
            ),
            ("aud", json!([aud, 7])),
        ] {
            row(name, value, "malformed-claims");
        }
        for value in [
            json!("https://other.example.com/mcp"),
            json!(format!("{aud}/")),
            json!(aud.to_uppercase()),
            json!(aud.trim_end_matches("/mcp")),
            json!(format!("{aud}?x=1")),
            json!(format!(" {aud}")),
            json!(format!("{aud} https://other.example.com/mcp")),
            json!([]),
            json!(["https://other.example.com/mcp"]),
            json!("*"),
            json!(""),
        ] {
            row("aud", value, "wrong-audience");
        }
        for value in [
            json!("https://evil.example.com"),
            json!(format!("{iss}/")),
            json!(iss.to_uppercase()),
            json!(format!("{iss}.evil.example.com")),
            json!(format!("{iss}@evil.example.com")),
            json!(format!("{iss}\u{0}")),
            json!(""),
        ] {
            row("iss", value, "unknown-issuer");
        }
        row("iss", json!([iss]), "malformed-claims");
        for (name, value, reason) in [
            ("exp", json!(now - 31), "expired"),
            ("exp", json!(now - 86_400), "expired"),
            ("exp", json!(0), "expired"),
            ("nbf", json!(now + 60), "not-yet-active"),
            ("nbf", json!(now + 86_400), "not-yet-active"),
            ("iat", json!(now + 60), "not-yet-active"),
            ("iat", json!(now - 7_300), "too-old"),
        ] {
            row(name, value, reason);
        }
        for name in ["iss", "sub", "aud", "exp", "iat", "client_id"] {
            let mut claims = self.claims.clone();
            claims.remove(name);
            let token = self.claiming(&Value::Object(claims).to_string());
            rows.push(self.row(format!("without {name}"), &token, "malformed-claims"));
        }
        rows
    }

    /// Payloads that are no claims, or that two readers could read differently.
    pub(super) fn payloads(&self) -> Vec<Row> {
        let good = self.payload();
        let with = |more: &str| good.replacen('{', &format!("{{{more},"), 1);
        let payloads = [
            ("an array", format!("[{good}]")),
            ("a string", "\"claims\"".to_owned()),
            ("nothing", String::new()),
            ("no JSON", "claims".to_owned()),
            ("two objects", format!("{good}{good}")),
            ("something after", format!("{good}x")),
            ("a comment", format!("/**/{good}")),
            ("a byte order mark", format!("\u{feff}{good}")),
            ("iss twice", with(r#""iss":"https://evil.example.com""#)),
            ("aud twice", with(r#""aud":"https://other.example.com/mcp""#)),
            ("exp twice", with(r#""exp":1"#)),
            ("scope twice", with(r#""scope":"security:read""#)),
            ("an unused name twice", with(r#""x":1,"x":2"#)),
            ("twice inside", with(r#""x":{"y":1,"y":2}"#)),
            ("an escaped twin", with(r#""\u0073ub":"mallory""#)),
            ("NaN", with(r#""x":NaN"#)),
            ("a lone surrogate", with(r#""x":"\ud800""#)),
            ("deep nesting", with(&format!(r#""x":{}{}"#, "[".repeat(100), "]".repeat(100)))),
        ];
        payloads
            .map(|(name, text)| self.row(name, &self.claiming(&text), "malformed-claims"))
            .into()
    }
}
