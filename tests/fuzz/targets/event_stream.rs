//! An upstream's event stream: however it is cut, it is read as the same events.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar::testing::event_stream(input));
