//! Every fault of the simulator, for the streams of a run.

use mimecast_simulator::{EmptyShape, Endpoint, Fault, Kind, Reset, When};

use crate::dice::Dice;

/// Where a stream's requests go.
fn endpoints(stream: &str) -> Vec<Endpoint> {
    match stream {
        "siem" => vec![Endpoint::SiemLogs],
        "siem/events" => vec![Endpoint::SiemStream],
        "audit" => vec![Endpoint::Audit],
        "dlp" => vec![Endpoint::Dlp],
        "held/messages" => vec![Endpoint::HeldMessages],
        "held/releases" => vec![Endpoint::HeldReleases],
        "rejections" => vec![Endpoint::Rejections],
        "ttp/url" => vec![Endpoint::TtpUrl],
        "ttp/attachment" => vec![Endpoint::TtpAttachment],
        "ttp/impersonation" => vec![Endpoint::TtpImpersonation],
        "archive/search" => vec![Endpoint::ArchiveSearch],
        "archive/user-search" => vec![Endpoint::ArchiveUserSearch],
        "archive/view" => vec![Endpoint::ArchiveView],
        name if name.starts_with("threat_intel/") => vec![Endpoint::ThreatFeed],
        name if name.starts_with("cloud/") => vec![Endpoint::CloudBatch, Endpoint::Storage],
        _ => vec![Endpoint::SiemBatch, Endpoint::Storage],
    }
}

/// Some faults, each for a few requests.
pub fn choose(dice: &Dice, streams: &[&str]) -> Vec<(Fault, When)> {
    let count = dice.between(1, 5);
    (0..count)
        .map(|_| {
            let stream = *dice.pick(streams);
            let fault = dice.pick(&possible(dice, stream)).clone();
            let hits = if dice.chance(800) { dice.between(1, 3) } else { dice.between(4, 40) };
            let when = if dice.chance(600) {
                When::First(hits)
            } else {
                When::After { skip: dice.between(1, 30), count: hits }
            };
            (fault, when)
        })
        .collect()
}

/// All that can happen to a stream; what concerns every stream is there once, so that the special has its share.
fn possible(dice: &Dice, stream: &str) -> Vec<Fault> {
    let v1 = stream == "siem";
    let ends = endpoints(stream);
    let mut list = vec![general(dice, *dice.pick(&ends)), general(dice, ends[0])];
    let at = ends[0];
    if v1 {
        list.extend([
            Fault::EmptyPageWithNext { at },
            Fault::RepeatedToken { at },
            Fault::CursorRefused { at },
            Fault::BadLine { at },
            Fault::GluedObjects { at },
            Fault::RecordWithoutDatetime,
            Fault::BlankInTime,
            Fault::CarriageReturnLines,
            Fault::PipeInSubject,
            Fault::BackslashTexts,
            Fault::BrokenMember,
            Fault::MemberWithPath,
            Fault::UnknownPrefix,
            Fault::GuidName,
            Fault::SiemTokenHeaderMissing,
            Fault::DeveloperKey { at },
            Fault::BindingExpired { at },
            Fault::WrongRegion { at },
        ]);
        return list;
    }
    match stream {
        "siem/events" => list.extend([
            Fault::StreamStalls { at },
            Fault::CursorRefused { at },
            Fault::EmptyPageWithNext { at },
            Fault::NextPageMissing,
            Fault::CaughtUpWithFiles,
            Fault::LateRows { at, count: 3, late_ms: dice.between(60_000, 1_200_000) },
        ]),
        name if name.starts_with("siem/") || name.starts_with("cloud/") => list.extend([
            Fault::EmptyPageWithNext { at },
            Fault::RepeatedToken { at },
            Fault::CursorRefused { at },
            Fault::LateRows { at, count: 3, late_ms: dice.between(60_000, 7_200_000) },
            Fault::NextPageMissing,
            Fault::CaughtUpWithFiles,
            Fault::DuplicateUrl,
            Fault::FileOnTwoPages,
            Fault::EmptyFile,
            Fault::ZeroByteFile,
            Fault::UrlExpired,
            Fault::UrlGone,
            Fault::UrlGoneForever,
            Fault::TruncatedGzip,
            Fault::WrongContentLength,
            Fault::GzipEncodingHeader,
            Fault::BadLine { at: Endpoint::Storage },
            Fault::GluedObjects { at: Endpoint::Storage },
        ]),
        name if name.starts_with("threat_intel/") => list.extend([
            Fault::FeedTokenRepeats,
            Fault::FeedCannotCompress,
            Fault::FeedEmptyBundle,
            Fault::FeedCut,
            Fault::CursorRefused { at },
        ]),
        name => {
            list.extend([
                Fault::EmptyPageWithNext { at },
                Fault::RepeatedToken { at },
                Fault::CursorRefused { at },
                // Rows appear half an hour late at the most, which is how far a list is read again.
                Fault::LateRows { at, count: 3, late_ms: dice.between(60_000, 1_200_000) },
            ]);
            if name == "audit" {
                list.push(Fault::RowsInsertedDuringPaging { count: 3 });
            } else {
                let shape = *dice.pick(&[EmptyShape::NoData, EmptyShape::NoElement, EmptyShape::EmptyList]);
                list.extend([
                    Fault::RowsInsertedDuringListing { at, count: 3 },
                    Fault::EmptyShape { at, shape },
                    Fault::OtherShape { at },
                    Fault::NextOnLastPage { at },
                    Fault::NextAsObject { at },
                    Fault::MetaMissing { at },
                    Fault::RowTwice { at },
                ]);
            }
        }
    }
    list
}

/// What can happen at any endpoint.
fn general(dice: &Dice, at: Endpoint) -> Fault {
    let reset = *dice.pick(&[
        Reset::Milliseconds(90_000),
        Reset::Decimal(45_000),
        Reset::RetryAfter(60),
        Reset::EpochSeconds(120),
        Reset::Bare,
    ]);
    // The file store is not Mimecast's: it knows nothing of envelopes and tokens.
    if at == Endpoint::Storage {
        let status = *dice.pick(&[500, 503, 400, 403, 404]);
        let delay_ms = *dice.pick(&[500, 8_000, 70_000]);
        let after = dice.between(0, 4_000) as usize;
        return dice
            .pick(&[
                Fault::Status { at, status },
                Fault::HtmlError { at },
                Fault::Slow { at, delay_ms },
                Fault::ConnectionCut { at, after },
            ])
            .clone();
    }
    dice.pick(&[
        Fault::Status { at, status: *dice.pick(&[500, 502, 503, 504, 400, 404, 409, 509]) },
        Fault::HtmlError { at },
        Fault::TooManyRequests { at, reset },
        Fault::Slow { at, delay_ms: *dice.pick(&[500, 8_000, 70_000]) },
        Fault::ConnectionCut { at, after: dice.between(0, 4_000) as usize },
        Fault::FailWith200 { at },
        Fault::Forbidden { at, kind: None },
        Fault::Unauthorized { at },
        Fault::TokenExpiresNow { at },
        Fault::InvalidClientIdentifier { at },
        Fault::TokenVerificationFailed { at },
        Fault::ShortToken { seconds: dice.between(1, 120) },
        Fault::ExpiresInMissing,
        Fault::Status { at: Endpoint::Token, status: 503 },
        Fault::HtmlError { at: Endpoint::Token },
    ])
    .clone()
}

/// The kinds of records of a stream, for a fresh one: the first that the simulator can put in.
pub fn kind(stream: &str) -> Kind {
    let all = Kind::SIEM.into_iter().chain(Kind::CLOUD).chain(Kind::LISTS).chain([Kind::Audit]);
    all.into_iter().find(|kind| kind.stream() == stream).unwrap_or(Kind::Receipt)
}
