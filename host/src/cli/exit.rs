//! Exit codes, after BSD's sysexits, as Vector uses them.

/// All went well; also after a graceful stop.
pub const OK: u8 = 0;
/// What was asked about is not so: a ledger that does not balance, a test that failed, a dead letter that stays.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 64;
/// What was given cannot be used.
pub const DATA: u8 = 65;
/// What was asked for is not there.
pub const NO_INPUT: u8 = 66;
/// Something that is needed is gone.
pub const UNAVAILABLE: u8 = 69;
/// A fault of this program.
pub const SOFTWARE: u8 = 70;
/// A file or folder cannot be made.
pub const CANNOT_CREATE: u8 = 73;
/// Reading or writing failed.
pub const IO: u8 = 74;
/// It failed for a cause that passes: try again.
pub const TEMPORARY: u8 = 75;
/// The vendor refuses the credentials, or the right; or the state is another user's.
pub const NO_PERMISSION: u8 = 77;
/// The configuration is wrong.
pub const CONFIGURATION: u8 = 78;
