//! Looks for a key of a JSON object without reading what stands in it.

use memchr::memchr2;

/// Whether `object` has `key` at its top level. A key that is written with escapes is not found.
pub fn has_key(object: &[u8], key: &str) -> bool {
    let mut depth = 0_u32;
    // Whether the next string is a key.
    let mut expects_key = false;
    let mut at = 0;
    while let Some(byte) = object.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                expects_key = depth == 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => expects_key = depth == 1,
            b'"' => {
                let Some(end) = end_of_string(object, at) else { return false };
                if expects_key && object.get(at..end) == Some(key.as_bytes()) {
                    return true;
                }
                expects_key = false;
                at = end + 1;
            }
            _ => {}
        }
    }
    false
}

/// Where the quote stands that ends the string which begins at `at`.
fn end_of_string(object: &[u8], mut at: usize) -> Option<usize> {
    while let Some(found) = object.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if object[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_top_level_counts() {
        for (object, expected) in [
            (r#"{"@timestamp":1}"#, true),
            (r#"{"a":{"b":[1,{"c":"}"}]}, "@timestamp" : "x"}"#, true),
            (r#"{"a":"\"","@timestamp":1}"#, true),
            (r#"{"a":"\\","@timestamp":1}"#, true),
            (r#"{"a":{"@timestamp":1}}"#, false),
            (r#"{"a":["@timestamp"],"b":"@timestamp"}"#, false),
            (r#"{"a":"x\",\"@timestamp\":1"}"#, false),
            (r#"{"@timestamps":1,"x@timestamp":2}"#, false),
            (r#"{}"#, false),
            (r#""@timestamp""#, false),
            (r#"{"@timestamp"#, false),
            (r#"{"a":"\"#, false),
        ] {
            assert_eq!(has_key(object.as_bytes(), "@timestamp"), expected, "{object}");
        }
    }
}
