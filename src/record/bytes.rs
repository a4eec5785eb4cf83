//! Short copies and comparisons without a call. In wasm, a copy of unknown length is a call of the host, and a comparison
//! is a loop over bytes; most names and values are shorter than what such a call costs.

/// Appends bytes, as `extend_from_slice` does.
#[inline]
pub fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        0..4 => bytes.iter().for_each(|byte| out.push(*byte)),
        4..8 => halves::<4>(out, bytes),
        8..=16 => halves::<8>(out, bytes),
        17..=32 => halves::<16>(out, bytes),
        33..=64 => halves::<32>(out, bytes),
        _ => out.extend_from_slice(bytes),
    }
}

/// From N to twice N bytes: the first N and the last N, which may overlap.
#[inline(always)]
fn halves<const N: usize>(out: &mut Vec<u8>, bytes: &[u8]) {
    let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) else {
        return out.extend_from_slice(bytes);
    };
    out.reserve(2 * N);
    let end = out.len() + bytes.len();
    out.extend_from_slice(first);
    out.truncate(end - N);
    out.extend_from_slice(last);
}

/// Whether two texts are the same.
#[inline]
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    match left.len() {
        0..4 => left.iter().zip(right).all(|(left, right)| left == right),
        4..8 => ends::<4>(left, right),
        8..=16 => ends::<8>(left, right),
        17..=32 => ends::<16>(left, right),
        _ => left == right,
    }
}

#[inline(always)]
fn ends<const N: usize>(left: &[u8], right: &[u8]) -> bool {
    left.first_chunk::<N>() == right.first_chunk::<N>() && left.last_chunk::<N>() == right.last_chunk::<N>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_is_copied_and_compared_whole() {
        let text: Vec<u8> = (0..200).map(|byte| byte as u8).collect();
        for length in 0..text.len() {
            let mut out = b"before".to_vec();
            append(&mut out, &text[..length]);
            assert_eq!(out, [b"before", &text[..length]].concat(), "{length}");
            assert!(equal(&text[..length], &text.clone()[..length]), "{length}");
            assert!(!equal(&text[..length], &text[..length + 1]), "{length}");
            for at in 0..length {
                let mut other = text[..length].to_vec();
                other[at] ^= 0x80;
                assert!(!equal(&text[..length], &other), "{length} {at}");
            }
        }
    }
}
