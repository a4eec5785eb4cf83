use std::io::Write;

use super::super::testing::Scripted;
use super::*;

/// How a member is written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum How {
    /// Deflated, sizes and checksum in the header.
    Deflate,
    Store,
    /// Deflated, with a descriptor behind: Java's way.
    Descriptor {
        signature: bool,
        wide: bool,
    },
    Encrypted,
    /// Stored with a descriptor: cannot be streamed.
    StoredStream,
}

pub const JAVA: How = How::Descriptor { signature: true, wide: false };

pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes an archive; `damage` may change each member's data.
pub fn archive_with(members: &[(&str, &[u8], How)], damage: impl Fn(usize, &mut Vec<u8>)) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (index, (name, bytes, how)) in members.iter().enumerate() {
        let offset = out.len() as u32;
        let stored = matches!(how, How::Store | How::StoredStream);
        let mut data = if stored { bytes.to_vec() } else { deflate(bytes) };
        let mut crc = Crc::new();
        crc.update(bytes);
        let streamed = matches!(how, How::Descriptor { .. } | How::StoredStream);
        let flags: u16 = if *how == How::Encrypted {
            1
        } else if streamed {
            8
        } else {
            0
        };
        let (checksum, packed, plain) =
            if streamed { (0, 0, 0) } else { (crc.sum(), data.len() as u32, bytes.len() as u32) };
        let method: u16 = if stored { 0 } else { 8 };
        let size = data.len();
        damage(index, &mut data);
        out.extend_from_slice(LOCAL);
        for number in [20, flags, method, 0, 0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [checksum, packed, plain] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(&0_u16.to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&data);
        if let How::Descriptor { signature, wide } = how {
            if *signature {
                out.extend_from_slice(DESCRIPTOR);
            }
            out.extend_from_slice(&crc.sum().to_le_bytes());
            for number in [size, bytes.len()] {
                let number = (number as u64).to_le_bytes();
                out.extend_from_slice(&number[..if *wide { 8 } else { 4 }]);
            }
        }
        directory.extend_from_slice(CENTRAL);
        directory.extend_from_slice(&[0; 24]);
        directory.extend_from_slice(&(name.len() as u16).to_le_bytes());
        directory.extend_from_slice(&[0; 12]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    out.extend_from_slice(&directory);
    out.extend_from_slice(END);
    out.extend_from_slice(&[0; 18]);
    out
}

pub fn archive(members: &[(&str, &[u8], How)]) -> Vec<u8> {
    archive_with(members, |_, _| {})
}

/// Each entry as a line: name, then content or trouble.
fn read(bytes: &[u8], piece: usize) -> (Vec<String>, Option<ReadError>) {
    let mut zip = Zip::new(Scripted::new(bytes, piece));
    let mut seen = Vec::new();
    loop {
        match zip.next_entry() {
            Ok(None) => return (seen, None),
            Ok(Some(Entry::Unreadable(name, reason))) => seen.push(format!("{name}! {reason}")),
            Ok(Some(Entry::Member(name))) => {
                let mut out = Vec::new();
                loop {
                    match zip.fill(&mut out) {
                        Ok(true) => {}
                        Ok(false) => {
                            seen.push(format!("{name}={}", String::from_utf8_lossy(&out)));
                            break;
                        }
                        Err(ReadError::Corrupt(what)) => {
                            seen.push(format!("{name}! {what}"));
                            break;
                        }
                        Err(error) => return (seen, Some(error)),
                    }
                }
            }
            Err(error) => return (seen, Some(error)),
        }
    }
}

#[test]
fn every_way_to_write_a_member_at_every_piece_size() {
    let ways = [
        How::Deflate,
        How::Store,
        JAVA,
        How::Descriptor { signature: false, wide: false },
        How::Descriptor { signature: true, wide: true },
        How::Descriptor { signature: false, wide: true },
    ];
    for how in ways {
        for other in ways {
            let bytes = archive(&[
                ("a.json", b"first", how),
                ("dir/", b"", How::Store),
                ("empty", b"", other),
                ("../b", b"second PK", other),
            ]);
            for piece in [1, 3, 7, 64, 1 << 20] {
                let (seen, error) = read(&bytes, piece);
                assert_eq!(
                    (seen, error),
                    (vec!["a.json=first".into(), "empty=".into(), "../b=second PK".into()], None),
                    "{how:?} {other:?} {piece}"
                );
            }
        }
    }
}

#[test]
fn empty_archives() {
    assert_eq!(read(&archive(&[]), 5), (vec![], None));
    assert_eq!(read(b"", 5), (vec![], Some(ReadError::Truncated)));
}

#[test]
fn zip64_sizes_are_read() {
    let mut bytes = Vec::new();
    let data = deflate(b"big");
    let mut crc = Crc::new();
    crc.update(b"big");
    bytes.extend_from_slice(LOCAL);
    for number in [45_u16, 0, 8, 0, 0] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for number in [crc.sum(), u32::MAX, u32::MAX] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for number in [1_u16, 20] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.push(b'n');
    for number in [1_u16, 16] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for number in [3_u64, data.len() as u64] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&data);
    bytes.extend_from_slice(END);
    bytes.extend_from_slice(&[0; 18]);
    assert_eq!(read(&bytes, 4), (vec!["n=big".into()], None));
}

#[test]
fn members_that_cannot_be_read_are_told_and_passed() {
    for how in [How::Encrypted, How::StoredStream] {
        let bytes = archive(&[("a", b"first", JAVA), ("bad", b"secret data", how), ("b", b"second", JAVA)]);
        for piece in [1, 10, 1 << 20] {
            let (seen, error) = read(&bytes, piece);
            assert_eq!(error, None);
            assert_eq!((seen.len(), seen[0].as_str(), seen[2].as_str()), (3, "a=first", "b=second"), "{seen:?}");
            assert!(seen[1].starts_with("bad! it is "), "{seen:?}");
        }
    }
}

#[test]
fn a_damaged_member_does_not_cost_the_others() {
    let text: String = (0..4_000_u64).map(|n| format!("{:016x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    for how in [How::Deflate, JAVA] {
        let bytes = archive_with(
            &[("a", b"first", how), ("bad", text.as_bytes(), how), ("b", b"second", how)],
            |index, data| {
                if index == 1 {
                    let middle = data.len() / 2;
                    data[middle..middle + 40].fill(0xff);
                }
            },
        );
        for piece in [100, 4_096, 1 << 20] {
            let (seen, error) = read(&bytes, piece);
            assert_eq!(error, None, "{seen:?}");
            assert!(seen.contains(&"a=first".to_owned()) && seen.contains(&"b=second".to_owned()), "{how:?} {piece}");
            assert_eq!(seen.len(), 3, "{seen:?}");
            assert!(seen[1].starts_with("bad! "), "{how:?} {piece}");
        }
    }
    // Data that are no deflate from their first byte on, before and between others.
    let bytes = archive_with(
        &[("bad", b"x", JAVA), ("a", b"first", JAVA), ("bad", b"xyz", JAVA), ("b", b"second", JAVA)],
        |index, data| {
            if index % 2 == 0 {
                data.fill(0xff);
            }
        },
    );
    for piece in [1, 10, 1 << 20] {
        let (seen, error) = read(&bytes, piece);
        assert_eq!(
            (seen.len(), seen[1].as_str(), seen[3].as_str(), error),
            (4, "a=first", "b=second", None),
            "{seen:?}"
        );
    }
    // A wrong checksum.
    let mut bytes = archive(&[("a", b"first", How::Store), ("b", b"second", How::Store)]);
    bytes[31] ^= 1;
    assert_eq!(read(&bytes, 10), (vec!["a! its checksum".into(), "b=second".into()], None));
    // Bytes between members.
    let mut bytes = archive(&[("a", b"first", JAVA)]);
    bytes.splice(0..0, b"some bytes".iter().copied());
    assert_eq!(read(&bytes, 10).0[1], "a=first");
}

#[test]
fn a_member_that_is_lost_behind_damage_is_told_by_the_directory() {
    let mut bytes = archive(&[("a", b"first", JAVA), ("b", b"second", JAVA), ("c", b"third", JAVA)]);
    // The second header is gone: its bytes are met as bytes of no member.
    let second = memchr::memmem::find(&bytes[1..], LOCAL).unwrap() + 1;
    bytes[second..second + 4].fill(0);
    let (seen, error) = read(&bytes, 16);
    assert_eq!(error, None);
    assert_eq!(seen[0], "a=first");
    assert!(seen.contains(&"c=third".to_owned()));
    assert!(seen.iter().any(|line| line.starts_with("b! it could not be found")), "{seen:?}");
}

#[test]
fn what_looks_like_a_directory_does_not_end_the_archive() {
    let mut bytes = archive(&[("a", b"first", JAVA), ("b", b"second", JAVA)]);
    let second = memchr::memmem::find(&bytes[1..], LOCAL).unwrap() + 1;
    bytes.splice(second..second, [&CENTRAL[..], &[0; 42], b"damaged"].concat());
    for piece in [1, 16, 4_096] {
        let (seen, error) = read(&bytes, piece);
        assert_eq!((seen[0].as_str(), seen[2].as_str(), error), ("a=first", "b=second", None), "{seen:?}");
        assert!(seen[1].starts_with("! "), "{seen:?}");
    }
}

#[test]
fn an_archive_cut_at_every_byte_is_told() {
    let whole = archive(&[("a", b"first", JAVA), ("b", b"second", How::Deflate)]);
    let directory = memchr::memmem::find(&whole, CENTRAL).unwrap();
    for at in 0..directory {
        let (seen, error) = read(&whole[..at], 7);
        assert!(
            error == Some(ReadError::Truncated) || seen.iter().any(|line| line.contains('!')),
            "{at} {seen:?} {error:?}"
        );
    }
    assert_eq!(read(&whole[..directory + 4], 7).1, None);
}

#[test]
fn memory_is_bounded_by_the_piece() {
    let zeros = vec![0; 20 << 20];
    let mut zip = Zip::new(Scripted::new(archive(&[("bomb", &zeros, JAVA)]), 4_096));
    assert_eq!(zip.next_entry(), Ok(Some(Entry::Member("bomb".into()))));
    let (mut out, mut total) = (Vec::new(), 0);
    while zip.fill(&mut out).unwrap() {
        total += out.len();
        assert!(out.capacity() <= 4 * PIECE && zip.input.capacity() <= PIECE);
        out.clear();
    }
    assert_eq!(total, zeros.len());
}
