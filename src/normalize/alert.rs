//! The key by which the repeats of one alert collapse: Stellar Cyber's rules (section 5 of the normalization
//! reference).

use crate::{
    chunk::Digest,
    kind::Kind,
    record::{Field, Record, identity, value::address},
};

/// - virus and attachment: tenant, source address, MD5, sender, recipients;
/// - link: tenant, source address, link, sender, recipients;
/// - the rest: tenant and the message that they are about (`aggregateId`).
///
/// A record that names nothing of this is an alert of its own, and a file without any address is told by its message.
pub fn key(record: &Record<'_>, scope: &str, id: Digest) -> Digest {
    let bytes = |field: Field| record.peek(field).bytes;
    let scope = scope.as_bytes();
    let account = bytes(Field::AccountId);
    let own = id.0.to_be_bytes();
    let source = if record.has(Field::SenderIp) { bytes(Field::SenderIp) } else { bytes(Field::SourceIp) };
    // A port is not part of who sent it.
    let source = address(source).map_or_else(|| String::from_utf8_lossy(source).into_owned(), |(ip, _)| ip.to_string());
    let (sender, recipients) = (bytes(Field::SenderEnvelope), bytes(Field::Recipients));
    let message = bytes(Field::AggregateId);
    let somebody = !source.is_empty() || !sender.is_empty() || !recipients.is_empty();
    let (purpose, told, parts) = match record.kind() {
        Kind::Av | Kind::AttachmentProtect => {
            let file = [Field::Md5, Field::Sha256, Field::Sha1, Field::FileName].map(bytes);
            let file = file.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
            let message = if somebody { &[] } else { message };
            ("alert/file", !file.is_empty(), [source.as_bytes(), file, sender, recipients, message])
        }
        Kind::UrlProtect => {
            let url = bytes(Field::Url);
            ("alert/url", !url.is_empty(), [source.as_bytes(), url, sender, recipients, &[]])
        }
        _ => ("alert/message", !message.is_empty(), [message, &[], &[], &[], &[]]),
    };
    let parts = if told { parts } else { [&own[..], &[], &[], &[], &[]] };
    identity::key(purpose, [scope, account].into_iter().chain(parts))
}
