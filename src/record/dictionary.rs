//! Every field name that Mimecast's records use, and the one name that this project gives each of them.
//!
//! API 1.0, API 2.0 in both of its spellings and the audit log name one thing differently; section 7.6 of the API
//! reference says which are one. The dictionary's name is the one of API 2.0 where there is one.
//!
//! Such aliases are for the SIEM logs alone, where one log has two spellings. What the lists of `/api/...`, Cloud
//! Integrated and the feeds call a thing is the same in both generations, and one word means different things there
//! (`to` is an object, an array or a text). So each of their spellings is a field of its own under its own name, and
//! the mapping of a kind says what it means. That also keeps ids: such a key of a SIEM record is called what it was.
//! Where such a list uses a word that is a spelling of the SIEM logs, it is that field: `reason` is `blockReason`.

use super::{
    bytes,
    field_set::{FieldSet, set},
};

/// How many fields the dictionary knows.
pub const FIELD_COUNT: usize = FIELD_NAMES.len();
/// How many spellings it knows.
pub const NAME_COUNT: usize = NAMES.len();

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
    ActionTriggered = "actionTriggered" [],
    Actions = "actions" [],
    AdminOverride = "adminOverride" [],
    AdvancedPhishingResult = "advancedPhishingResult" [],
    AggregateId = "aggregateId" ["aCode"],
    Analysis = "analysis" [],
    Attachments = "attachments" ["AttNames"],
    AuditType = "auditType" [],
    AuthResults = "authResults" [],
    BlockReason = "blockReason" ["reason"],
    Category = "category" [],
    ContentViewed = "contentViewed" [],
    CreateTime = "createTime" [],
    Created = "created" [],
    CreatedByRef = "created_by_ref" [],
    CreationMethod = "creationMethod" [],
    CredentialTheft = "credentialTheft" [],
    CustomNameMatch = "customNameMatch" ["CustomName"],
    CustomThreatDictionary = "customThreatDictionary" ["CustomThreatDictionary"],
    Date = "date" [],
    DateReceived = "dateReceived" [],
    Definition = "definition" [],
    Delivered = "delivered" ["Delivered"],
    DeliveryAttempts = "deliveryAttempts" ["Attempt"],
    DeliveryErrors = "deliveryErrors" ["Err"],
    DeliveryTime = "deliveryTime" ["Latency"],
    Description = "description" [],
    DestinationIp = "destinationIp" [],
    Details = "details" [],
    DetectionLevel = "detectionLevel" [],
    Direction = "direction" ["Dir"],
    DiscoveryCase = "discoveryCase" [],
    EmailAddr = "emailAddr" [],
    EmailPartsDescription = "emailPartsDescription" [],
    EmailSize = "emailSize" ["MsgSize"],
    EventInfo = "eventInfo" [],
    EventTime = "eventTime" [],
    FileExtension = "fileExtension" ["fileExt"],
    FileHash = "fileHash" [],
    FileMime = "fileMime" [],
    FileName = "fileName" [],
    FileType = "fileType" [],
    From = "from" [],
    FromAddress = "fromAddress" [],
    FromEnv = "fromEnv" [],
    FromHdr = "fromHdr" [],
    FromHeader = "fromHeader" [],
    FromUserEmailAddress = "fromUserEmailAddress" [],
    HasAttachment = "hasAttachment" [],
    HasAttachments = "hasAttachments" [],
    HeldGroup = "heldGroup" [],
    HeldReason = "heldReason" [],
    HistoricalMail = "historicalMail" [],
    Hits = "hits" [],
    HoldReason = "holdReason" ["Hld"],
    Id = "id" [],
    Identifiers = "identifiers" [],
    ImpersonationResults = "impersonationResults" [],
    Info = "info" [],
    InternalUserName = "internalUserName" ["InternalName"],
    IpAddress = "ipAddress" [],
    IsAdmin = "isAdmin" [],
    ItemsDetected = "itemsDetected" ["Hits"],
    Labels = "labels" [],
    Malware = "malware" [],
    ManageRecipient = "manageRecipient" [],
    Md5 = "md5" [],
    MessageDate = "messageDate" [],
    MessageId = "messageId" ["MsgId", "msgid"],
    MessageInfo = "messageInfo" [],
    MimecastThreatDictionary = "mimecastThreatDictionary" ["ThreatDictionary"],
    Modified = "modified" [],
    MonitoredDomainSource = "monitoredDomainSource" [],
    MuseQuery = "museQuery" [],
    Name = "name" [],
    NewDomain = "newDomain" ["NewDomain"],
    NumberAttachments = "numberAttachments" ["AttCnt"],
    Operator = "operator" [],
    Pattern = "pattern" [],
    PoliciesApplied = "policiesApplied" [],
    Policy = "policy" [],
    PolicyDefinition = "policyDefinition" ["Definition"],
    PolicyInfo = "policyInfo" [],
    ProcessingId = "processingId" [],
    ReasonCode = "reasonCode" [],
    ReasonId = "reasonId" [],
    ReceiptErrors = "receiptErrors" ["Error"],
    RecipientAddress = "recipientAddress" [],
    Recipients = "recipients" ["recipient", "Rcpt", "Recipient"],
    RejectReason = "rejectReason" [],
    RejectionCode = "rejectionCode" ["RejCode"],
    RejectionInfo = "rejectionInfo" ["RejInfo"],
    RejectionType = "rejectionType" ["RejType"],
    Relationship = "relationship" [],
    Released = "released" [],
    RemoteEhlo = "remoteEhlo" [],
    RemoteName = "remoteName" [],
    ReplyMismatch = "replyMismatch" ["ReplyMismatch"],
    Result = "result" [],
    Route = "route" ["Route"],
    ScanResult = "scanResult" [],
    ScanResults = "scanResults" ["ScanResultInfo"],
    SearchPath = "searchPath" [],
    SearchReason = "searchReason" [],
    SearchText = "searchText" [],
    SenderAddress = "senderAddress" [],
    SenderDomain = "senderDomain" ["SenderDomain"],
    SenderDomainInternal = "senderDomainInternal" ["SenderDomainInternal"],
    SenderEnvelope = "senderEnvelope" ["sender", "Sender"],
    SenderHeader = "senderHeader" ["headerFrom"],
    SenderIp = "senderIp" ["SourceIP"],
    SenderIpAddress = "senderIpAddress" [],
    SendingIp = "sendingIp" [],
    Sha1 = "sha1" [],
    Sha256 = "sha256" [],
    SimilarCustomExternalDomain = "similarCustomExternalDomain" ["SimilarCustomExternalDomain"],
    SimilarDomain = "similarDomain" [],
    SimilarInternalDomain = "similarInternalDomain" ["SimilarInternalDomain"],
    SimilarMimecastExternalDomain = "similarMimecastExternalDomain" ["SimilarMimecastExternalDomain"],
    Size = "size" [],
    SizeAttachment = "sizeAttachment" ["Size"],
    Source = "source" [],
    SourceIp = "sourceIp" [],
    SpamDetectionLevel = "spamDetectionLevel" ["SpamLimit"],
    SpamInfo = "spamInfo" ["SpamInfo"],
    SpamProcessingDetail = "spamProcessingDetail" ["SpamProcessingDetail"],
    SpamScore = "spamScore" ["SpamScore"],
    SpecVersion = "spec_version" [],
    Status = "status" [],
    Subject = "subject" ["Subject"],
    Subtype = "subtype" ["subType"],
    TagMap = "tagMap" [],
    TaggedExternal = "taggedExternal" ["TaggedExternal"],
    TaggedMalicious = "taggedMalicious" ["TaggedMalicious"],
    Tags = "tags" [],
    ThreatState = "threatState" [],
    ThreatType = "threatType" [],
    Timestamp = "timestamp" ["datetime"],
    TlsCipher = "tlsCipher" ["Cphr"],
    TlsUsed = "tlsUsed" ["UseTls"],
    TlsVersion = "tlsVersion" ["TlsVer"],
    To = "to" [],
    ToAddress = "toAddress" [],
    ToAddressPostCheck = "toAddressPostCheck" [],
    ToAddressPreCheck = "toAddressPreCheck" [],
    ToHeader = "toHeader" [],
    TotalSizeAttachments = "totalSizeAttachments" ["AttSize"],
    TtpDefinition = "ttpDefinition" [],
    Type = "type" ["eventType"],
    Url = "url" ["URL"],
    UrlCategory = "urlCategory" ["UrlCategory"],
    User = "user" [],
    UserAwarenessAction = "userAwarenessAction" [],
    UserEmailAddress = "userEmailAddress" [],
    UserOverride = "userOverride" [],
    ValidFrom = "valid_from" [],
    ValidUntil = "valid_until" [],
    Viewed = "viewed" [],
    Viewer = "viewer" [],
    VirusFound = "virusFound" ["Virus"],
}

/// Where a record lay rather than what it says: neither in the body nor in the identity.
pub const TRANSPORT: FieldSet = set(&[Field::Offset, Field::Partition, Field::ContentDisposition]);

/// What no SIEM log of the Cloud Gateway has, but the lists, Cloud Integrated and the feeds do. In a line of API 1.0
/// such a word begins no field, and it says nothing of the kind.
pub const LISTS: FieldSet = set(&[
    Field::ActionTriggered,
    Field::Actions,
    Field::AdminOverride,
    Field::AdvancedPhishingResult,
    Field::AuthResults,
    Field::ContentViewed,
    Field::CreateTime,
    Field::Created,
    Field::CreatedByRef,
    Field::CreationMethod,
    Field::Date,
    Field::DateReceived,
    Field::Definition,
    Field::Description,
    Field::Details,
    Field::DetectionLevel,
    Field::DiscoveryCase,
    Field::EmailAddr,
    Field::EmailPartsDescription,
    Field::FileHash,
    Field::FileType,
    Field::From,
    Field::FromAddress,
    Field::FromEnv,
    Field::FromHdr,
    Field::FromHeader,
    Field::FromUserEmailAddress,
    Field::HasAttachment,
    Field::HasAttachments,
    Field::HeldGroup,
    Field::HeldReason,
    Field::HistoricalMail,
    Field::Hits,
    Field::Identifiers,
    Field::ImpersonationResults,
    Field::Info,
    Field::IpAddress,
    Field::IsAdmin,
    Field::Labels,
    Field::Malware,
    Field::ManageRecipient,
    Field::MessageDate,
    Field::MessageInfo,
    Field::Modified,
    Field::MuseQuery,
    Field::Name,
    Field::Operator,
    Field::Pattern,
    Field::PoliciesApplied,
    Field::Policy,
    Field::PolicyInfo,
    Field::ReasonCode,
    Field::ReasonId,
    Field::RecipientAddress,
    Field::RejectReason,
    Field::Relationship,
    Field::Released,
    Field::RemoteEhlo,
    Field::RemoteName,
    Field::Result,
    Field::ScanResult,
    Field::SearchPath,
    Field::SearchReason,
    Field::SearchText,
    Field::SenderAddress,
    Field::SenderIpAddress,
    Field::SendingIp,
    Field::Size,
    Field::Source,
    Field::SpecVersion,
    Field::Status,
    Field::TagMap,
    Field::Tags,
    Field::ThreatState,
    Field::ThreatType,
    Field::To,
    Field::ToAddress,
    Field::ToAddressPostCheck,
    Field::ToAddressPreCheck,
    Field::ToHeader,
    Field::TtpDefinition,
    Field::UserAwarenessAction,
    Field::UserEmailAddress,
    Field::UserOverride,
    Field::ValidFrom,
    Field::ValidUntil,
    Field::Viewed,
    Field::Viewer,
]);

impl Field {
    /// The dictionary's name.
    pub const fn name(self) -> &'static str {
        FIELD_NAMES[self as usize]
    }
}

/// A spelling that the dictionary knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(u16);

impl Name {
    pub const FIRST: Name = Name(0);

    pub fn field(self) -> Field {
        NAMES[usize::from(self.0)].1
    }

    pub fn text(self) -> &'static str {
        NAMES[usize::from(self.0)].0
    }

    /// Every spelling.
    pub fn all() -> impl Iterator<Item = Name> {
        (0..NAME_COUNT as u16).map(Name)
    }

    pub fn add_to(self, names: &mut NameSet) {
        names[usize::from(self.0) / 64] |= 1 << (self.0 % 64);
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

const TABLE_SIZE: usize = 4096;
const EMPTY: u16 = u16::MAX;
static TABLE: [u16; TABLE_SIZE] = table();

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

const fn table() -> [u16; TABLE_SIZE] {
    assert!(NAME_COUNT < EMPTY as usize && FIELD_COUNT <= 256);
    let mut table = [EMPTY; TABLE_SIZE];
    let mut index = 0;
    while index < NAME_COUNT {
        let mut slot = hash(NAMES[index].0.as_bytes());
        while table[slot] != EMPTY {
            slot = (slot + 1) % TABLE_SIZE;
        }
        table[slot] = index as u16;
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
    fn a_field_of_the_lists_has_one_spelling() {
        for (name, field) in NAMES {
            assert!(!LISTS.contains(*field) || field.name() == *name, "{name}");
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
