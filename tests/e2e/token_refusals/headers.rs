//! What a token's header says: algorithms, types, keys, extensions.

use harness::Signer;
use jsonwebtoken::Algorithm;
use serde_json::json;

use super::{GOOD_HEADER, Mint, RS256, Row};

impl Mint<'_> {
    /// Headers: algorithms, types, keys, extensions.
    pub(super) fn headers(&self) -> Vec<Row> {
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
    pub(super) fn keys_in_the_header(&self) -> Vec<Row> {
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
}
