//! What is looked for: each secret as it is, and in the forms that a careless line of code would give it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Forms of secrets, each with what it is a form of.
#[derive(Default)]
pub struct Needles(BTreeMap<Vec<u8>, String>);

impl Needles {
    /// Looks for `secret` too; `what` it is, for messages.
    pub fn add(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= 16, "{what} is too short to be told from other text");
        let bytes = secret.as_bytes();
        let list = |item: fn(&u8) -> String, between: &str| bytes.iter().map(item).collect::<Vec<_>>().join(between);
        let mut forms = vec![
            ("", bytes.to_vec()),
            (" in hexadecimal", list(|byte| format!("{byte:02x}"), "").into_bytes()),
            (" in hexadecimal", list(|byte| format!("{byte:02X}"), "").into_bytes()),
            (" as a list of numbers", list(u8::to_string, ", ").into_bytes()),
            (" as a list of numbers", list(u8::to_string, ",").into_bytes()),
            (" with percent signs", encoded(secret).into_bytes()),
        ];
        // It may begin at any of three places; the letters at the ends depend on what stands beside.
        forms.extend((0..3).map(|before| {
            let text = STANDARD_NO_PAD.encode([&vec![0; before][..], bytes].concat());
            (" in base64", text.as_bytes()[before.div_ceil(3) * 4..text.len() - 4].to_vec())
        }));
        for (form, needle) in forms {
            self.0.entry(needle).or_insert_with(|| format!("{what}{form}"));
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What of it stands in `text`.
    pub fn found(&self, text: &[u8]) -> Vec<&str> {
        // Their first eight bytes, so that a long text is gone through once.
        let mut heads: BTreeMap<[u8; 8], Vec<(&[u8], &str)>> = BTreeMap::new();
        for (needle, what) in &self.0 {
            heads.entry(needle[..8].try_into().unwrap()).or_default().push((needle, what));
        }
        let mut first = [false; 256];
        heads.keys().for_each(|head| first[usize::from(head[0])] = true);
        let mut found = Vec::new();
        for (at, window) in text.windows(8).enumerate().filter(|(_, window)| first[usize::from(window[0])]) {
            let known = heads.get::<[u8; 8]>(window.try_into().unwrap());
            for (needle, what) in known.into_iter().flatten() {
                if text[at..].starts_with(needle) && !found.contains(what) {
                    found.push(*what);
                }
            }
        }
        found
    }

    /// Panics if one stands in `text`, which is that of `place`.
    pub fn none_in(&self, place: &str, text: &[u8]) {
        let found = self.found(text);
        assert!(found.is_empty(), "{place} holds {found:?}");
    }

    /// The same of all files below `folder`; gives how many bytes there are.
    pub fn none_below(&self, folder: &Path) -> usize {
        let mut bytes = 0;
        for path in all_files(folder) {
            let text = fs::read(&path).unwrap();
            bytes += text.len();
            self.none_in(&path.display().to_string(), path.to_string_lossy().as_bytes());
            self.none_in(&path.display().to_string(), &text);
        }
        bytes
    }
}

fn encoded(secret: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    secret.chars().map(|c| if plain(c) { c.to_string() } else { format!("%{:02X}", c as u32) }).collect()
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // A socket holds nothing.
        if path.is_dir() {
            found.extend(all_files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_form_is_found() {
    let mut needles = Needles::default();
    let secret = "s3cret/+of=acme 0123456789";
    needles.add("it", secret);
    let wrap = |text: &str| format!("some {text} text").into_bytes();
    let base64 = |text: &str| wrap(&base64::engine::general_purpose::STANDARD.encode(text));
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    for (form, text) in [
        ("it", wrap(secret)),
        ("it in base64", base64(secret)),
        ("it in base64", base64(&format!("a:{secret}"))),
        ("it in base64", base64(&format!("ab:{secret}@"))),
        ("it in base64", base64(&format!("abc:{secret}@x"))),
        ("it in hexadecimal", wrap(&hex)),
        ("it in hexadecimal", wrap(&hex.to_uppercase())),
        ("it as a list of numbers", format!("{:?}", secret.as_bytes()).into_bytes()),
        ("it with percent signs", wrap("s3cret%2F%2Bof%3Dacme%200123456789")),
    ] {
        assert_eq!(needles.found(&text), [form], "{}", String::from_utf8_lossy(&text));
    }
    assert!(needles.found(wrap("s3cret/+of=acme 012345678").as_slice()).is_empty());
}
