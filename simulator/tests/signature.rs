//! The signature of API 1.0 against vectors: some of our own, and those of the reference where it is at hand.

use std::path::PathBuf;

use mimecast_simulator::signature;
use serde_json::Value;

/// Computed with OpenSSL: `printf '%s' "$date:$id:$path:$key" | openssl dgst -sha1 -mac HMAC -macopt hexkey:… -binary | base64`.
const OWN: [(&str, &str, &str, &str, &str, &str); 3] = [
    (
        "aGFyYm91ciBsaWdodHMgYXQgZGF3bg==",
        "Mon, 02 Jun 2025 12:07:00 UTC",
        "0b1f6a1e-7a54-4f0e-9d0b-3f1f5f1f0a01",
        "/api/audit/get-siem-logs",
        "6d1c0f6e-2f6a-4c55-8a2b-90d1a7f0c3b2",
        "e+erQzc/t9PZtk4eSnRebW1GF+0=",
    ),
    (
        "AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dzj6vH4/wYNFBsiKTA3PkVMU1phaG92fYSLkpmgp661vA==",
        "Sun, 01 Mar 2026 00:00:00 UTC",
        "C0FFEE00-0000-4000-8000-00000000000A",
        "/api/audit/get-audit-events",
        "key with blanks",
        "E2GYVS00WGJqc5j51/XwOtouyFQ=",
    ),
    (
        "BRAbJjE8R1JdaHN+iZSfqrXAy9bh7PcCDRgjLjlET1plcHuGkZynsr3I097p9P8KFSArNkFMV2JteIOOmaSvusXQ2+bx/AcSHSgzPklUX2p1gIuWoay3ws3Y4+75BA8aJTA7Rg==",
        "Wed, 31 Dec 2025 23:59:59 UTC",
        "id",
        "/api/account/get-account",
        "",
        "46bhSotTUkvDfMCfAE/MYswdYn0=",
    ),
];

#[test]
fn our_own_vectors_hold() {
    for (secret, date, id, path, key, wanted) in OWN {
        assert_eq!(signature(secret, date, id, path, key).as_deref(), Some(wanted), "{path}");
        assert_ne!(signature(secret, date, id, &format!("{path}/"), key).as_deref(), Some(wanted));
    }
    assert_eq!(signature("not base64!!", "d", "i", "/p", "k"), None);
}

#[test]
fn the_vectors_of_the_reference_hold() {
    let root = std::env::var("TRIBUTARY_SHARED")
        .map_or_else(|_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let Ok(text) = std::fs::read(root.join("reference/signature-vectors.json")) else {
        eprintln!("no reference in {}: only our own vectors are tested", root.display());
        return;
    };
    let file: Value = serde_json::from_slice(&text).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 17);
    let sign = |input: &Value| {
        let text = |key: &str| input[key].as_str().unwrap();
        signature(text("secret_key_base64"), text("date"), text("request_id"), text("uri"), text("app_key"))
    };
    for vector in vectors {
        assert_eq!(sign(&vector["input"]).as_deref(), vector["expected_signature"].as_str(), "{}", vector["name"]);
    }
    let reference = vectors.iter().find(|vector| vector["name"] == "siem-logs-64-byte-secret").unwrap();
    for wrong in file["wrong_signatures_for_siem_logs_64_byte_secret"].as_array().unwrap() {
        assert_ne!(sign(&reference["input"]).as_deref(), wrong["wrong_signature"].as_str(), "{}", wrong["name"]);
    }
}
