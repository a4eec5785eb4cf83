//! Misbehaviour on demand: each quirk of section 9 and each scenario of section 11.2 of the API reference that concerns
//! the endpoints served here, by name.

use crate::endpoint::Endpoint;
use crate::kind::Kind;
use crate::time::Millis;

/// A way to misbehave. Records are delayed or repeated by it but never lost, except where it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    // --- any endpoint
    /// This status, with an empty body (5xx, 400, 404, 409, 509 …).
    Status { at: Endpoint, status: u16 },
    /// 502 with a page of HTML, as a proxy sends it.
    HtmlError { at: Endpoint },
    /// 429 though the quota is not used up.
    TooManyRequests { at: Endpoint, reset: Reset },
    /// The answer takes so long.
    Slow { at: Endpoint, delay_ms: u64 },
    /// The connection breaks after so many bytes of the body.
    ConnectionCut { at: Endpoint, after: usize },
    /// 200 with `fail` and no data (Q1). A cursor sent stays where it was.
    FailWith200 { at: Endpoint },
    /// 403 `app_forbidden`; for SIEM batch and stream, Cloud Integrated and the threat feeds of this type only where one is
    /// named (Q9).
    Forbidden { at: Endpoint, kind: Option<Kind> },

    // --- authentication, API 2.0
    /// 401 `unauthorized` on a data path (Q6, S17).
    Unauthorized { at: Endpoint },
    /// Every access token given out so far stops working before this request is looked at (Q6).
    TokenExpiresNow { at: Endpoint },
    /// 401 `InvalidClientIdentifier` on a data path though the token is good (Q7).
    InvalidClientIdentifier { at: Endpoint },
    /// 401 `token_verification_failed` though the token is good (Q8).
    TokenVerificationFailed { at: Endpoint },
    /// The token given out lives for so many seconds.
    ShortToken { seconds: u64 },
    /// The token's answer lacks `expires_in`.
    ExpiresInMissing,

    // --- authentication, API 1.0
    /// 200 with `err_developer_key` though the application id is right (Q2).
    DeveloperKey { at: Endpoint },
    /// 418, the keys have expired (Q5).
    BindingExpired { at: Endpoint },
    /// 401 with `err_audit_log_incorrect_region` (Q10).
    WrongRegion { at: Endpoint },

    // --- pages and cursors
    /// A page (or archive, at [`Endpoint::SiemLogs`]) without rows, with a new token that goes on from the same place
    /// (Q13, Q29, S4, S12).
    EmptyPageWithNext { at: Endpoint },
    /// A page without rows whose token is the one that was sent (Q14, S5). Fires only when one was sent.
    RepeatedToken { at: Endpoint },
    /// 400, the token is refused (Q23, S10). Fires only when one was sent.
    CursorRefused { at: Endpoint },
    /// So many rows of the first type asked for appear late: they happened `late_ms` ago and are published next
    /// (Q18, S7).
    LateRows { at: Endpoint, count: usize, late_ms: Millis },
    /// So many audit rows become visible at the front of the window while a client asks for a further page (Q15, S6).
    RowsInsertedDuringPaging { count: usize },
    /// The same in a list of `/api/...` other than audit.
    RowsInsertedDuringListing { at: Endpoint, count: usize },

    // --- lists of `/api/...` other than audit
    /// How an answer without rows looks (Q25, S2). Fires only where there is nothing to list.
    EmptyShape { at: Endpoint, shape: EmptyShape },
    /// Rows stand right in `data[]` though they usually stand in a list of its first element, or the other way round
    /// (section 3.1, U13).
    OtherShape { at: Endpoint },
    /// `meta.pagination` holds `next` though no page follows: that page is empty (Q13).
    NextOnLastPage { at: Endpoint },
    /// `next` is an object with the token as `pageToken` (U10).
    NextAsObject { at: Endpoint },
    /// No `meta` in the answer of a last page.
    MetaMissing { at: Endpoint },
    /// The first row stands in the page twice, though it happened once (Q19).
    RowTwice { at: Endpoint },

    // --- the threat feed
    /// The last page's token is the one that was sent (Q68). Fires only when one was sent.
    FeedTokenRepeats,
    /// A `fail` message says that the feed cannot be compressed: there is nothing (section 6.10). Fires only where there
    /// is nothing.
    FeedCannotCompress,
    /// A bundle without objects, with a token that goes on from the same place (Q13).
    FeedEmptyBundle,
    /// The bundle ends in its middle. The same token gives it whole again.
    FeedCut,

    // --- the stream of API 2.0 SIEM events
    /// A cursor whose offsets are all zero: it brings nothing, for ever (Q56, S23).
    StreamStalls { at: Endpoint },

    // --- listings of API 2.0 SIEM files
    /// The page lacks `@nextPage` (Q63c).
    NextPageMissing,
    /// `isCaughtUp` is true though more pages follow (Q46, S22).
    CaughtUpWithFiles,
    /// One URL stands twice in a page (Q50, S21). Fires only on pages with files.
    DuplicateUrl,
    /// The page's cursor points at its last file, so the next page begins with it (Q50, S21).
    FileOnTwoPages,
    /// The page lists one more file, which has no records (S20).
    EmptyFile,
    /// The page lists one more file, of no bytes at all (S20).
    ZeroByteFile,

    // --- downloads of API 2.0 SIEM files
    /// 403, as if the signed URL had expired (Q48, S19).
    UrlExpired,
    /// 404 for this time (Q48, S19).
    UrlGone,
    /// 404 for this file for ever. **Its records are lost**: truth says so.
    UrlGoneForever,
    /// The gzip stream ends in the middle (Q51, S20).
    TruncatedGzip,
    /// `Content-Length` promises more than there is (S19).
    WrongContentLength,
    /// `Content-Encoding: gzip` on the object, which is not transport encoding (Q52).
    GzipEncodingHeader,

    // --- contents; from then on the file always reads like that, however often it is fetched
    /// A line, or a JSON element, that is broken, besides the good ones (Q51, S20). Counted as malformed.
    BadLine { at: Endpoint },
    /// Two objects glued together, without anything between them (Q44).
    GluedObjects { at: Endpoint },
    /// A record without `datetime` (Q39). API 1.0.
    RecordWithoutDatetime,
    /// A blank behind `T09:` in `datetime`, `key_value` only (section 7.2).
    BlankInTime,
    /// Lines end in a carriage return only, `key_value` only (S26).
    CarriageReturnLines,
    /// Subjects with `|` and `=` in them that look like a field, `key_value` only (S26).
    PipeInSubject,
    /// Every free text stands between backslashes, `key_value` only (Q42); otherwise some do.
    BackslashTexts,

    // --- archives and answers of API 1.0 SIEM logs
    /// One more member, whose compressed data are damaged (Q32, S11). Counted as malformed.
    BrokenMember,
    /// The first member's name climbs out of its folder (Q37, S11).
    MemberWithPath,
    /// The first file's name begins with a word that nobody knows (S11). Truth keeps its kind.
    UnknownPrefix,
    /// The first file is called by a GUID (section 3.3 of the normalization reference). Truth keeps its kind.
    GuidName,
    /// No `mc-siem-token` header (Q30, S12): the old token stands.
    SiemTokenHeaderMissing,
}

/// How an answer without rows looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyShape {
    /// No `data` at all.
    NoData,
    /// `data` is an empty list.
    NoElement,
    /// `data` is a list of one element whose list of rows is empty.
    EmptyList,
}

/// How a forced 429 says when to come back (section 8.4, S14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// `X-RateLimit-Reset`, milliseconds from now.
    Milliseconds(u64),
    /// `X-RateLimit-Reset`, milliseconds from now, written like `1234.0` (Q74).
    Decimal(u64),
    /// `Retry-After`, seconds.
    RetryAfter(u64),
    /// `X-RateLimit-Reset`, the epoch's seconds, so many from now.
    EpochSeconds(u64),
    /// No header at all.
    Bare,
}

/// Which of the requests that a fault could hit it does hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Always,
    /// The next so many.
    First(u64),
    /// After so many that pass, the next so many.
    After {
        skip: u64,
        count: u64,
    },
}

impl Fault {
    /// The fault's name, for the request log.
    pub fn name(&self) -> String {
        let text = format!("{self:?}");
        text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
    }
}

/// A fault that waits for its requests.
#[derive(Debug, Clone)]
pub(crate) struct Injected {
    fault: Fault,
    when: When,
    /// Requests that it could have hit.
    seen: u64,
    /// Requests that it hit.
    fired: u64,
}

/// The faults of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    list: Vec<Injected>,
    /// The last that fired while the present request was handled, for the log.
    pub last: Option<String>,
}

impl Faults {
    pub fn inject(&mut self, fault: Fault, when: When) {
        self.list.push(Injected { fault, when, seen: 0, fired: 0 });
    }

    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Each fault with how often it fired.
    pub fn fired(&self) -> impl Iterator<Item = (&Fault, u64)> {
        self.list.iter().map(|injected| (&injected.fault, injected.fired))
    }

    /// The first fault that this choice can hit and whose turn it is.
    pub fn fire(&mut self, choice: impl Fn(&Fault) -> bool) -> Option<Fault> {
        for injected in self.list.iter_mut().filter(|injected| choice(&injected.fault)) {
            let seen = injected.seen;
            injected.seen += 1;
            let now = match injected.when {
                When::Always => true,
                When::First(count) => seen < count,
                When::After { skip, count } => (skip..skip.saturating_add(count)).contains(&seen),
            };
            if now {
                injected.fired += 1;
                self.last = Some(injected.fault.name());
                return Some(injected.fault.clone());
            }
        }
        None
    }

    /// Whether this very fault fires.
    pub fn fires(&mut self, fault: &Fault) -> bool {
        self.fire(|other| other == fault).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_fire_when_they_should_and_are_counted() {
        let mut faults = Faults::default();
        faults.inject(Fault::UrlGone, When::After { skip: 1, count: 2 });
        let hits: Vec<bool> = (0..5).map(|_| faults.fires(&Fault::UrlGone)).collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert!(!faults.fires(&Fault::UrlExpired));
        assert_eq!(faults.fired().collect::<Vec<_>>(), [(&Fault::UrlGone, 2)]);
        assert_eq!(Fault::Status { at: Endpoint::Token, status: 500 }.name(), "Status");
    }
}
