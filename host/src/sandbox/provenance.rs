//! Where a component comes from, by what stands in its file.

use sha2::{Digest, Sha256};

use super::sections;

/// What a component's build has written into it. Each is absent if it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    pub version: Option<String>,
    /// The commit.
    pub revision: Option<String>,
    /// SHA-256 of the lock file, in hexadecimal.
    pub lock: Option<String>,
}

impl Provenance {
    pub fn of(component: &[u8]) -> Self {
        let text = |name| sections::text(component, name).map(str::to_owned);
        Self { version: text(sections::VERSION), revision: text(sections::REVISION), lock: text(sections::LOCK) }
    }
}

/// SHA-256 of `bytes`, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    crate::state::hex::encode(&Sha256::digest(bytes))
}
