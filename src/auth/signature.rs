//! The signature of API 1.0 (sections 1.1 and 1.2 of the API reference).

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::chunk::Timestamp;

/// `base64(HMAC-SHA1(key, date:id:path:app_key))`. The body is not signed.
pub fn sign(secret_key: &[u8], date: &str, request_id: &str, path: &str, app_key: &str) -> String {
    // HMAC takes keys of any length; the type leaves only this way to say so.
    let mut mac = Hmac::<Sha1>::new_from_slice(secret_key).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
    mac.update(format!("{date}:{request_id}:{path}:{app_key}").as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

/// `Tue, 24 Nov 2015 12:50:11 UTC`: the zone is the literal text.
pub fn date(now: Timestamp) -> String {
    chrono::DateTime::from_timestamp((now / 1_000_000_000) as i64, 0)
        .unwrap_or_default()
        .format("%a, %d %b %Y %H:%M:%S UTC")
        .to_string()
}

/// A UUID v4 in lower case, of sixteen random bytes.
pub fn request_id(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_ids() {
        assert_eq!(date(1_448_369_411_000_000_000), "Tue, 24 Nov 2015 12:50:11 UTC");
        assert_eq!(date(1_772_323_200_999_999_999), "Sun, 01 Mar 2026 00:00:00 UTC");
        assert_eq!(request_id([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(request_id([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    /// Made up here, computed with `openssl dgst -sha1 -mac HMAC`.
    #[test]
    fn own_vectors() {
        let date = "Sun, 01 Mar 2026 00:00:00 UTC";
        let id = "00000000-0000-4000-8000-000000000000";
        for (secret, app_key, path, expected) in [
            (&b"made-up secret"[..], "made-up-app-key", "/api/audit/get-siem-logs", VECTORS[0]),
            (&[0x5a; 100][..], "", "/api/audit/get-audit-events", VECTORS[1]),
        ] {
            assert_eq!(sign(secret, date, id, path, app_key), expected);
        }
    }

    const VECTORS: [&str; 2] = ["oIGAkkP0YcTEXv2fUE0i2cnjJlw=", "7j2tEcaoVS5aBtoMV/+/Tak0aPs="];

    #[test]
    fn vectors_of_the_reference() {
        let shared = std::env::var("TRIBUTARY_SHARED")
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared").into());
        let Ok(text) = std::fs::read_to_string(format!("{shared}/reference/signature-vectors.json")) else {
            return; // The folder is not part of the repository.
        };
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text.trim());
        let vectors = file["vectors"].as_array().unwrap();
        assert!(vectors.len() >= 17);
        for vector in vectors {
            let input = |key: &str| vector["input"][key].as_str().unwrap();
            let secret = decode(input("secret_key_base64")).unwrap();
            let signed = sign(&secret, input("date"), input("request_id"), input("uri"), input("app_key"));
            assert_eq!(signed, vector["expected_signature"].as_str().unwrap(), "{}", vector["name"]);
        }
        let right = sign(
            &decode(vectors[1]["input"]["secret_key_base64"].as_str().unwrap()).unwrap(),
            vectors[1]["input"]["date"].as_str().unwrap(),
            vectors[1]["input"]["request_id"].as_str().unwrap(),
            vectors[1]["input"]["uri"].as_str().unwrap(),
            vectors[1]["input"]["app_key"].as_str().unwrap(),
        );
        for wrong in file["wrong_signatures_for_siem_logs_64_byte_secret"].as_array().unwrap() {
            assert_ne!(right, wrong["wrong_signature"].as_str().unwrap(), "{}", wrong["name"]);
        }
    }
}
