//! The closed list of reason codes, in order, so that each has a number.

/// Every reason code of [`super::Rejection::reason`], in alphabetical order.
pub(crate) const REASONS: [&str; 71] = [
    "ambiguous-names",
    "bad-signature",
    "batch",
    "body-incomplete",
    "body-too-large",
    "body-too-slow",
    "byte-order-mark",
    "denied",
    "encoded-body",
    "evaluation-failed",
    "expired",
    "foreign-origin",
    "header-mismatch",
    "hidden",
    "inactive-token",
    "insufficient-scope",
    "introspection-unavailable",
    "invalid-arguments",
    "invalid-params",
    "invalid-proof",
    "keys-unavailable",
    "ledger-unavailable",
    "lone-surrogate",
    "malformed-claims",
    "malformed-json",
    "malformed-token",
    "missing-extension",
    "missing-meta",
    "no-key-id",
    "no-proof",
    "no-token",
    "not-a-message",
    "not-json",
    "not-post",
    "not-utf8",
    "not-yet-active",
    "number-too-long",
    "overloaded",
    "question-denied",
    "rate-limited",
    "repeated-header",
    "repeated-name",
    "replayed-proof",
    "revoked",
    "several-credentials",
    "token-in-query",
    "too-deep",
    "too-many-values",
    "too-old",
    "unexpected-response",
    "unknown-issuer",
    "unknown-key",
    "unknown-method",
    "unknown-prompt",
    "unknown-resource",
    "unknown-session",
    "unknown-task",
    "unknown-tool",
    "unsupported-version",
    "upstream-answer",
    "upstream-broke-off",
    "upstream-refused",
    "upstream-status",
    "upstream-too-slow",
    "upstream-unreachable",
    "use-nonce",
    "wrong-algorithm",
    "wrong-audience",
    "wrong-certificate",
    "wrong-host",
    "wrong-token-type",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rejection::tests::in_use;

    #[test]
    fn the_list_is_whole_and_in_order() {
        assert!(REASONS.is_sorted());
        assert!(REASONS.into_iter().eq(in_use()));
    }
}
