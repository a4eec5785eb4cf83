//! Who writes to whom about what: the vocabulary of the made-up mail. Only names that are reserved for examples.

pub const FIRST_NAMES: [&str; 32] = [
    "ada", "ben", "carla", "dmitri", "elena", "farid", "grace", "hugo", "ines", "jonas", "kira", "liam", "mona",
    "nils", "olga", "paul", "quinn", "rosa", "sven", "tara", "uwe", "vera", "will", "xenia", "yusuf", "zoe", "amir",
    "birgit", "chen", "deniz", "emeka", "freya",
];

pub const LAST_NAMES: [&str; 32] = [
    "abbot", "baker", "castro", "dietrich", "evans", "fischer", "garcia", "hansen", "ivanova", "jensen", "kowalski",
    "lopez", "meyer", "novak", "okafor", "petrov", "quist", "rossi", "schmidt", "tanaka", "ueda", "vogel", "weber",
    "xu", "yilmaz", "zimmer", "adeyemi", "brandt", "costa", "dubois", "ek", "ferrari",
];

/// Outside organizations that are what they seem.
pub const PARTNERS: [&str; 10] = [
    "harbour-freight.example.org",
    "northwind-paper.example.net",
    "lakeside-clinic.example",
    "brightfield.example.org",
    "umbra-design.example.net",
    "tollgate-bank.example",
    "juniper-hill.example.org",
    "sable-and-sons.example.net",
    "orchard-print.example",
    "quarry-tools.example.org",
];

/// Outside organizations that are not.
pub const VILLAINS: [&str; 8] = [
    "parcel-hold.example.net",
    "secure-login-desk.example",
    "prize-office.example.net",
    "invoice-portal.example.org",
    "mailbox-upgrade.example",
    "examp1e-payroll.example.net",
    "crypto-returns.example",
    "delivery-fee.example.org",
];

pub const SUBJECTS: [&str; 28] = [
    "Agenda for Thursday",
    "Re: Quotation 4711",
    "Delivery note attached",
    "FW: Your question about the contract",
    "Minutes of the steering group",
    "Invoice March",
    "Lunch?",
    "Re: Re: access to the test system",
    "Quarterly figures | draft",
    "Path C:\\Projects\\Plan",
    "He said \"no\" twice",
    "Übersicht der Reisekosten",
    "Новый договор",
    "見積書の件",
    "Café ☕ ouvert à tous",
    "Out of office: back on Monday",
    "Weekly report",
    "Interview on 12/6 at 14:00",
    "Sign-off needed by 5 pm",
    "Holiday plan = final",
    "Reminder: timesheets",
    "[EXTERNAL] Proposal",
    "Server maintenance <Sunday>",
    "Newsletter, issue 23",
    "Happy birthday 🎂",
    "Angebot für 100% Baumwolle",
    "Ticket #20394 was updated",
    "R&D budget",
];

pub const BAIT_SUBJECTS: [&str; 10] = [
    "Your parcel is waiting",
    "Urgent: payroll change",
    "You have won",
    "Mailbox almost full",
    "Overdue invoice",
    "Secure document for you",
    "Password expires today",
    "Wire transfer needed now",
    "Tax refund",
    "Unusual sign-in",
];

/// Name, extension, MIME type.
pub const FILES: [(&str, &str, &str); 10] = [
    ("plan", "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("figures", "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("scan 0012", "pdf", "application/pdf"),
    ("Grundriß", "png", "image/png"),
    ("slides, final", "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("order.2025", "csv", "text/csv"),
    ("archive", "zip", "application/zip"),
    ("macro", "xlsm", "application/vnd.ms-excel.sheet.macroEnabled.12"),
    ("setup", "exe", "application/x-msdownload"),
    ("note", "txt", "text/plain"),
];

/// Kind of refusal, SMTP code, text.
pub const REJECTIONS: [(&str, &str, &str); 7] = [
    ("Manual Envelope Rejection", "550", "Envelope blocked - User Entry"),
    ("IP Found in RBL", "550", "zen.blocklist.example Blocked - see the operator's page"),
    ("Invalid Recipient Address", "550", "Invalid recipient"),
    ("Anti-Spoofing Lockout", "550", "Rejected by header based Anti-Spoofing policy"),
    ("Virus Signature Detection", "554", "Email rejected due to security policies"),
    ("Malicious QRCode Detection", "554", "Email rejected due to security policies"),
    ("Message Loop Detected", "554", "Too many Received headers"),
];

/// Kind of refusal, SMTP code, text, local error.
pub const DELIVERY_FAILURES: [(&str, &str, &str, &str); 4] = [
    ("Recipient email address is possibly incorrect", "550", "5.4.1 Recipient address rejected: Access denied", ""),
    ("", "", "", "Domain has no MX records or is invalid"),
    ("Greylisting", "451", "4.7.1 Please try again later", ""),
    ("", "", "", "Connection timed out"),
];

pub const CIPHERS: [(&str, &str); 4] = [
    ("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
    ("TLSv1.3", "TLS_AES_128_GCM_SHA256"),
    ("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    ("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
];

pub const VIRUSES: [&str; 4] =
    ["Example.Test.Signature", "Made.Up:Phishing", "Sample/Dropper.GEN!7", "[eng1.Example, eng2.Example (adware)]"];

pub const URL_CATEGORIES: [&str; 4] = ["Phishing & Fraud", "Blocked", "Malware", "Newly Observed Domain"];
