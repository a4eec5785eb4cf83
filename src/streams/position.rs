//! Positions: JSON with a version, at most 64 KiB, never a secret.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha1::{Digest as _, Sha1};

use crate::chunk::{Digest, Fault, FaultClass, Timestamp};
use crate::code::Code;

/// The version that this release writes. It reads this one and all before it.
const VERSION: u32 = 1;

/// Hashes that a position keeps of a page's or an archive's finished parts. Older ones are let go: what they named
/// would be read again, which the host notices. A thousand take 19 KB.
pub const HASH_LIMIT: usize = 1_000;

/// Longer page tokens are refused, or a position might outgrow its limit. Known ones have some hundred bytes.
const TOKEN_LIMIT: usize = 8 << 10;

/// Judges a page token by the length that it has in a position, where a control character takes six bytes.
///
/// # Errors
/// `protocol` for one that is too long. `at` is who answered it.
pub fn check_token(token: Option<&str>, at: &str) -> Result<(), Fault> {
    if token.is_none_or(|token| serde_json::to_string(token).is_ok_and(|text| text.len() <= TOKEN_LIMIT)) {
        return Ok(());
    }
    Err(Fault::new(FaultClass::Protocol, Code::TokenTooLong, format!("{at} answered a page token of more than 8 KiB"))
        .status(200)
        .hint(crate::advice::REPORT))
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    v: u32,
    stream: String,
    #[serde(flatten)]
    state: T,
}

pub fn write<T: Serialize>(stream: &str, state: &T) -> Vec<u8> {
    let envelope = Envelope { v: VERSION, stream: stream.to_owned(), state };
    // Texts, numbers and lists of them: serializing cannot fail.
    serde_json::to_vec(&envelope).unwrap_or_default()
}

/// # Errors
/// `position-lost` for bytes that are no position; `configuration` for one of another stream or of a newer release.
pub fn read<T: DeserializeOwned>(stream: &str, bytes: &[u8]) -> Result<T, Fault> {
    #[derive(Deserialize)]
    struct Head {
        v: u32,
        stream: String,
    }
    let lost = || {
        Fault::new(FaultClass::PositionLost, Code::BadPosition, "the stored position cannot be read")
            .hint("Put the state back from a copy, or let the stream begin again: `tributary state reset`")
    };
    let head: Head = serde_json::from_slice(bytes).map_err(|_| lost())?;
    if head.v > VERSION {
        return Err(Fault::new(
            FaultClass::Configuration,
            Code::NewerPosition,
            format!("the stored position has version {}, but this release knows only {VERSION}", head.v),
        )
        .hint(
            "Run the release that wrote it, or a newer one; or let the stream begin again: `tributary state reset`",
        ));
    }
    if head.stream != stream {
        return Err(Fault::new(
            FaultClass::Configuration,
            Code::ForeignPosition,
            format!("the stored position belongs to the stream \"{}\", not to \"{stream}\"", head.stream),
        )
        .hint("Put the state back from a copy, or let the stream begin again: `tributary state reset`"));
    }
    serde_json::from_slice::<Envelope<T>>(bytes).map(|envelope| envelope.state).map_err(|_| lost())
}

/// Identity of a file or an archive's member: the first 64 bits of SHA-1.
pub fn hash(bytes: &[u8]) -> u64 {
    let digest = Sha1::digest(bytes);
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// A hash, as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash(pub u64);

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Hash).map_err(serde::de::Error::custom)
    }
}

/// A digest, as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(pub Digest);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)?;
        Ok(Id(Digest((number >> 64) as u64, number as u64)))
    }
}

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    pub hash: Hash,
    /// Records of it that are done; the next one has this index.
    pub index: u64,
    /// The last record's id, and how often it came in a row: the occurrence number of the next one depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Id>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub count: u32,
    /// How often reading it broke off at `broken`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
    #[serde(default, skip_serializing_if = "is_zero_long")]
    pub broken: u64,
    /// Since when it breaks off there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_since: Option<Timestamp>,
    /// Since when its address has been refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Timestamp>,
    /// Another file of the same listing was read to its end since then: it is this file's trouble, not the store's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
}

impl FileMark {
    pub fn new(hash: u64) -> Self {
        Self {
            hash: Hash(hash),
            index: 0,
            last: None,
            count: 0,
            tries: 0,
            broken: 0,
            broken_since: None,
            refused: None,
            alone: false,
        }
    }

    /// To the file's first record. How often it broke off, and where, stays.
    pub fn rewind(&mut self) {
        (self.index, self.last, self.count) = (0, None, 0);
    }
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

fn is_zero_long(value: &u64) -> bool {
    *value == 0
}

/// The last [`HASH_LIMIT`] of a list.
pub fn bounded(hashes: &[Hash]) -> &[Hash] {
    last(hashes, HASH_LIMIT)
}

/// The last so many of a list.
pub fn last(hashes: &[Hash], limit: usize) -> &[Hash] {
    &hashes[hashes.len().saturating_sub(limit)..]
}
