//! The web page in a real Chromium, driven by WebDriver: `apt-get install chromium chromium-driver`. Where they are absent,
//! a test says so and is skipped, except in CI.
//!
//! The pictures of the page in the README are made anew by
//! `cargo test --test page -- --ignored pictures`.

mod act;
mod browser;
mod list;
mod pictures;
mod site;
mod text;

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
