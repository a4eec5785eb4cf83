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

/// Of the sink and these events, in whatever order they come. Two sinks may make other bodies of the same events, and have
/// one prefix.
pub fn hash(sink: &str, ids: impl Iterator<Item = EventId>) -> String {
    let mut ids: Vec<EventId> = ids.collect();
    ids.sort_unstable();
    let mut hasher = Sha256::new();
    hasher.update(sink);
    hasher.update([0]);
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
    fn the_hash_is_of_the_sink_and_the_ids_alone() {
        let of = |ids: &[u128]| hash("lake", ids.iter().copied());
        assert_eq!(of(&[1, 2, 3]), of(&[3, 1, 2]));
        assert_ne!(of(&[1, 2, 3]), of(&[1, 2]));
        assert_ne!(of(&[1, 2]), of(&[1, 2, 2]));
        assert_ne!(of(&[1, 2]), hash("pond", [1, 2].into_iter()));
        // SHA-256 of the name, and of seventeen zero bytes.
        assert_eq!(of(&[0]), "d93f832953a51046f320274011c50376");
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
