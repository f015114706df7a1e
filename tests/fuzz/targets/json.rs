//! A message body: what is read is written as it was read.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar::testing::json(input));
