//! The codes of faults: stable and short, for machines. Health events, `check` and the operator's pages hold them, so none changes.

use std::borrow::Cow;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// What a fault is called. A fault cannot be made without one of these, so that a test can go through them all.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $name,)+
            /// Whatever else the vendor answers: `http-503`.
            Http(u16),
        }

        impl Code {
            /// Every code but those of statuses.
            pub const ALL: &[Code] = &[$(Code::$name),+];

            pub fn text(self) -> Cow<'static, str> {
                match self {
                    $(Code::$name => Cow::Borrowed($text),)+
                    Code::Http(status) => Cow::Owned(format!("http-{status}")),
                }
            }
        }
    };
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

codes! {
    // What the operator wrote.
    BadJson = "bad-json",
    UnknownKey = "unknown-key",
    WrongType = "wrong-type",
    MissingKey = "missing-key",
    BadValue = "bad-value",
    BadSecret = "bad-secret",
    BadBaseUrl = "bad-base-url",
    BadStart = "bad-start",
    UnknownRegion = "unknown-region",
    UnknownStream = "unknown-stream",
    WrongGeneration = "wrong-generation",

    // Who asks, and for what.
    UnknownAddress = "unknown-address",
    BadRegion = "bad-region",
    WrongRegion = "wrong-region",
    WrongAppId = "wrong-app-id",
    BadSignature = "bad-signature",
    BadClient = "bad-client",
    /// The contract's own word: the host asks no more until the keys are others.
    KeysExpired = "keys-expired",
    NoSession = "no-session",
    NoToken = "no-token",

    // What the vendor answers.
    /// Status 200 with errors in the body.
    Fail = "fail",
    NotJson = "not-json",
    AnswerTooLarge = "answer-too-large",
    BadPage = "bad-page",
    BadFileUrl = "bad-file-url",
    TokenTooLong = "token-too-long",
    PageTokenRepeats = "page-token-repeats",
    FileBreaksOff = "file-breaks-off",
    FileGone = "file-gone",
    FileNotListed = "file-not-listed",
    NotAFile = "not-a-file",
    ArchiveBreaksOff = "archive-breaks-off",

    // How far it was read.
    TokenRefused = "token-refused",
    TooOld = "too-old",
    BadPosition = "bad-position",
    NewerPosition = "newer-position",
    ForeignPosition = "foreign-position",

    // The way to the vendor.
    Dns = "dns",
    Denied = "denied",
    AddressDenied = "address-denied",
    ConnectionRefused = "connection-refused",
    ConnectionTimeout = "connection-timeout",
    ConnectionLimit = "connection-limit",
    Tls = "tls",
    ResponseTimeout = "response-timeout",
    Closed = "closed",
    HttpProtocol = "http-protocol",
    InvalidRequest = "invalid-request",
    Transport = "transport",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_share_a_text() {
        let texts: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.text()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert_eq!(Code::Http(503).text(), "http-503");
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        assert!(texts.iter().all(|text| plain(text) && !text.starts_with("http-4")));
    }
}
