//! Bounds what a guest can leave with the host as parts of a request.
//!
//! `wasi:http` keeps them outside of the guest's memory until the request is sent. Headers and paths have bounds there, method
//! and authority have none: with a name of thirty megabytes behind each handle a guest would fill the host. And
//! wasmtime-wasi-http 48 forgets to drop the options that a request is sent with: an instance that makes many requests would
//! run out of handles.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types::{
    ErrorCode, FutureIncomingResponse, HostOutgoingRequest as _, HostRequestOptions, Method, OutgoingRequest,
    RequestOptions,
};

use super::state::State;

/// The longest host name with a port has 259 bytes.
const AUTHORITY: usize = 1 << 10;

/// Registered ones have 17 bytes at most.
const METHOD: usize = 64;

type Set = (Result<(), ()>,);
type Sent = (Result<Resource<FutureIncomingResponse>, ErrorCode>,);

/// Takes the place of three functions of `wasi:http`, which it calls.
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
    let mut handler = linker.instance("wasi:http/outgoing-handler@0.2.12")?;
    handler.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, State>,
         (request, options): (Resource<OutgoingRequest>, Option<Resource<RequestOptions>>)|
         -> wasmtime::Result<Sent> {
            let mut http = store.data_mut().http();
            let given = options.as_ref().map(|options| Resource::new_own(options.rep()));
            let sent = http.handle(request, options);
            if let Some(options) = given {
                HostRequestOptions::drop(&mut http, options)?;
            }
            Ok((match sent {
                Ok(answer) => Ok(answer),
                Err(error) => Err(error.downcast()?),
            },))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
