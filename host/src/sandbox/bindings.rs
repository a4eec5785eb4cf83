//! The contract's bindings, generated. Only `convert.rs` and `guest.rs` know them.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "log-source",
    exports: { default: async },
    require_store_data_send: true,
});

pub use tributary::source::types;
