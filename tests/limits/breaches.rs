//! What breaks the contract, and what breaks down: the chunk is refused, and the next instance knows nothing of it.

use tributary_host::sandbox::{GuestError, Limits, LoadError, Sandbox, Settings};

use crate::hostile::{asks, pull};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_chunk_is_refused_whole() {
    let damaged = async |damage: &str| {
        let mut configuration = asks("damage", 0);
        configuration["damage"] = damage.into();
        pull(Limits::default(), configuration).await
    };
    for damage in [
        "descends", "empty", "short", "long", "far", "open", "lines", "text", "kind", "kinds", "severity", "records",
        "gone",
    ] {
        let Err(GuestError::Breach(what)) = damaged(damage).await else { panic!("{damage} passed") };
        println!("{damage}: {what}");
    }
    let whole = damaged("").await.unwrap();
    assert_eq!((whole.events.len(), whole.records), (3, 3));
    // One id three times is for the host to count: as one record that was read again and again.
    assert_eq!(damaged("ids").await.unwrap().events.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breakdown_says_why_and_leaves_nothing_behind() {
    for (behaviour, figure, told) in [
        ("panic", 0, "on purpose"),
        ("half", 0, "unreachable"),
        ("stumble", 100, "number 25"),
        ("unheard-of", 0, "no behaviour"),
    ] {
        let mut configuration = asks(behaviour, figure);
        configuration["at"] = 20.into();
        let Err(GuestError::Trap { message, backtrace }) = pull(Limits::default(), configuration).await else {
            panic!("{behaviour} did not break down")
        };
        assert!(message.contains(told), "{message}");
        assert!(backtrace.contains("hostile_source"), "{backtrace}");
        assert!(pull(Limits::default(), asks("good", 0)).await.is_ok());
    }
}

/// `(component (import NAME (instance)))`.
fn importing(name: &str) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    // One type: an instance without exports.
    bytes.extend([7, 3, 1, 0x42, 0]);
    let length = name.len() as u8;
    bytes.extend([10, length + 5, 1, 0, length]);
    bytes.extend(name.as_bytes());
    bytes.extend([5, 0]);
    bytes
}

#[tokio::test]
async fn a_component_gets_only_what_a_source_may_have() {
    let sandbox = Sandbox::new(Settings { slots: 2, ..Settings::default() }).unwrap();
    for name in [
        "wasi:filesystem/preopens@0.2.0",
        "wasi:sockets/tcp@0.2.0",
        "wasi:cli/environment@0.2.12",
        "evil:host/all@1.0.0",
    ] {
        let refused = sandbox.load(&importing(name)).await.err().unwrap();
        assert_eq!(refused, LoadError::Imports(vec![name.into()]));
    }
    // This it may have; what is missing then is what it should export.
    let refused = sandbox.load(&importing("wasi:io/error@0.2.0")).await.err().unwrap();
    assert!(matches!(refused, LoadError::Exports(_)), "{refused}");
}
