//! The form of a token, and how it arrives.

use harness::text;

use super::{Mint, Row};

impl Mint<'_> {
    /// Good tokens, cut and pasted.
    pub(super) fn segments(&self) -> Vec<Row> {
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
    pub(super) fn arrivals(&self) -> Vec<Row> {
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
