//! The position of `threat_intel/grid`.
#![no_main]

libfuzzer_sys::fuzz_target!(|position: &[u8]| mimecast_source_fuzz::positions::check("threat_intel/grid", position));
