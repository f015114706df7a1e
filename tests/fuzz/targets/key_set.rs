//! The key set document that an issuer publishes.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar::testing::key_set(input));
