//! Every field name that Mimecast's records use, and the one name that this project gives each of them.
//!
//! API 1.0, API 2.0 in both of its spellings and the audit log name one thing differently; section 7.6 of the API
//! reference says which are one. The dictionary's name is the one of API 2.0 where there is one.

use super::bytes;

/// How many fields the dictionary knows.
pub const FIELD_COUNT: usize = FIELD_NAMES.len();
/// How many spellings it knows.
pub const NAME_COUNT: usize = NAMES.len();

/// A set of fields.
pub type FieldSet = u128;
/// A set of spellings, as indexes into the list of names.
pub type NameSet = [u64; NAME_COUNT.div_ceil(64)];

macro_rules! dictionary {
    ($($field:ident = $name:literal [$($alias:literal),*]),* $(,)?) => {
        /// What a record can say. The order is that of the dictionary's names as bytes, which identity relies on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Field { $($field),* }

        /// By discriminant.
        pub const FIELDS: &[Field] = &[$(Field::$field),*];
        const FIELD_NAMES: &[&str] = &[$($name),*];
        /// Of the spellings of one field, the first that is populated wins; the others stay what they are.
        const NAMES: &[(&str, Field)] = &[$(($name, Field::$field), $(($alias, Field::$field),)*)*];
    };
}

dictionary! {
    ContentDisposition = "Content-Disposition" [],
    CustomerIp = "CustomerIP" [],
    Hostname = "Hostname" ["Host"],
    // The other side of the connection: the sender's in a receipt, the destination's in a delivery. `Fields` gives it
    // the name that API 2.0 has for it as soon as the kind is known.
    RemoteIp = "IP" [],
    CheckInternalName = "IPInternalName" [],
    CheckNewDomain = "IPNewDomain" [],
    CheckReplyMismatch = "IPReplyMismatch" [],
    CheckSimilarDomain = "IPSimilarDomain" [],
    CheckThreatDictionary = "IPThreadDict" [],
    MimecastIp = "MimecastIP" [],
    RecipientActionType = "RcptActType" [],
    RecipientHeaderType = "RcptHdrType" [],
    ReceiptAcknowledgement = "ReceiptAck" [],
    BytesSent = "Snt" [],
    Offset = "_offset" [],
    Partition = "_partition" [],
    AccountId = "accountId" ["acc"],
    Action = "action" ["Act", "Action"],
    AggregateId = "aggregateId" ["aCode"],
    Analysis = "analysis" [],
    Attachments = "attachments" ["AttNames"],
    AuditType = "auditType" [],
    BlockReason = "blockReason" ["reason"],
    Category = "category" [],
    CredentialTheft = "credentialTheft" [],
    CustomNameMatch = "customNameMatch" ["CustomName"],
    CustomThreatDictionary = "customThreatDictionary" ["CustomThreatDictionary"],
    Delivered = "delivered" ["Delivered"],
    DeliveryAttempts = "deliveryAttempts" ["Attempt"],
    DeliveryErrors = "deliveryErrors" ["Err"],
    DeliveryTime = "deliveryTime" ["Latency"],
    DestinationIp = "destinationIp" [],
    Direction = "direction" ["Dir"],
    EmailSize = "emailSize" ["MsgSize"],
    EventInfo = "eventInfo" [],
    EventTime = "eventTime" [],
    FileExtension = "fileExtension" ["fileExt"],
    FileMime = "fileMime" [],
    FileName = "fileName" [],
    HoldReason = "holdReason" ["Hld"],
    Id = "id" [],
    InternalUserName = "internalUserName" ["InternalName"],
    ItemsDetected = "itemsDetected" ["Hits"],
    Md5 = "md5" [],
    MessageId = "messageId" ["MsgId", "msgid"],
    MimecastThreatDictionary = "mimecastThreatDictionary" ["ThreatDictionary"],
    MonitoredDomainSource = "monitoredDomainSource" [],
    NewDomain = "newDomain" ["NewDomain"],
    NumberAttachments = "numberAttachments" ["AttCnt"],
    PolicyDefinition = "policyDefinition" ["Definition"],
    ProcessingId = "processingId" [],
    ReceiptErrors = "receiptErrors" ["Error"],
    Recipients = "recipients" ["recipient", "Rcpt", "Recipient"],
    RejectionCode = "rejectionCode" ["RejCode"],
    RejectionInfo = "rejectionInfo" ["RejInfo"],
    RejectionType = "rejectionType" ["RejType"],
    ReplyMismatch = "replyMismatch" ["ReplyMismatch"],
    Route = "route" ["Route"],
    ScanResults = "scanResults" ["ScanResultInfo"],
    SenderDomain = "senderDomain" ["SenderDomain"],
    SenderDomainInternal = "senderDomainInternal" ["SenderDomainInternal"],
    SenderEnvelope = "senderEnvelope" ["sender", "Sender"],
    SenderHeader = "senderHeader" ["headerFrom"],
    SenderIp = "senderIp" ["SourceIP"],
    Sha1 = "sha1" [],
    Sha256 = "sha256" [],
    SimilarCustomExternalDomain = "similarCustomExternalDomain" ["SimilarCustomExternalDomain"],
    SimilarDomain = "similarDomain" [],
    SimilarInternalDomain = "similarInternalDomain" ["SimilarInternalDomain"],
    SimilarMimecastExternalDomain = "similarMimecastExternalDomain" ["SimilarMimecastExternalDomain"],
    SizeAttachment = "sizeAttachment" ["Size"],
    SourceIp = "sourceIp" [],
    SpamDetectionLevel = "spamDetectionLevel" ["SpamLimit"],
    SpamInfo = "spamInfo" ["SpamInfo"],
    SpamProcessingDetail = "spamProcessingDetail" ["SpamProcessingDetail"],
    SpamScore = "spamScore" ["SpamScore"],
    Subject = "subject" ["Subject"],
    Subtype = "subtype" ["subType"],
    TaggedExternal = "taggedExternal" ["TaggedExternal"],
    TaggedMalicious = "taggedMalicious" ["TaggedMalicious"],
    Timestamp = "timestamp" ["datetime"],
    TlsCipher = "tlsCipher" ["Cphr"],
    TlsUsed = "tlsUsed" ["UseTls"],
    TlsVersion = "tlsVersion" ["TlsVer"],
    TotalSizeAttachments = "totalSizeAttachments" ["AttSize"],
    Type = "type" ["eventType"],
    Url = "url" ["URL"],
    UrlCategory = "urlCategory" ["UrlCategory"],
    User = "user" [],
    VirusFound = "virusFound" ["Virus"],
}

/// Where a record lay rather than what it says: neither in the body nor in the identity.
pub const TRANSPORT: FieldSet = set(&[Field::Offset, Field::Partition, Field::ContentDisposition]);

impl Field {
    /// The dictionary's name.
    pub const fn name(self) -> &'static str {
        FIELD_NAMES[self as usize]
    }

    /// The set of this field alone.
    pub const fn bit(self) -> FieldSet {
        // Not one shift of 128 bits, which in wasm is a call.
        let (low, high) = if (self as u8) < 64 { (1u64 << self as u8, 0) } else { (0, 1u64 << (self as u8 - 64)) };
        (high as FieldSet) << 64 | low as FieldSet
    }
}

/// The set of these fields.
pub const fn set(fields: &[Field]) -> FieldSet {
    let mut set = 0;
    let mut index = 0;
    while index < fields.len() {
        set |= fields[index].bit();
        index += 1;
    }
    set
}

/// A spelling that the dictionary knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(u8);

impl Name {
    pub fn field(self) -> Field {
        NAMES[usize::from(self.0)].1
    }

    pub fn text(self) -> &'static str {
        NAMES[usize::from(self.0)].0
    }

    /// Every spelling.
    pub fn all() -> impl Iterator<Item = Name> {
        (0..NAME_COUNT as u8).map(Name)
    }

    pub fn add_to(self, names: &mut NameSet) {
        names[usize::from(self.0 / 64)] |= 1 << (self.0 % 64);
    }

    /// Finds a spelling. Case matters: `Route` is a route's name where `route` is a direction.
    #[inline(always)]
    pub fn find(text: &[u8]) -> Option<Name> {
        if text.is_empty() {
            return None;
        }
        let mut slot = hash(text);
        loop {
            let index = TABLE[slot];
            if index == EMPTY {
                return None;
            }
            if bytes::equal(NAMES[usize::from(index)].0.as_bytes(), text) {
                return Some(Name(index));
            }
            slot = (slot + 1) % TABLE_SIZE;
        }
    }
}

const TABLE_SIZE: usize = 1024;
const EMPTY: u8 = u8::MAX;
static TABLE: [u8; TABLE_SIZE] = table();

/// From the length and three bytes: enough to keep nearly all names apart, and short enough to beat any real hash.
const fn hash(text: &[u8]) -> usize {
    let length = text.len();
    let sum = (length as u32)
        .wrapping_mul(0x9E37_79B1)
        .wrapping_add((text[0] as u32).wrapping_mul(0x85EB_CA6B))
        .wrapping_add((text[length / 2] as u32).wrapping_mul(0xC2B2_AE35))
        .wrapping_add((text[length - 1] as u32).wrapping_mul(0x27D4_EB2F));
    (sum >> 20) as usize % TABLE_SIZE
}

const fn table() -> [u8; TABLE_SIZE] {
    assert!(NAME_COUNT < EMPTY as usize && FIELD_COUNT <= FieldSet::BITS as usize);
    let mut table = [EMPTY; TABLE_SIZE];
    let mut index = 0;
    while index < NAME_COUNT {
        let mut slot = hash(NAMES[index].0.as_bytes());
        while table[slot] != EMPTY {
            slot = (slot + 1) % TABLE_SIZE;
        }
        table[slot] = index as u8;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_others_are_not() {
        for name in Name::all() {
            assert_eq!(Name::find(name.text().as_bytes()), Some(name));
        }
        for text in ["", "x", "Timestamp", "ACTION", "recipientss", "a-name-that-nobody-uses"] {
            assert_eq!(Name::find(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn fields_are_in_the_order_of_their_names() {
        assert!(FIELD_NAMES.is_sorted_by(|left, right| left.as_bytes() < right.as_bytes()));
        for (index, field) in FIELDS.iter().enumerate() {
            assert_eq!(*field as usize, index);
        }
    }

    #[test]
    fn a_probe_is_short() {
        let longest = Name::all()
            .map(|name| {
                let home = hash(name.text().as_bytes());
                (0..).take_while(|step| TABLE[(home + step) % TABLE_SIZE] != name.0).count()
            })
            .max();
        assert!(longest < Some(6), "{longest:?}");
    }
}
