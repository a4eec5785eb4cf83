//! Keys of objects.

use sha2::{Digest, Sha256};

use crate::deliver::{EventId, Head, Origin};
use crate::sinks::file::name::component;
use crate::template::Template;

/// Of the hash, in characters: 128 bits, as many as an id has.
const HASH: usize = 32;

/// The first part of a key. A slash in a stream's name is one in the key too; nothing else that is filled in makes one.
pub fn prefix(template: &Template, origin: &Origin, event: &Head) -> String {
    let stream = |stream: &str| stream.split('/').map(component).collect::<Vec<_>>().join("/");
    template.render_path(origin, event, component, stream)
}

/// Of these events, in whatever order they come.
pub fn hash(ids: impl Iterator<Item = EventId>) -> String {
    let mut ids: Vec<EventId> = ids.collect();
    ids.sort_unstable();
    let mut hasher = Sha256::new();
    for id in ids {
        hasher.update(id.to_be_bytes());
    }
    let mut hex: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(HASH);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_of_the_ids_alone() {
        let of = |ids: &[u128]| hash(ids.iter().copied());
        assert_eq!(of(&[1, 2, 3]), of(&[3, 1, 2]));
        assert_ne!(of(&[1, 2, 3]), of(&[1, 2]));
        assert_ne!(of(&[1, 2]), of(&[1, 2, 2]));
        // SHA-256 of sixteen zero bytes.
        assert_eq!(of(&[0]), "374708fff7719dd5979ec875d56cd228");
    }

    #[test]
    fn prefixes() {
        let origin = Origin { source: "s".into(), tenant: "../Ä b".into(), stream: "siem/receipt".into() };
        let event = Head { id: 0, time: 0, kind: 0, class: 4009, severity: 1, alert_key: None, begin: 0, end: 1 };
        let of = |template: &str| prefix(&Template::parse(template).unwrap(), &origin, &event);
        assert_eq!(of("{tenant}/{stream}/{date}/{class}-"), "%2E.%2FÄ%20b/siem/receipt/1970-01-01/4009-");
        assert_eq!(of("region=eu/eventDay={year}{month}{day}/"), "region=eu/eventDay=19700101/");
    }
}
