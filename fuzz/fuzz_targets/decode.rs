#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chatroom_testkit::fuzz::decode(bytes));
