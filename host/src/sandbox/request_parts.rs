//! Bounds what a guest can leave with the host as parts of a request.
//!
//! `wasi:http` keeps them outside of the guest's memory until the request is sent. Headers and paths have bounds there, method
//! and authority have none: with a name of thirty megabytes behind each handle a guest would fill the host.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{HostOutgoingRequest as _, Method, OutgoingRequest};

use super::state::State;

/// The longest host name with a port has 259 bytes.
const AUTHORITY: usize = 1 << 10;

/// Registered ones have 17 bytes at most.
const METHOD: usize = 64;

type Set = (Result<(), ()>,);

/// Takes the place of two functions of `wasi:http/types`, which it calls.
pub(super) fn bound(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    // The linker finds it for each release of WASI 0.2; this is the one that it has.
    let mut types = linker.instance("wasi:http/types@0.2.12")?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: StoreContextMut<'_, State>,
         (request, method): (Resource<OutgoingRequest>, Method)|
         -> wasmtime::Result<Set> {
            if matches!(&method, Method::Other(name) if name.len() > METHOD) {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_method(request, method)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: StoreContextMut<'_, State>,
         (request, authority): (Resource<OutgoingRequest>, Option<String>)|
         -> wasmtime::Result<Set> {
            if authority.as_ref().is_some_and(|authority| authority.len() > AUTHORITY) {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_authority(request, authority)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
