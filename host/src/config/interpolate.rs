//! Fills in `${NAME}`, `${NAME:-default}` and `SECRET[backend.key]`, in strings only and after parsing: what is filled
//! in can never change the file's structure. `$$` stands for one `$`. What was filled in is not looked at again.

use serde_json::Value;
use zeroize::Zeroize;

use super::problem::{Problem, Step};
use super::secrets::{Secret, Secrets};

/// Where `${NAME}` comes from; the process's environment, except in tests.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Fills in every string under `value`. `path` is where `value` stands. What stands in it then may be secret: whoever is
/// done with a part of it calls [`wipe`].
pub fn interpolate(
    value: &mut Value,
    path: &str,
    environment: &Environment<'_>,
    secrets: &mut Secrets,
    problems: &mut Vec<Problem>,
) {
    match value {
        Value::String(text) => {
            if text.contains('$') || text.contains(SECRET) {
                match fill(text, path, environment, secrets) {
                    Ok(filled) => *text = filled,
                    Err(mut found) => problems.append(&mut found),
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                interpolate(item, &format!("{path}[{i}]"), environment, secrets, problems);
            }
        }
        Value::Object(map) => {
            for (key, item) in map.iter_mut() {
                interpolate(item, &join(path, key), environment, secrets, problems);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Clears the memory of all texts in a filled-in tree.
pub fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether `value` is a text in which something begins as a reference to a secret.
pub fn asks_for_secrets(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains(SECRET))
}

/// The path of `key` under `path`.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

const SECRET: &str = "SECRET[";

/// One piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// What stands in `${...}`.
    Variable(&'a str),
    /// What stands in `SECRET[...]`.
    Secret(&'a str),
    /// Begins as one of these, and does not end. It is the last piece.
    Unclosed { begin: &'static str, end: char },
}

const UNCLOSED_VARIABLE: Piece<'static> = Piece::Unclosed { begin: "${", end: '}' };
const UNCLOSED_SECRET: Piece<'static> = Piece::Unclosed { begin: SECRET, end: ']' };

/// Cuts `text` into pieces.
pub fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let begin = [rest.find('$'), rest.find(SECRET)].into_iter().flatten().min();
        let (piece, after) = match begin {
            None if rest.is_empty() => return None,
            None => (Piece::Text(rest), ""),
            Some(0) => special(rest),
            Some(at) => (Piece::Text(&rest[..at]), &rest[at..]),
        };
        rest = after;
        Some(piece)
    })
}

/// The first piece of a text that begins with a dollar sign or with `SECRET[`, and what comes after it.
fn special(text: &str) -> (Piece<'_>, &str) {
    if let Some(after) = text.strip_prefix("$$") {
        (Piece::Text("$"), after)
    } else if let Some(inner) = text.strip_prefix("${") {
        inner.split_once('}').map_or((UNCLOSED_VARIABLE, ""), |(inner, after)| (Piece::Variable(inner), after))
    } else if let Some(inner) = text.strip_prefix(SECRET) {
        inner.split_once(']').map_or((UNCLOSED_SECRET, ""), |(inner, after)| (Piece::Secret(inner), after))
    } else {
        text.split_at_checked(1).map_or((Piece::Text(text), ""), |(dollar, after)| (Piece::Text(dollar), after))
    }
}

fn fill(text: &str, path: &str, environment: &Environment<'_>, secrets: &mut Secrets) -> Result<String, Vec<Problem>> {
    let (mut parts, mut problems) = (Vec::new(), Vec::new());
    for piece in pieces(text) {
        let part = match piece {
            Piece::Text(text) => Ok(Secret::new(text.to_owned())),
            Piece::Variable(inner) => variable(inner, path, environment).map(Secret::new),
            Piece::Secret(reference) => secrets.value(reference, path),
            Piece::Unclosed { begin, end } => {
                let hint = match begin {
                    SECRET => "Write `SECRET[backend.key]`",
                    _ => "Write `$$` for a plain `$`",
                };
                Err(Problem::new(Step::Interpolate, path, format!("`{begin}` is not closed by `{end}`")).hint(hint))
            }
        };
        match part {
            Ok(part) => parts.push(part),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    // As long as it will be: what grows leaves copies behind.
    let mut filled = String::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| filled.push_str(part));
    Ok(filled)
}

fn variable(inner: &str, path: &str, environment: &Environment<'_>) -> Result<String, Problem> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !named {
        return Err(Problem::new(Step::Interpolate, path, "what stands in `${...}` is not the name of a variable")
            .hint("Write `${NAME}` or `${NAME:-default}`; write `$$` for a plain `$`"));
    }
    match (environment(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => {
            Err(Problem::new(Step::Interpolate, path, format!("the environment variable {name} is not set"))
                .hint(unset(name, path)))
        }
    }
}

/// What to do about a variable that is not set. Nobody should write a secret down as a default.
fn unset(name: &str, path: &str) -> String {
    match is_secret(path.rsplit('.').next().unwrap_or(path)) {
        true => format!("Set {name} where tributary is started, or use SECRET[backend.key]"),
        false => format!("Set it, or write `${{{name}:-default}}`"),
    }
}

/// Whether a key of this name holds a secret.
pub fn is_secret(key: &str) -> bool {
    ["secret", "password", "key", "token"].iter().any(|word| key.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn environment(name: &str) -> Option<String> {
        match name {
            "USER_ID" => Some("u1".into()),
            "EMPTY" => Some(String::new()),
            "TRICKY" => Some("a\"b ${USER_ID} $$ SECRET[env.USER_ID]".into()),
            _ => None,
        }
    }

    fn run(mut value: Value) -> (Value, Vec<String>) {
        let mut problems = Vec::new();
        let mut secrets = Secrets::new(&environment);
        interpolate(&mut value, "", &environment, &mut secrets, &mut problems);
        (value, problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn fills_strings_only_and_once() {
        let (value, problems) = run(json!({
            "a": "x-${USER_ID}-y", "b": ["${NOPE:-d}", "${EMPTY:-d}", "${EMPTY}"], "c": "$$5 $5 ${TRICKY}",
            "d": 7, "e": "SECRET[env.USER_ID]", "${USER_ID}": "a key stays", "f": "cost: 5$"
        }));
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            value,
            json!({
                "a": "x-u1-y", "b": ["d", "d", ""], "c": "$5 $5 a\"b ${USER_ID} $$ SECRET[env.USER_ID]",
                "d": 7, "e": "u1", "${USER_ID}": "a key stays", "f": "cost: 5$"
            })
        );
    }

    #[test]
    fn what_is_missing_is_named_with_its_path() {
        let (_, problems) = run(json!({
            "region": "${ACME_REGION}", "sources": {"acme": {"client_secret": "${ACME_SECRET}", "list": ["ok", "${9}", "${open"]}},
            "x": "SECRET[env.NOT_SET] SECRET[vault.key] SECRET[nodot]", "y": "SECRET[vault.key"
        }));
        assert_eq!(problems.len(), 8, "{problems:#?}");
        let region =
            "region: the environment variable ACME_REGION is not set. Set it, or write `${ACME_REGION:-default}`";
        assert_eq!(problems[0], region);
        // No default for a secret.
        let secret = "sources.acme.client_secret: the environment variable ACME_SECRET is not set. \
                      Set ACME_SECRET where tributary is started, or use SECRET[backend.key]";
        assert_eq!(problems[1], secret);
        assert!(problems[2].starts_with("sources.acme.list[1]: "));
        assert!(problems[3].starts_with("sources.acme.list[2]: `${` is not closed"));
        assert!(problems[4].contains("NOT_SET"));
        assert!(problems[5].contains("vault"));
        assert!(problems[6].contains("SECRET[backend.key]"));
        assert_eq!(problems[7], "y: `SECRET[` is not closed by `]`. Write `SECRET[backend.key]`");
    }
}
