//! The request target and the `Authorization` headers, as a stranger sends them: the first line of
//! the input is the target, each other line a header.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|&byte| byte == b'\n');
    let target = lines.next().unwrap_or_default();
    let values: Vec<&[u8]> = lines.take(3).collect();
    sidecar::testing::bearer_header(target, &values);
});
