//! Other people's sample records, where they lie; nothing of them is in this repository.

use mimecast_source::{kind::Kind, normalize::Origin};
use serde_json::Value;

use crate::{dictionary::shared, origin, siem};

/// A folder of samples.
pub struct Sample {
    pub folder: &'static str,
    pub file: &'static str,
    pub origin: Origin<'static>,
}

pub fn folders() -> [Sample; 5] {
    [
        Sample { folder: "siem_logs", file: "test-siem-v2-logs.log", origin: siem(None) },
        Sample { folder: "cloud_integrated_logs", file: "test-cloud-integrated-logs.log", origin: siem(None) },
        Sample { folder: "dlp_logs", file: "test-dlp-logs.log", origin: origin(Kind::Dlp) },
        Sample { folder: "ttp_url_logs", file: "test-ttp-url-logs.log", origin: origin(Kind::TtpUrl) },
        Sample {
            folder: "archive_search_logs",
            file: "test-archive-search-logs.log",
            origin: origin(Kind::ArchiveSearch),
        },
    ]
}

impl Sample {
    /// The records; a page that was kept whole is not one.
    pub fn records(&self) -> Vec<Value> {
        let Some(shared) = shared() else { return Vec::new() };
        let path = shared.join("samples/elastic-v2").join(self.folder).join(self.file);
        let Ok(text) = std::fs::read_to_string(&path) else {
            assert!(std::env::var_os("CI").is_none(), "no samples at {}", path.display());
            println!("skipped: no samples at {}", path.display());
            return Vec::new();
        };
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a sample is JSON"))
            .filter(|record| record.get("meta").is_none())
            .collect()
    }

    /// What Elastic makes of each record, where that is known.
    pub fn expected(&self) -> Vec<Value> {
        let Some(shared) = shared() else { return Vec::new() };
        let path = shared.join("samples/elastic-v2").join(self.folder).join(format!("{}-expected.json", self.file));
        let Ok(text) = std::fs::read_to_string(&path) else { return Vec::new() };
        let document: Value = serde_json::from_str(&text).expect("an expectation is JSON");
        document["expected"].as_array().cloned().unwrap_or_default()
    }
}
