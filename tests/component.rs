//! What is embedded is a component of the contract, and wants no more of its host than the contract allows.

use std::collections::BTreeSet;

use tributary_host::sandbox::{LoadError, Sandbox, Settings};
use tributary_tests::world::component;

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
