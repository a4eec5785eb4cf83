//! Request bodies of `/api/...`: JSON, and leniently what Python prints of a dictionary (section 4.1, Q43).

use serde_json::Value;

/// The body as JSON. With `lenient`, single quotes, `True`, `False` and `None` pass too.
pub fn read(body: &[u8], lenient: bool) -> Option<Value> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Some(value);
    }
    if !lenient {
        return None;
    }
    serde_json::from_str(&from_python(std::str::from_utf8(body).ok()?)).ok()
}

/// Rewrites the text of a Python dictionary as JSON. Words are replaced outside of strings only.
fn from_python(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\'' | '"' => {
                out.push('"');
                while let Some((_, inner)) = chars.next() {
                    match inner {
                        _ if inner == char => break,
                        '"' => out.push_str("\\\""),
                        '\\' => match chars.next() {
                            Some((_, '\'')) => out.push('\''),
                            Some((_, escaped)) => out.extend(['\\', escaped]),
                            None => {}
                        },
                        _ => out.push(inner),
                    }
                }
                out.push('"');
            }
            'T' if text[at..].starts_with("True") => skip(&mut chars, 3, "true", &mut out),
            'F' if text[at..].starts_with("False") => skip(&mut chars, 4, "false", &mut out),
            'N' if text[at..].starts_with("None") => skip(&mut chars, 3, "null", &mut out),
            _ => out.push(char),
        }
    }
    out
}

fn skip(chars: &mut std::str::CharIndices<'_>, count: usize, word: &str, out: &mut String) {
    for _ in 0..count {
        chars.next();
    }
    out.push_str(word);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn python_passes_where_the_service_lets_it() {
        let python = b"{'data': [{'type': 'MTA', 'compress': True, 'token': None, 'x': 'it\\'s \"so\"'}]}";
        let wanted = json!({"data": [{"type": "MTA", "compress": true, "token": null, "x": "it's \"so\""}]});
        assert_eq!(read(python, true), Some(wanted.clone()));
        assert_eq!(read(python, false), None);
        assert_eq!(read(wanted.to_string().as_bytes(), false), Some(wanted));
        assert_eq!(read(b"{'data': ", true), None);
    }
}
