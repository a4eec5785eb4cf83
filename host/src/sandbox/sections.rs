//! The custom sections of a component: what its build says about it, without running it.
//!
//! The build script uses this file too, so it needs nothing but the standard library. Names and contents of `version` and
//! `revision` are those of WebAssembly's metadata conventions (`wasm-tools metadata show` prints them).

/// The package's version.
pub const VERSION: &str = "version";

/// The commit that it was built from.
pub const REVISION: &str = "revision";

/// SHA-256 of the lock file that it was built with, in hexadecimal.
pub const LOCK: &str = "cargo-lock-sha256";

/// The first bytes of a component: magic, version 13, layer 1. A core module has `01 00 00 00` after the magic.
pub const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// What the outermost custom section `name` of a component holds, if it is printable text of at most 256 bytes.
pub fn text<'a>(component: &'a [u8], name: &str) -> Option<&'a str> {
    let mut rest = component.strip_prefix(&COMPONENT)?;
    while let Some((id, after)) = rest.split_first() {
        let (content, after) = counted(after)?;
        rest = after;
        if *id == 0
            && let Some((found, data)) = counted(content)
            && found == name.as_bytes()
        {
            let text = std::str::from_utf8(data).ok()?;
            return (text.len() <= 256 && !text.chars().any(char::is_control)).then_some(text);
        }
    }
    None
}

/// Adds a custom section behind the last one.
pub fn append(component: &mut Vec<u8>, name: &str, data: &str) {
    let mut content = Vec::new();
    number(&mut content, name.len());
    content.extend_from_slice(name.as_bytes());
    content.extend_from_slice(data.as_bytes());
    component.push(0);
    number(component, content.len());
    component.extend_from_slice(&content);
}

/// So many bytes as the number before them says, and what comes after.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut rest) = (0_u64, bytes);
    for shift in (0..35).step_by(7) {
        let (byte, after) = rest.split_first()?;
        rest = after;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return rest.split_at_checked(usize::try_from(length).ok()?);
        }
    }
    None
}

/// An unsigned number in LEB128.
fn number(to: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        to.push(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_found() {
        let mut component = COMPONENT.to_vec();
        let long = "x".repeat(200);
        for (name, data) in [(VERSION, "1.2.3"), (REVISION, long.as_str()), (LOCK, "with\na line")] {
            append(&mut component, name, data);
        }
        assert_eq!(text(&component, VERSION), Some("1.2.3"));
        assert_eq!(text(&component, REVISION), Some(long.as_str()));
        assert_eq!(text(&component, LOCK), None, "it could break a terminal");
        assert_eq!(text(&component, "none"), None);
    }

    #[test]
    fn what_is_cut_or_no_component_has_none() {
        let mut component = COMPONENT.to_vec();
        append(&mut component, "other", "y");
        append(&mut component, VERSION, "1.2.3");
        for length in 0..component.len() {
            assert_eq!(text(&component[..length], VERSION), None, "{length}");
        }
        assert_eq!(text(b"\0asm\x01\0\0\0\0\x0d\x07version1.2.3", VERSION), None);
        assert_eq!(text(&[&COMPONENT[..], &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 1]].concat(), VERSION), None);
    }
}
