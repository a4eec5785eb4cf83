//! The key by which the repeats of one alert collapse: Stellar Cyber's rules (section 5 of the normalization
//! reference).

use super::roles::Cast;
use crate::{
    chunk::Digest,
    kind::Kind,
    record::{Field, identity, value::address},
};

/// - virus and attachment: tenant, source address, MD5 (else another hash, else the name), sender, recipients;
/// - link: tenant, source address, link, sender, recipients;
/// - data loss: tenant, sender, message and policy, since each action and each recipient has a row of its own;
/// - what was held or rejected: tenant and Mimecast's own id of it;
/// - impersonation of the lists: tenant, sender and message;
/// - the rest: tenant and the message that they are about (`aggregateId`).
///
/// A record that names nothing of this is an alert of its own, and a file without any address is told by its message.
pub fn key(cast: &Cast<'_, '_>, scope: &str, id: Digest) -> Digest {
    let record = cast.record;
    let bytes = |field: Field| cast.peek(field).bytes;
    let scope = scope.as_bytes();
    let account = bytes(Field::AccountId);
    let own = id.0.to_be_bytes();
    let source = if cast.has(Field::SenderIp) { bytes(Field::SenderIp) } else { bytes(Field::SourceIp) };
    // A port is not part of who sent it.
    let source = address(source).map_or_else(|| String::from_utf8_lossy(source).into_owned(), |(ip, _)| ip.to_string());
    let sender = if cast.has(Field::SenderEnvelope) { Field::SenderEnvelope } else { Field::SenderHeader };
    let sender = if cast.roles.is_empty() { bytes(Field::SenderEnvelope) } else { bytes(sender) };
    let recipients = bytes(Field::Recipients);
    let (message, id) = (bytes(Field::AggregateId), bytes(Field::MessageId));
    let somebody = !source.is_empty() || !sender.is_empty() || !recipients.is_empty();
    let (purpose, told, parts) = match record.kind() {
        Kind::Av | Kind::AttachmentProtect | Kind::TtpAttachment => {
            let file = [Field::Md5, Field::Sha256, Field::Sha1, Field::FileName].map(bytes);
            let file = file.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
            let message = if somebody { &[] } else { message };
            ("alert/file", !file.is_empty(), [source.as_bytes(), file, sender, recipients, message])
        }
        Kind::UrlProtect | Kind::TtpUrl => {
            let url = bytes(Field::Url);
            ("alert/url", !url.is_empty(), [source.as_bytes(), url, sender, recipients, &[]])
        }
        Kind::Dlp => {
            let policy = bytes(Field::PolicyDefinition);
            ("alert/data", !id.is_empty(), [sender, id, policy, &[], &[]])
        }
        Kind::TtpImpersonation => ("alert/impersonation", !id.is_empty(), [sender, id, &[], &[], &[]]),
        Kind::Held | Kind::Rejection => {
            let own = bytes(Field::Id);
            ("alert/list", !own.is_empty(), [own, &[], &[], &[], &[]])
        }
        _ => ("alert/message", !message.is_empty(), [message, &[], &[], &[], &[]]),
    };
    let parts = if told { parts } else { [&own[..], &[], &[], &[], &[]] };
    identity::key(purpose, [scope, account].into_iter().chain(parts))
}
