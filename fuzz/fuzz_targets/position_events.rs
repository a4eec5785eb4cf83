//! The position of `siem/events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|position: &[u8]| mimecast_source_fuzz::positions::check("siem/events", position));
