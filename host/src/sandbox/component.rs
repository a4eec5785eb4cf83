//! Loading a component: what it must be, and what it may import.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::types::ComponentItem;

use super::bindings::LogSourcePre;
use super::state::State;
use super::{Context, Descriptor, Guest, GuestError, Limits, Sandbox};
use crate::outside::{Clock, Random};

/// Why a component is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("the WebAssembly engine does not start: {0}. Check the limits on memory and address space (ulimit -v)")]
    Engine(String),
    #[error(
        "this is a core WebAssembly module, not a component. Link it with wasm-component-ld, or wrap it with \
         `wasm-tools component new`"
    )]
    CoreModule,
    #[error(
        "this component needs more than an instance may have: {0}. Raise limits.memory_bytes or limits.table_elements"
    )]
    TooLarge(String),
    #[error("this is not a WebAssembly component that can be run: {0}. Name another file, or build it again")]
    Invalid(String),
    #[error(
        "the component imports {}, which a source may not have. Build it for wasm32-unknown-unknown, where nothing is \
         imported that is not used", .0.join(", ")
    )]
    Imports(Vec<String>),
    #[error("the component does not export tributary:source/source@0.1; it exports {}", if .0.is_empty() { "nothing".into() } else { .0.join(", ") })]
    Exports(Vec<String>),
    #[error("the component does not describe itself: {0}")]
    Describe(GuestError),
}

/// What a source may import, without versions. The contract's own types come along with its functions.
const IMPORTS: [&str; 9] = [
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/wall-clock",
    "wasi:clocks/monotonic-clock",
    "wasi:http/types",
    "wasi:http/outgoing-handler",
    "wasi:random/random",
    "wasi:cli/stderr",
];

/// The contract's generation. Within it, later minor versions only add.
const CONTRACT: &str = "0.1";

/// A component, compiled and checked; its clones share the code.
#[derive(Clone)]
pub struct Component {
    pub(super) sandbox: Sandbox,
    pub(super) pre: Arc<LogSourcePre<State>>,
    /// What its instances may use.
    pub(super) limits: Limits,
    descriptor: Arc<Descriptor>,
    /// Their names, once for all sources.
    kinds: Arc<[String]>,
    imports: Arc<[String]>,
}

impl Component {
    pub(super) async fn load(sandbox: &Sandbox, bytes: &[u8]) -> Result<Self, LoadError> {
        if is_core_module(bytes) {
            return Err(LoadError::CoreModule);
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(LoadError::Invalid("it does not begin as WebAssembly does".into()));
        }
        let invalid = |error: wasmtime::Error| LoadError::Invalid(one_line(&error));
        let component = wasmtime::component::Component::new(&sandbox.engine, bytes).map_err(|error| {
            // Wasmtime has no type for what does not fit into a slot.
            let text = one_line(&error);
            if text.contains("exceeds the limit") { LoadError::TooLarge(text) } else { LoadError::Invalid(text) }
        })?;
        let surface = component.component_type();
        let imports: Vec<String> = surface.imports(&sandbox.engine).map(|(name, _)| name.to_owned()).collect();
        let exports: Vec<String> = surface
            .exports(&sandbox.engine)
            .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentInstance(_)))
            .map(|(name, _)| name.to_owned())
            .collect();
        check_imports(&imports)?;
        if !exports.iter().any(|name| is_version(name, "tributary:source/source", CONTRACT)) {
            return Err(LoadError::Exports(exports));
        }
        let pre = sandbox.linker.instantiate_pre(&component).and_then(LogSourcePre::new).map_err(invalid)?;
        let mut loaded = Self {
            sandbox: sandbox.clone(),
            pre: Arc::new(pre),
            limits: sandbox.room,
            descriptor: Arc::new(Descriptor::empty()),
            kinds: Arc::default(),
            imports: imports.into(),
        };
        // With all the room that there is: how much it may have of that, its sources say later.
        // It must say what it is without touching the outside, so it gets none. The clock stands still.
        let clock = Clock::Simulated { epoch: Duration::ZERO, start: tokio::time::Instant::now() };
        let nothing = Context::sealed("describe", clock, Random::seeded(0));
        let mut guest = loaded.instantiate(&nothing).await.map_err(LoadError::Describe)?;
        loaded.descriptor = Arc::new(guest.describe().await.map_err(LoadError::Describe)?);
        loaded.kinds = loaded.descriptor.kinds.iter().map(|kind| kind.name.clone()).collect();
        loaded.limits = sandbox.limits;
        Ok(loaded)
    }

    /// The same component, whose instances are held to other limits. Memory and tables are at most what the sandbox has
    /// room for.
    pub fn with_limits(&self, limits: Limits) -> Self {
        let room = &self.sandbox.room;
        let limits = Limits {
            memory: limits.memory.min(room.memory),
            table_elements: limits.table_elements.min(room.table_elements),
            ..limits
        };
        Self { limits, ..self.clone() }
    }

    /// What it was compiled by: others that are to share its slots are too.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The names of its kinds, in the order of their indices.
    pub fn kinds(&self) -> &Arc<[String]> {
        &self.kinds
    }

    /// What it said of itself.
    pub fn descriptor(&self) -> &Arc<Descriptor> {
        &self.descriptor
    }

    /// Its imports, with their versions.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// An instance, when a slot is free.
    ///
    /// # Errors
    /// When the guest breaks down at its start.
    pub async fn instantiate(&self, context: &Context) -> Result<Guest, GuestError> {
        Guest::instantiate(self, context).await
    }
}

/// An error with its causes. Some show bytes, each on a line.
fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The second half of the eight first bytes tells a module (version 1, layer 0) from a component (layer 1).
fn is_core_module(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm") && bytes.get(6..8) == Some(&[0, 0])
}

fn check_imports(imports: &[String]) -> Result<(), LoadError> {
    let allowed = |name: &String| {
        IMPORTS.iter().any(|allowed| is_version(name, allowed, "0.2"))
            || is_version(name, "tributary:source/types", CONTRACT)
    };
    let refused: Vec<String> = imports.iter().filter(|name| !allowed(name)).cloned().collect();
    if refused.is_empty() { Ok(()) } else { Err(LoadError::Imports(refused)) }
}

/// Whether `name` is `interface` in any release of `generation`: `wasi:io/poll@0.2.12` is `wasi:io/poll` of `0.2`.
fn is_version(name: &str, interface: &str, generation: &str) -> bool {
    name.strip_prefix(interface)
        .and_then(|rest| rest.strip_prefix('@'))
        .and_then(|version| version.strip_prefix(generation))
        .is_some_and(|patch| patch.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str]) -> Result<(), LoadError> {
        check_imports(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn only_what_the_contract_names_may_be_imported() {
        assert_eq!(check(&["wasi:io/poll@0.2.12", "wasi:http/types@0.2.6", "tributary:source/types@0.1.0"]), Ok(()));
        for name in
            ["wasi:filesystem/types@0.2.12", "wasi:io/poll@0.3.0", "wasi:io/polling@0.2.0", "wasi:io/poll", "env"]
        {
            assert_eq!(check(&["wasi:io/error@0.2.0", name]), Err(LoadError::Imports(vec![name.into()])));
        }
    }

    #[tokio::test]
    async fn a_core_module_and_a_bare_component_are_refused() {
        let sandbox = Sandbox::new(super::super::Settings { slots: 2, ..Default::default() }).unwrap();
        let refused = async |bytes: &[u8]| sandbox.load(bytes).await.err().unwrap();
        assert_eq!(refused(b"\0asm\x01\0\0\0").await, LoadError::CoreModule);
        assert_eq!(refused(b"\0asm\x0d\0\x01\0").await, LoadError::Exports(Vec::new()));
        let script = refused(b"#!/bin/sh").await;
        assert!(matches!(script, LoadError::Invalid(_)));
        assert!(script.to_string().ends_with("as WebAssembly does. Name another file, or build it again"), "{script}");
        let torn = refused(b"\0asm\x0d\0\x01\0torn").await;
        assert!(matches!(torn, LoadError::Invalid(_)) && !torn.to_string().contains('\n'), "{torn}");
    }
}
