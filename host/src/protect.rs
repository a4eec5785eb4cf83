//! Keeps what the process holds in memory out of core files, and away from other processes of the same user.
//!
//! Linux does both by one attribute: of a process that is not dumpable no core is written (not even through a pipe, which
//! the limit on core files does not stop), nobody but root may trace it, and its files in `/proc` belong to root. What the
//! same user's processes could see before [`protect`] was called, such as the environment at the very start, is not undone.

use std::io;
use std::sync::Mutex;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior, setrlimit,
};

/// Whether [`protect`] has been called. Held while that is lifted.
static PROTECTED: Mutex<bool> = Mutex::new(false);

/// No core files, no debuggers.
///
/// # Errors
/// When the system refuses it; what it does allow has been done.
pub fn protect() -> io::Result<()> {
    let mut protected = PROTECTED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    *protected = true;
    let limit = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(limit?)
}

/// Whether this process leaves no core file and lets nobody but root look into it.
pub fn is_protected() -> bool {
    let dumpable = dumpable_behavior().is_ok_and(|behavior| behavior == DumpableBehavior::NotDumpable);
    dumpable && getrlimit(Resource::Core).current == Some(0)
}

/// Does `act` while debuggers are not kept away, and only for as long as that takes.
///
/// Wasmtime opens `/proc/self/pagemap` when it makes a pool of instances, to learn later which pages a guest has written. In
/// a process that is not dumpable that file belongs to root. Called once, at the start: a debugger of the same user
/// could as well have come before [`protect`].
pub(crate) fn lifted<T>(act: impl FnOnce() -> T) -> T {
    let protected = PROTECTED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if !*protected {
        return act();
    }
    // If it cannot be lifted, instances are cleared more slowly, and that is all.
    let lifted = set_dumpable_behavior(DumpableBehavior::Dumpable).is_ok();
    let done = act();
    if lifted && let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::error!("the system no longer keeps debuggers away: {error}");
    }
    done
}
