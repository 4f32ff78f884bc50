#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::within_limits(fuzz::readers::json_lines, input));
