//! The component that is built in, compiled when a source first asks for it.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::sandbox::{Component, LoadError, Sandbox};

/// The component that is built in. To compile it takes seconds of CPU and tens of megabytes: a host whose sources are all run
/// by others does without. Its clones compile it once.
#[derive(Clone)]
pub(super) struct BuiltIn {
    bytes: Cow<'static, [u8]>,
    compiled: Arc<OnceCell<Result<Component, LoadError>>>,
}

impl BuiltIn {
    pub fn new(bytes: Cow<'static, [u8]>) -> Self {
        Self { bytes, compiled: Arc::default() }
    }

    pub fn compiled(component: Component) -> Self {
        Self { bytes: Cow::default(), compiled: Arc::new(OnceCell::new_with(Some(Ok(component)))) }
    }

    /// Compiles it in `sandbox`, unless that is done. Who asks meanwhile waits.
    ///
    /// # Errors
    /// When it cannot be run. That is not tried again.
    pub async fn get(&self, sandbox: &Sandbox) -> Result<&Component, LoadError> {
        let compile = || async {
            let (sandbox, bytes, runtime) = (sandbox.clone(), self.bytes.clone(), Handle::current());
            // A source may come while others are read: they are not to wait for the compiler.
            let compiled = spawn_blocking(move || runtime.block_on(sandbox.load(&bytes)));
            compiled.await.unwrap_or_else(|error| Err(LoadError::Invalid(error.to_string())))
        };
        self.compiled.get_or_init(compile).await.as_ref().map_err(Clone::clone)
    }
}
