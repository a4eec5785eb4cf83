//! What each stream needs: an operator reads it where the right is missing.

use std::collections::BTreeSet;

use mimecast_source::catalog::Stream;
use mimecast_source::kind::Generation;
use serde_json::json;

use crate::row::{Row, show};
use crate::scripted::{Trial, said};

/// A stream, the product for API 2.0 where it has it, and the permission.
pub struct Right {
    pub stream: &'static str,
    pub product: Option<String>,
    pub permission: String,
    pub api1: bool,
}

fn trial(generation: Generation, stream: Stream) -> Trial {
    let trial = match generation {
        Generation::V1 => Trial::v1(|_| said(403, "")),
        Generation::V2 => Trial::v2(|_| said(403, "")),
    };
    let mode = if stream == Stream::SiemEvents { json!({ "siem_mode": "stream" }) } else { json!({}) };
    trial.with(mode).reads(stream.name())
}

fn quoted(text: &str, after: &str) -> String {
    let rest = text.split_once(after).unwrap_or_else(|| panic!("no {after:?} in {text}")).1;
    rest.split('"').next().unwrap().to_owned()
}

/// All of them, out of what the component says.
pub async fn all() -> (Vec<Right>, Vec<Row>) {
    let (mut rights, mut rows): (Vec<Right>, Vec<Row>) = (Vec::new(), Vec::new());
    for generation in [Generation::V2, Generation::V1] {
        for stream in Stream::of(generation) {
            let (row, _) = trial(generation, stream).row("").await;
            assert_eq!(row.code, "http-403", "{row:?}");
            let permission = quoted(&row.next, "the permission \"");
            let product = (generation == Generation::V2).then(|| quoted(&row.next, "the application needs \""));
            match rights.iter_mut().find(|right| right.stream == stream.name()) {
                Some(right) => {
                    assert_eq!(right.permission, permission, "{}", right.stream);
                    right.api1 = true;
                }
                None => {
                    let api1 = generation == Generation::V1;
                    rights.push(Right { stream: stream.name(), product, permission, api1 });
                }
            }
            rows.push(row);
        }
    }
    (rights, rows)
}

#[tokio::test(start_paused = true)]
async fn every_stream_says_which_product_and_permission_it_needs() {
    let (rights, rows) = all().await;
    show("Rights: code | where | what | next step", &rows);
    assert_eq!((rights.len(), rows.len()), (28, 39));
    assert!(rights.iter().all(|right| right.permission.ends_with("| Read")), "the least that reads");
    let products: BTreeSet<&String> = rights.iter().filter_map(|right| right.product.as_ref()).collect();
    assert_eq!(products.len(), 6, "{products:?}");
    // What has no product is of API 1.0 alone.
    assert!(rights.iter().all(|right| right.product.is_some() || right.api1));
    for row in rows.iter().filter(|row| !row.next.contains("the application needs")) {
        assert!(row.next.contains("Basic Administrator"), "keys made too early: {row:?}");
    }
}
