//! Names of folders and files. Tenants and streams are texts of others: nothing in them leads out of the folder, and two
//! different ones never share a name.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use chrono::{DateTime, Utc};

use crate::deliver::{Head, Origin};
use crate::template::Template;

/// Longest name of one folder, in bytes. File systems take 255.
const LONGEST: usize = 200;

/// The folder of a tenant's stream; a slash in the stream's name makes a folder.
pub fn folder(tenant: &str, stream: &str) -> PathBuf {
    std::iter::once(tenant).chain(stream.split('/')).map(component).collect()
}

/// The folders that `pattern` gives. Its fixed text has been judged when the configuration was read.
pub fn folders(pattern: &Template, origin: &Origin, event: &Head) -> PathBuf {
    let streams = |stream: &str| stream.split('/').map(component).collect::<Vec<_>>().join("/");
    let text = pattern.render_path(origin, event, component, streams);
    text.split('/').map(|name| shortened(name.to_owned(), name)).collect()
}

/// `text` as the name of one folder: what is not a letter, digit, `-`, `_` or inner `.` becomes `%` and its bytes in
/// hexadecimal.
pub fn component(text: &str) -> String {
    let mut name = String::new();
    for (i, c) in text.char_indices() {
        if c.is_alphanumeric() || matches!(c, '-' | '_') || (c == '.' && i > 0) {
            name.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a text does not fail.
                let _ = write!(name, "%{byte:02X}");
            }
        }
    }
    if name.is_empty() {
        // Nothing else becomes a single `%`.
        name.push('%');
    }
    shortened(name, text)
}

/// `name`, which stands for `text`, cut to what file systems take.
fn shortened(mut name: String, text: &str) -> String {
    if name.len() > LONGEST {
        let cut = (0..=LONGEST - 18).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        let digest = fnv1a(text.as_bytes());
        name.truncate(cut);
        let _ = write!(name, "%-{digest:016x}");
    }
    name
}

/// Tells long names apart (Fowler, Noll and Vo's hash).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The name of a file that was begun at `time`, the `number`th of that second.
pub fn file(time: SystemTime, number: u32, extension: &str) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0));
    format!("{}-{number:04}.ndjson{extension}", time.unwrap_or_default().format("%Y%m%dT%H%M%SZ"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Component, Path};

    #[test]
    fn plain_names_stay() {
        assert_eq!(folder("acme", "siem/receipt"), Path::new("acme/siem/receipt"));
        assert_eq!(folder("Müller.GmbH-2", "audit"), Path::new("Müller.GmbH-2/audit"));
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_795_000_000);
        assert_eq!(file(time, 3, ".gz"), "20261118T110640Z-0003.ndjson.gz");
    }

    #[test]
    fn nothing_leads_out() {
        let long = "x".repeat(300);
        let texts =
            ["", ".", "..", "/", "a/b", "../../etc", "a\\b", "a\0b", "C:", ".hidden", "%2E", "a b", "a_b", &long];
        for tenant in texts {
            for stream in texts {
                let path = folder(tenant, stream);
                assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
                assert_eq!(path.components().count(), 1 + stream.split('/').count(), "{path:?}");
                assert!(path.iter().all(|part| part.len() <= LONGEST && !part.to_string_lossy().starts_with('.')));
            }
        }
    }

    #[test]
    fn patterns_stay_below_their_folder() {
        let long = "x".repeat(300);
        let texts = ["", ".", "..", "/", "a/b", "../../etc", "/etc", "a\0b", ".hidden", "//", &long];
        let event = Head { id: 0, time: 0, kind: 0, class: 0, severity: 0, alert_key: None, begin: 0, end: 1 };
        let rendered = |pattern: &str, tenant: &str, stream: &str| {
            let origin = Origin { source: tenant.into(), tenant: tenant.into(), stream: stream.into() };
            folders(&Template::parse(pattern).unwrap(), &origin, &event)
        };
        for tenant in texts {
            for stream in texts {
                let path = rendered("x/{source}{tenant}-{tenant}/{stream}/{date}", tenant, stream);
                assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
                assert_eq!(path.components().count(), 3 + stream.split('/').count(), "{path:?}");
                assert!(path.iter().all(|part| part.len() <= LONGEST), "{path:?}");
                assert_eq!(rendered("{tenant}/{stream}", tenant, stream), folder(tenant, stream));
            }
        }
        assert_eq!(rendered("day={date}/{stream}", "t", "siem/receipt"), Path::new("day=1970-01-01/siem/receipt"));
    }

    #[test]
    fn different_texts_have_different_names() {
        let long = "x".repeat(300);
        let longer = "x".repeat(301);
        let texts = ["", "%", "a b", "a_b", "a%20b", ".a", "%2Ea", "a.", &long, &longer];
        let mut names: Vec<String> = texts.iter().map(|text| component(text)).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), texts.len());
    }
}
