//! What is embedded is a component of the contract, and wants no more of its host than the contract allows.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use mimecast_simulator as sim;
use tempfile::TempDir;
use tributary_host::sandbox::{LoadError, Sandbox, Settings};
use tributary_host::{Host, Options, config};
use tributary_tests::process::{Output, command, output};
use tributary_tests::world::{component, configuration};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");

/// What `wit/` says that a source may import.
const ALLOWED: [&str; 9] = [
    "wasi:cli/stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/random",
];

/// The head of a WebAssembly binary: magic, version, layer.
const COMPONENT_HEAD: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const CORE_HEAD: [u8; 8] = *b"\0asm\x01\0\0\0";

#[tokio::test]
async fn the_embedded_bytes_are_a_component_with_just_the_allowed_imports() {
    assert_eq!(tributary_host::COMPONENT[..8], COMPONENT_HEAD);
    let component = component().await;
    let imports = component.imports();
    let (wasi, own): (Vec<_>, Vec<_>) = imports.iter().partition(|name| name.starts_with("wasi:"));
    // The contract's types come along with its functions; they are no function of the host.
    assert!(own.iter().all(|name| name.starts_with("tributary:source/types@0.1")), "{own:?}");
    let names: BTreeSet<&str> = wasi.iter().map(|name| name.split('@').next().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(ALLOWED), "not one more, and not one less: else the list above is too long");
    assert!(wasi.iter().all(|name| name.contains("@0.2.")), "{wasi:?}");
    assert_eq!(component.descriptor().name, "mimecast");
}

#[tokio::test]
async fn anything_else_is_refused_with_a_word() {
    let sandbox = Sandbox::new(Settings { slots: 2, ticker: false, ..Settings::default() }).unwrap();
    assert_eq!(sandbox.load(&CORE_HEAD).await.err(), Some(LoadError::CoreModule));
    // A component without anything in it: lawful, but no source.
    assert_eq!(sandbox.load(&COMPONENT_HEAD).await.err(), Some(LoadError::Exports(Vec::new())));
    assert!(matches!(sandbox.load(b"no wasm").await.err(), Some(LoadError::Invalid(_))));
    sandbox.load(tributary_host::COMPONENT).await.unwrap();
}

/// The interface that the embedded component exports is the one that lies in `wit/` for other hosts.
#[test]
fn the_contract_beside_it_is_its_own() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "wit") {
            text += &std::fs::read_to_string(path).unwrap();
        }
    }
    let package = text.lines().find_map(|line| line.trim().strip_prefix("package ")).unwrap();
    let (name, version) = package.trim_end_matches(';').split_once('@').unwrap();
    let exported = format!("{name}/source@{version}");
    let found = tributary_host::COMPONENT.windows(exported.len()).any(|bytes| bytes == exported.as_bytes());
    assert!(found, "the component does not name {exported}");
    assert!(text.contains("world log-source") && text.contains("export source;"));
    // Without comments, the world imports nothing: what it may have of WASI is the linker's business.
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    assert!(!code.clone().any(|line| line.trim_start().starts_with("import ")));
    for function in ["describe:", "plan-for:", "authenticate:", "open:", "pull:"] {
        assert!(code.clone().any(|line| line.trim_start().starts_with(function)), "{function}");
    }
}

/// A configuration whose source is run by a component in a file.
struct Site(TempDir);

impl Site {
    fn new(component: &[u8]) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        fs::write(site.0.path().join("acme.wasm"), component).unwrap();
        site
    }

    /// Of this type, with keys at the top.
    fn write(&self, kind: &str, top: &str) -> PathBuf {
        let folder = self.0.path();
        let text = configuration(folder, "http://127.0.0.1:1", &[sim::Tenant::v2("one", 60)], "", "");
        let text = text.replace("type = \"mimecast\"", &format!("type = \"{kind}\""));
        let component = format!("[components.acme]\npath = \"{}/acme.wasm\"\n", folder.display());
        let file = folder.join("tributary.toml");
        fs::write(&file, format!("{top}\n{text}\n{component}")).unwrap();
        file
    }

    fn call(&self, verb: &str) -> Output {
        let file = self.0.path().join("tributary.toml");
        output(&mut command(BINARY, &["--config", file.to_str().unwrap(), verb]))
    }
}

#[tokio::test]
async fn the_built_in_component_is_compiled_only_for_a_source_of_its_own() {
    let site = Site::new(tributary_host::COMPONENT);
    let plan = async |kind: &str, built_in: &'static [u8]| {
        let config = config::load(&site.write(kind, "")).unwrap().config;
        let options = Options { component: Cow::Borrowed(built_in), ..Options::new(tributary_host::COMPONENT) };
        let host = Host::load(options).unwrap().with_components(&config).await;
        let planned = host.plan(&config.sources["one"]).await;
        planned.map(|planned| planned.plan.streams.len()).map_err(|error| error.to_string())
    };
    // Something that cannot be compiled tells whether it was tried.
    assert_eq!(plan("acme", b"no wasm").await, Ok(26));
    let refused = plan("mimecast", b"no wasm").await.unwrap_err();
    assert!(refused.contains("sources.one: the built-in component cannot be run"), "{refused}");
    assert_eq!(plan("mimecast", tributary_host::COMPONENT).await, Ok(26));
}

#[test]
fn a_component_that_needs_more_memory_to_start_is_judged_with_the_room_that_it_is_given() {
    let site = Site::new(&starting_with(640, tributary_host::COMPONENT));
    for (top, validate, check) in [
        ("", 78, 78),
        // Not as much as it needs.
        ("limits.memory_bytes = 35651584", 78, 78),
        ("limits.memory_bytes = 67108864", 0, 75),
    ] {
        site.write("acme", top);
        let words = if validate == 0 { "The configuration can be run" } else { "limits.memory_bytes" };
        site.call("validate").expect(validate, &[words]);
        // As far as it comes without a vendor.
        site.call("check").expect(check, &[if check == 75 { "refused" } else { "limits.memory_bytes" }]);
    }
}

/// The component with another initial size of its memory, in pages of 64 KiB.
fn starting_with(pages: u32, component: &[u8]) -> Vec<u8> {
    const CORE_MODULE: u8 = 1;
    const MEMORY: u8 = 5;
    let patched = |module: &[u8]| {
        sections(module, |id, section| {
            // One memory, without an upper limit.
            (id == MEMORY && section.starts_with(&[1, 0])).then(|| [&[1, 0][..], &leb128(pages)].concat())
        })
    };
    let component = sections(component, |id, section| (id == CORE_MODULE).then(|| patched(section)));
    assert_ne!(component, tributary_host::COMPONENT);
    component
}

/// A WebAssembly binary with some of its sections replaced.
fn sections(binary: &[u8], replaced: impl Fn(u8, &[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let (head, mut rest) = binary.split_at(8);
    let mut all = head.to_vec();
    while let [id, after @ ..] = rest {
        let end = after.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let length = after[..end].iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        let (section, next) = after[end..].split_at(length);
        let section = replaced(*id, section).unwrap_or_else(|| section.to_vec());
        all.push(*id);
        all.extend(leb128(section.len() as u32));
        all.extend(section);
        rest = next;
    }
    all
}

fn leb128(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
