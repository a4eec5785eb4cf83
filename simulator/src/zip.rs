//! ZIP archives as Mimecast's Java writes them, and as others might.
//!
//! By hand rather than by a crate: writing is sixty lines, and the point is to control what crates hide, such as sizes that
//! come behind the data, or a member that is damaged.

use std::io::Write as _;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use crate::settings::ArchiveForm;

/// One file of an archive.
#[derive(Debug, Clone)]
pub struct Member {
    pub name: String,
    pub bytes: Vec<u8>,
    /// Its compressed data are overwritten in the middle.
    pub damaged: bool,
}

const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// Names are UTF-8.
const UTF8: u16 = 1 << 11;
/// Sizes and checksum follow the data.
const SIZES_BEHIND: u16 = 1 << 3;
/// 2 June 2025, 12:00, as MS-DOS counts; nobody reads it.
const DOS_TIME: [u8; 4] = [0x00, 0x60, 0xc2, 0x5a];

/// An archive of these members, in their order.
pub fn archive(members: &[Member], form: ArchiveForm) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for member in members {
        let offset = out.len() as u32;
        let mut data = match form {
            ArchiveForm::Stored => member.bytes.clone(),
            ArchiveForm::Descriptors | ArchiveForm::SizesAhead => deflate(&member.bytes),
        };
        if member.damaged {
            let middle = data.len() / 2;
            data[middle..].fill(0xff);
        }
        let mut crc = Crc::new();
        crc.update(&member.bytes);
        let sizes = [crc.sum(), data.len() as u32, member.bytes.len() as u32];
        let behind = form == ArchiveForm::Descriptors;
        let flags = UTF8 | if behind { SIZES_BEHIND } else { 0 };
        let method: u16 = if form == ArchiveForm::Stored { 0 } else { 8 };

        put(&mut out, &LOCAL.to_le_bytes());
        head(&mut out, flags, method, if behind { [0; 3] } else { sizes }, &member.name);
        put(&mut out, &0_u16.to_le_bytes());
        put(&mut out, member.name.as_bytes());
        put(&mut out, &data);
        if behind {
            put(&mut out, &DESCRIPTOR.to_le_bytes());
            sizes.iter().for_each(|size| put(&mut out, &size.to_le_bytes()));
        }

        put(&mut directory, &CENTRAL.to_le_bytes());
        put(&mut directory, &20_u16.to_le_bytes());
        head(&mut directory, flags, method, sizes, &member.name);
        // Extra field, comment, disk, internal and external attributes.
        put(&mut directory, &[0; 12]);
        put(&mut directory, &offset.to_le_bytes());
        put(&mut directory, member.name.as_bytes());
    }
    let begin = out.len() as u32;
    let count = members.len() as u16;
    put(&mut out, &directory);
    put(&mut out, &END.to_le_bytes());
    put(&mut out, &[0; 4]);
    put(&mut out, &count.to_le_bytes());
    put(&mut out, &count.to_le_bytes());
    put(&mut out, &(directory.len() as u32).to_le_bytes());
    put(&mut out, &begin.to_le_bytes());
    put(&mut out, &[0; 2]);
    out
}

/// What local header and directory have in common, up to the name's length.
fn head(out: &mut Vec<u8>, flags: u16, method: u16, sizes: [u32; 3], name: &str) {
    put(out, &20_u16.to_le_bytes());
    put(out, &flags.to_le_bytes());
    put(out, &method.to_le_bytes());
    put(out, &DOS_TIME);
    sizes.iter().for_each(|size| put(out, &size.to_le_bytes()));
    put(out, &(name.len() as u16).to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}
