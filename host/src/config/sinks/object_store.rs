//! Objects in S3, Google Cloud Storage, Azure Blob Storage or a local folder.

use std::path::PathBuf;

use super::shared::{
    self, BatchBounds, BatchOptions, Compression, Secret, batch, batch_keys, compression, compression_key,
};
use super::templated::template;
use super::{COMMON, HOLDS};
use crate::config::declaration::{Group, Table, flag, secret, table, text, text_or};
use crate::config::network::{self, NetworkSettings, Networks};
use crate::config::section::Section;
use crate::template::Template;

/// Where a day of one class of one stream lies together.
const KEY_PREFIX: &str = "{tenant}/{stream}/{date}/{class}-";

/// A store, and how objects are made and named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectStoreOptions {
    pub store: Store,
    /// Begins the key of each object, behind [`Self::folder`].
    pub key_prefix: Template,
    /// Begins all keys; empty, or ends in `/`.
    pub folder: String,
    pub compression: Compression,
    pub batch: BatchOptions,
    pub network: NetworkSettings,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    S3 {
        bucket: String,
        region: Option<String>,
        endpoint: Option<String>,
        virtual_hosted_style: bool,
        /// Without them, those of the environment or of the machine.
        credentials: Option<AwsCredentials>,
    },
    Google {
        bucket: String,
        endpoint: Option<String>,
        /// The file of a service account; without it, the machine's identity.
        credentials_path: Option<String>,
    },
    Azure {
        container: String,
        account: String,
        endpoint: Option<String>,
        /// Without it, the machine's identity.
        access_key: Option<Secret>,
    },
    /// A folder, made if it is missing.
    Local(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsCredentials {
    /// No secret, but nobody needs to see it either.
    pub access_key_id: Secret,
    pub secret_access_key: Secret,
    pub session_token: Option<Secret>,
}

pub static OBJECT_STORE: Table = Table::new(
    "sinks.object_store",
    "Objects of NDJSON in S3, Google Cloud Storage, Azure Blob Storage or a local folder.",
    &[&COMMON, &HOLDS, &Group::of(&[
        text(
            "url",
            "`s3://bucket`, `gs://bucket`, `az://container` or `file:///folder`, with a folder behind it if you like.",
        )
        .required(),
        text_or(
            "key_prefix",
            KEY_PREFIX,
            "How the key of each object begins, in which places are filled in. A hash of what is in it follows.",
        ),
        compression_key(&["zstd", "gzip", "none"]),
        table("batch", &BATCH),
        text("endpoint", "Of another store that speaks the protocol, as `https://host`."),
        text("region", "Of S3."),
        flag("virtual_hosted_style", false, "Of S3: whether the bucket stands in the host's name."),
        table("auth", &AWS),
        text("credentials_path", "Of Google: the file of a service account. The machine's identity, if absent."),
        text("account", "Of Azure: the storage account. Required there."),
        secret("access_key", "Of Azure. The machine's identity, if absent."),
        network::TLS,
        network::PROXY,
        network::TIMEOUTS,
    ])],
);

static AWS: Table = Table::new(
    "sinks.object_store.auth",
    "Of S3: a key. Without it, the credentials of the environment or of the machine are used.",
    &[&Group::of(&[
        secret("access_key_id", "Which key it is.").required(),
        secret("secret_access_key", "The key itself.").required(),
        secret("session_token", "Of temporary credentials."),
    ])],
);

/// An object of a size that is read well, or what came in five minutes.
static BATCH: Table = Table::new(
    "sinks.object_store.batch",
    shared::BATCH,
    &[&Group::of(&batch_keys(BatchBounds {
        max_bytes: (64 << 20, 1 << 30),
        max_events: (MOST_EVENTS, MOST_EVENTS),
        timeout_secs: (300, 86_400),
    }))],
);

/// As good as any number.
const MOST_EVENTS: u64 = (usize::MAX >> 1) as u64;

pub fn read(section: &mut Section<'_>, networks: &Networks) -> ObjectStoreOptions {
    const HINT: &str =
        "Write s3://bucket, gs://bucket, az://container or file:///folder, and a folder behind it if you like";
    let url = section.text("url");
    let parts = url.as_deref().and_then(|url| url.split_once("://"));
    let (scheme, rest) = match (&url, parts) {
        (None, _) => {
            section.fault("url", "is required", Some(HINT.into()));
            ("", "")
        }
        (Some(_), Some((scheme @ ("s3" | "gs" | "az" | "file"), rest))) => (scheme, rest),
        (Some(_), _) => {
            section.fault("url", "names no store", Some(HINT.into()));
            ("", "")
        }
    };
    let (name, folder) = rest.split_once('/').unwrap_or((rest, ""));
    if matches!(scheme, "s3" | "gs" | "az") && !is_bucket(name) {
        section.fault("url", "names no bucket or container", Some(HINT.into()));
    }
    if scheme == "file" && !rest.starts_with('/') {
        section.fault("url", "names no folder from the root", Some("Write three slashes: file:///var/lake".into()));
    }
    let folder = folder.trim_matches('/');
    if scheme != "file" && !folder.is_empty() && folder.split('/').any(is_no_name) {
        section.fault("url", "has an empty name, `.` or `..` between its slashes", Some(HINT.into()));
    }
    let endpoint = if scheme == "file" { None } else { endpoint(section) };
    let store = match scheme {
        "s3" => Store::S3 {
            bucket: name.to_owned(),
            region: section.text("region"),
            endpoint,
            virtual_hosted_style: section.flag("virtual_hosted_style"),
            credentials: aws(section),
        },
        "gs" => Store::Google { bucket: name.to_owned(), endpoint, credentials_path: section.text("credentials_path") },
        "az" => {
            let account = section.text("account");
            if account.is_none() {
                section.fault("account", "is required", Some("Name the storage account".into()));
            }
            let access_key = section.text("access_key").map(Secret::new);
            Store::Azure { container: name.to_owned(), account: account.unwrap_or_default(), endpoint, access_key }
        }
        _ => Store::Local(rest.into()),
    };
    let key_prefix = template(section, "key_prefix").unwrap_or_default();
    let mut pieces = key_prefix.pieces();
    // The hash follows behind the last slash.
    pieces.pop();
    if pieces.iter().any(|(fixed, filled)| !filled && is_no_name(fixed)) {
        let message = "has an empty name, `.` or `..` between its slashes";
        section.fault("key_prefix", message, Some(format!("Correct it, or remove it: the default is {KEY_PREFIX}")));
    }
    let compression = compression(section);
    let batch = batch(section);
    let network = networks.sink(section);
    let folder = if folder.is_empty() || scheme == "file" { String::new() } else { format!("{folder}/") };
    ObjectStoreOptions { store, key_prefix, folder, compression, batch, network }
}

fn is_no_name(text: &str) -> bool {
    matches!(text, "" | "." | "..") || text.chars().any(|c| c.is_ascii_control())
}

fn is_bucket(name: &str) -> bool {
    name.len() >= 3 && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '$'))
}

/// Of a store that speaks the protocol of another.
fn endpoint(section: &mut Section<'_>) -> Option<String> {
    let endpoint = section.text("endpoint")?;
    let uri: Option<http::Uri> = endpoint.parse().ok();
    let good = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    });
    if !good {
        section.fault("endpoint", "is no URL", Some("Write https://host, and a port if need be".into()));
        return None;
    }
    Some(endpoint.trim_end_matches('/').to_owned())
}

/// `auth = { access_key_id, secret_access_key, session_token }`, as Vector has it.
fn aws(section: &mut Section<'_>) -> Option<AwsCredentials> {
    let mut table = section.table("auth")?;
    let (id, secret) = (table.text("access_key_id"), table.text("secret_access_key"));
    let session_token = table.text("session_token").map(Secret::new);
    for (key, missing) in [("access_key_id", id.is_none()), ("secret_access_key", secret.is_none())] {
        if missing {
            let hint = format!(
                "Set `auth.{key}`, or remove `auth`: then the credentials of the environment or of the machine are used"
            );
            table.fault(key, "is required", Some(hint));
        }
    }
    table.close();
    Some(AwsCredentials { access_key_id: Secret::new(id?), secret_access_key: Secret::new(secret?), session_token })
}
