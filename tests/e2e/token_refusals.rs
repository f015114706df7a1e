//! Tokens that must not pass: a table of really signed or really broken ones. For each row the
//! status, the challenge and the reason are asserted, and that the upstream saw nothing.

use harness::{Forge, Signer, Stack, text};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};

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

    /// Claims of another value, another type, or none.
    fn claims(&self) -> Vec<Row> {
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
    fn payloads(&self) -> Vec<Row> {
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

    /// Headers: algorithms, types, keys, extensions.
    fn headers(&self) -> Vec<Row> {
        let of =
            |alg: &str, typ: &str, kid: &str| format!(r#"{{"alg":{alg},"typ":{typ},"kid":{kid}}}"#);
        let (alg, typ, kid) = (r#""RS256""#, r#""at+jwt""#, r#""rsa""#);
        let mut rows = Vec::new();
        let mut row = |name: &str, signer, header: &str, reason| {
            rows.push(self.row(format!("{name} {header}"), &self.under(signer, header), reason));
        };
        for other in
            ["none", "None", "NONE", "nOnE", "", "rs256", "RS256 ", "HS384", "RSA-OAEP", "ES512"]
        {
            row("alg", RS256, &of(&json!(other).to_string(), typ, kid), "wrong-algorithm");
        }
        for (other, algorithm) in [
            ("RS384", Algorithm::RS384),
            ("RS512", Algorithm::RS512),
            ("PS256", Algorithm::PS256),
            ("PS384", Algorithm::PS384),
            ("PS512", Algorithm::PS512),
        ] {
            let header = of(&json!(other).to_string(), typ, kid);
            row("really signed", Signer::Rsa(algorithm), &header, "wrong-algorithm");
            row(
                "said to be RS256 but",
                Signer::Rsa(algorithm),
                &of(alg, typ, kid),
                "bad-signature",
            );
        }
        row("really signed", Signer::Ec, &of(r#""ES256""#, typ, r#""ec""#), "wrong-algorithm");
        row("really signed", Signer::Ed, &of(r#""EdDSA""#, typ, r#""ed""#), "wrong-algorithm");
        row(
            "the key set as secret",
            Signer::KeySetAsSecret,
            &of(r#""HS256""#, typ, kid),
            "wrong-algorithm",
        );
        row(
            "the key set as secret, said to be RSA",
            Signer::KeySetAsSecret,
            &of(alg, typ, kid),
            "bad-signature",
        );
        row("an EC key, said to be RSA", Signer::Ec, &of(alg, typ, kid), "bad-signature");
        row("another's key", RS256, &of(alg, typ, r#""ec""#), "unknown-key");
        row("a stranger's key", Signer::Stranger, &of(alg, typ, kid), "bad-signature");
        row("a stranger's key", Signer::Stranger, &of(alg, typ, r#""stranger""#), "unknown-key");
        for other in [
            "JWT",
            "jwt",
            "",
            "id_token",
            "refresh+jwt",
            "logout+jwt",
            "oauth-id-jag+jwt",
            "dpop+jwt",
            "application/jwt",
            "at+jwt ",
            "at jwt",
        ] {
            row("typ", RS256, &of(alg, &json!(other).to_string(), kid), "wrong-token-type");
        }
        row("no typ", RS256, r#"{"alg":"RS256","kid":"rsa"}"#, "wrong-token-type");
        row("no kid", RS256, r#"{"alg":"RS256","typ":"at+jwt"}"#, "no-key-id");
        row("kid", RS256, &of(alg, typ, r#""""#), "no-key-id");
        for other in [
            "RSA",
            "rsa ",
            "../../etc/passwd",
            "' or 1=1 --",
            "https://evil.example.com/k",
            "\u{0}rsa",
        ] {
            row("kid", RS256, &of(alg, typ, &json!(other).to_string()), "unknown-key");
        }
        let long = json!("k".repeat(300)).to_string();
        for other in ["7", "null", "[\"rsa\"]", "{}", long.as_str()] {
            row("kid", RS256, &of(alg, typ, other), "malformed-token");
        }
        for other in ["7", "null", "[\"RS256\"]"] {
            row("alg", RS256, &of(other, typ, kid), "malformed-token");
            row("typ", RS256, &of(alg, other, kid), "malformed-token");
        }
        for extension in [
            r#""crit":["exp"]"#,
            r#""crit":[]"#,
            r#""crit":null"#,
            r#""crit":["b64"],"b64":false"#,
            r#""b64":false"#,
            r#""b64":true"#,
            r#""alg":"none""#,
            r#""ALG":"none""#,
            r#""kid":"ec""#,
            r#""x":{"a":1,"a":2}"#,
        ] {
            let header = GOOD_HEADER.replacen('{', &format!("{{{extension},"), 1);
            row("with", RS256, &header, "malformed-token");
        }
        for header in ["", "{}", "[]", "null", "\"RS256\"", "{\"alg\":\"RS256\"", "\u{feff}{}"] {
            row("header", RS256, header, "malformed-token");
        }
        rows
    }

    /// A header that says where to get a key from is as good as one that does not: a stranger's key
    /// stays a stranger's.
    fn keys_in_the_header(&self) -> Vec<Row> {
        let url = r#""https://127.0.0.1:1/jwks.json""#;
        [
            format!(r#""jku":{url}"#),
            format!(r#""x5u":{url}"#),
            r#""jwk":{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(),
            r#""x5c":["AAAA"]"#.to_owned(),
        ]
        .map(|member| {
            let header = GOOD_HEADER.replacen('{', &format!("{{{member},"), 1);
            self.row(&member, &self.under(Signer::Stranger, &header), "bad-signature")
        })
        .into()
    }

    /// Good tokens, cut and pasted.
    fn segments(&self) -> Vec<Row> {
        let good = self.good();
        let (input, signature) = good.rsplit_once('.').unwrap();
        let (head, payload) = input.split_once('.').unwrap();
        let more = text(self.payload().replace("customer:read", "security:read"));
        let other = self.claiming(&self.payload().replace("alice", "mallory"));
        let others = other.rsplit('.').next().unwrap();
        [
            ("one segment", head.to_owned(), "malformed-token"),
            ("two segments", format!("{head}.{payload}"), "malformed-token"),
            ("four segments", format!("{good}.{signature}"), "malformed-token"),
            (
                "five segments",
                format!("{head}.{payload}.{signature}.{signature}.x"),
                "malformed-token",
            ),
            ("dots alone", "..".to_owned(), "malformed-token"),
            ("no header", format!(".{payload}.{signature}"), "malformed-token"),
            ("no payload", format!("{head}..{signature}"), "malformed-claims"),
            ("no signature", format!("{head}.{payload}."), "bad-signature"),
            ("a shorter signature", format!("{input}.{}", text([7_u8; 255])), "bad-signature"),
            ("a longer signature", format!("{good}AAAA"), "bad-signature"),
            (
                "half a signature twice",
                format!("{head}.{payload}.{signature}{signature}"),
                "bad-signature",
            ),
            ("another token's signature", format!("{head}.{payload}.{others}"), "bad-signature"),
            (
                "more scope under the old signature",
                format!("{head}.{more}.{signature}"),
                "bad-signature",
            ),
            ("padding", format!("{good}="), "malformed-token"),
            ("standard base64", format!("{head}.{payload}.{signature}+/"), "malformed-token"),
            ("stray bits", format!("{head}.{payload}.{}B", text([7_u8; 255])), "malformed-token"),
            ("a space inside", format!("{head} .{payload}.{signature}"), "malformed-token"),
            ("a comma inside", format!("{good},{good}"), "malformed-token"),
            ("an opaque token", "wUpZ1vq0Gz5YvVb4hTn3q1W6sY2kR8mX".to_owned(), "malformed-token"),
            ("seventeen kilobytes", format!("{good}{}", "A".repeat(17_000)), "malformed-token"),
        ]
        .map(|(name, token, reason)| self.row(name, &token, reason))
        .into()
    }

    /// Good tokens that arrive as they must not.
    fn arrivals(&self) -> Vec<Row> {
        let good = self.good();
        let row = |authorization: &[String], status, reason| Row {
            name: format!(
                "Authorization {:?}",
                authorization.iter().map(|a| a.split(' ').next()).collect::<Vec<_>>()
            ),
            authorization: authorization.to_vec(),
            status,
            reason,
        };
        vec![
            row(&[], 401, "no-token"),
            row(std::slice::from_ref(&good), 401, "no-token"),
            row(&[format!("Basic {good}")], 401, "no-token"),
            row(&[format!("Bearer: {good}")], 401, "no-token"),
            row(&[format!("BearerX {good}")], 401, "no-token"),
            row(&["Bearer".to_owned()], 401, "no-token"),
            row(&[format!("Bearer\t{good}")], 401, "no-token"),
            row(&[format!("Bearer token={good}")], 401, "malformed-token"),
            row(&[format!("Bearer \"{good}\"")], 401, "malformed-token"),
            row(&[format!("Bearer Bearer {good}")], 401, "malformed-token"),
            row(&[format!("Bearer {good}"), format!("Bearer {good}")], 400, "several-credentials"),
            row(&[format!("Bearer {good}"), "Basic eDp5".to_owned()], 400, "several-credentials"),
            row(&["Basic eDp5".to_owned(), format!("Bearer {good}")], 400, "several-credentials"),
        ]
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
