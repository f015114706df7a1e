//! The text of a token. Bytes that are no base64url stand for the JSON of a segment, so that the
//! fuzzer gets past the encoding.
#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        sidecar::testing::token(text);
    }
    let segments: Vec<String> =
        input.split(|&byte| byte == b'\n').map(|segment| URL_SAFE_NO_PAD.encode(segment)).collect();
    sidecar::testing::token(&segments.join("."));
});
