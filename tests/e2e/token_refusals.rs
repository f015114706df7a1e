//! Tokens that must not pass: a table of really signed or really broken ones. For each row the
//! status, the challenge and the reason are asserted, and that the upstream saw nothing.

mod claims;
mod forms;
mod headers;

use harness::{Forge, Signer, Stack};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;

/// One token and what becomes of it.
struct Row {
    name: String,
    /// `Authorization` headers, as they are.
    authorization: Vec<String>,
    status: u16,
    reason: &'static str,
}

/// Makes tokens of one issuer for one gate.
struct Mint<'a> {
    forge: &'a Forge,
    claims: Map<String, Value>,
}

const RS256: Signer = Signer::Rsa(Algorithm::RS256);
const GOOD_HEADER: &str = r#"{"alg":"RS256","typ":"at+jwt","kid":"rsa"}"#;

impl Mint<'_> {
    fn payload(&self) -> String {
        Value::Object(self.claims.clone()).to_string()
    }

    fn good(&self) -> String {
        self.forge.sign(RS256, GOOD_HEADER, &self.payload())
    }

    fn under(&self, signer: Signer, header: &str) -> String {
        self.forge.sign(signer, header, &self.payload())
    }

    fn claiming(&self, payload: &str) -> String {
        self.forge.sign(RS256, GOOD_HEADER, payload)
    }

    fn row(&self, name: impl Into<String>, token: &str, reason: &'static str) -> Row {
        let authorization = vec![format!("Bearer {token}")];
        Row { name: name.into(), authorization, status: 401, reason }
    }
}

#[tokio::test]
async fn no_token_of_the_refusal_matrix_passes() {
    let forge = Forge::new();
    let settings = format!("jwks_file = {:?}\nmax_token_age = \"2h\"\n", forge.jwks_file());
    let stack = Stack::with().issuer_settings(&settings).start().await;
    let claims = stack.claims("customer:read").as_object().unwrap().clone();
    let mint = Mint { forge: &forge, claims };
    assert_eq!(stack.bearing(&mint.good()).post(LIST).await.status, 200, "the good one passes");

    let rows: Vec<Row> = [
        mint.claims(),
        mint.payloads(),
        mint.headers(),
        mint.keys_in_the_header(),
        mint.segments(),
        mint.arrivals(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut wrong = Vec::new();
    for row in &rows {
        let mut caller = stack.stranger();
        for value in &row.authorization {
            caller = caller.header("authorization", value);
        }
        let reply = caller.refused(LIST).await;
        let told = (reply.status.as_u16(), reply.reason());
        let challenge = reply.challenge().unwrap_or_default();
        let begins = match row.reason {
            "no-token" => "Bearer scope=\"customer:read\", resource_metadata=",
            "several-credentials" => "Bearer error=\"invalid_request\", resource_metadata=",
            _ => "Bearer error=\"invalid_token\", scope=\"customer:read\", resource_metadata=",
        };
        let repeats =
            row.authorization.iter().any(|a| a.len() > 20 && reply.body.contains(&a[7..]));
        if told != (row.status, row.reason.to_owned()) || !challenge.starts_with(begins) || repeats
        {
            wrong.push(format!("{}: {told:?} {challenge}, not {}", row.name, row.reason));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    println!("{} tokens refused", rows.len());
    assert!(rows.len() >= 120, "{}", rows.len());
    assert_eq!(stack.bearing(&mint.good()).post(LIST).await.status, 200, "and it still passes");
    stack.finish().await;
}
