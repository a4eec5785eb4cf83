//! Regular expressions, within limits.

use std::fmt;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::Fault;
#[cfg(doc)]
use super::budget::Budget;

/// Longer ones are lists, and belong into several rules.
const MOST_BYTES: usize = 16 * 1024;

/// What a compiled expression may take in memory, and as much again for each thread that searches with it. `[\w.+-]+@[\w.-]+`
/// takes 70 KiB; `\w{1,200}` goes over it.
const MOST_MEMORY: usize = 2 << 20;

/// A regular expression in the syntax of the crate `regex`: one search takes time in proportion to the text, whatever it is.
/// All matches of a text may take time in proportion to its square: whoever goes from one to the next asks [`Budget`].
///
/// Clones share what a search needs beside the text: ten thousand sources with one rule have it once for each thread.
#[derive(Clone)]
pub struct Pattern(Arc<Compiled>);

struct Compiled {
    regex: Regex,
    /// Whether a match in a value is a match in the line around it too, as long as nothing is escaped there.
    searches_lines: bool,
}

impl Pattern {
    /// # Errors
    /// If it is no regular expression, or is over a limit.
    pub fn compile(text: &str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(say("must not be empty", "Leave it out to mean the whole field"));
        }
        if text.len() > MOST_BYTES {
            return Err(say(&format!("has more than {MOST_BYTES} bytes"), "Write several rules"));
        }
        let hir = regex_syntax::parse(text).map_err(|error| fault(&error))?;
        let regex = RegexBuilder::new(text).size_limit(MOST_MEMORY).dfa_size_limit(MOST_MEMORY).build();
        let regex = regex.map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => say(
                &format!("takes more than {} MiB when it is compiled", limit >> 20),
                "Use smaller repetitions, or ASCII classes such as [0-9A-Za-z_] in place of \\w",
            ),
            _ => say("is no regular expression", HINT),
        })?;
        Ok(Self(Arc::new(Compiled { regex, searches_lines: keeps_in_lines(&hir) })))
    }

    pub fn regex(&self) -> &Regex {
        &self.0.regex
    }

    /// Whether only the groups of a match are meant, since there are some.
    pub fn has_groups(&self) -> bool {
        self.0.regex.captures_len() > 1
    }

    /// Whether it may match a value of `line`, or a part of one. If not, the line need not be read as JSON.
    pub fn may_match_in(&self, line: &str) -> bool {
        !self.0.searches_lines || memchr::memchr(b'\\', line.as_bytes()).is_some() || self.0.regex.is_match(line)
    }
}

/// Next to a value stands a quote, a comma, a colon, a bracket or a space: no part of a word, but not a begin or an end.
fn keeps_in_lines(hir: &regex_syntax::hir::Hir) -> bool {
    !hir.properties().look_set().contains_anchor()
}

const HINT: &str = "Write it in the syntax of https://docs.rs/regex, which has neither look-around nor back-references";

/// What the parser says, without the expression.
fn fault(error: &regex_syntax::Error) -> Fault {
    let (what, at) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span().start.offset),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), error.span().start.offset),
        _ => return say("is no regular expression", HINT),
    };
    let mut what = what;
    if what.len() > 160 {
        what.truncate((0..=160).rev().find(|at| what.is_char_boundary(*at)).unwrap_or(0));
    }
    say(&format!("is no regular expression: {what}, at byte {at}"), HINT)
}

fn say(message: &str, hint: &'static str) -> Fault {
    Fault { message: message.to_owned(), hint }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.regex.as_str() == other.0.regex.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0.regex.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_the_place_and_not_the_expression() {
        for (text, what) in [
            ("hunter2[a-", "unclosed character class, at byte 7"),
            ("hunter2(", "unclosed group, at byte 7"),
            ("*", "repetition operator missing expression, at byte 0"),
            ("(?=hunter2)", "look-around, including look-ahead and look-behind, is not supported, at byte 0"),
            (r"(a)\1", "backreferences are not supported, at byte 3"),
            (r"\p{Hunter2}", "Unicode property not found, at byte 0"),
            (r"(?-u:\xff)", "pattern can match invalid UTF-8, at byte 5"),
        ] {
            let Fault { message, hint } = Pattern::compile(text).unwrap_err();
            assert_eq!(message, format!("is no regular expression: {what}"), "{text}");
            assert!(!message.contains("hunter2") && hint.contains("docs.rs/regex"));
        }
        for text in ["", r"\w{1,200}", &"a{100}".repeat(MOST_BYTES / 6 - 1), &"a".repeat(MOST_BYTES + 1)] {
            assert!(Pattern::compile(text).is_err(), "{}", text.len());
        }
        for text in
            [r"[\w.+-]+@[\w.-]+\.\p{L}{2,}", r"(?i)straße", r"\b\d{1,3}(?:\.\d{1,3}){3}\b", &"a".repeat(MOST_BYTES)]
        {
            assert!(Pattern::compile(text).is_ok(), "{:?}", Pattern::compile(text));
        }
    }

    #[test]
    fn lines_are_searched_where_that_is_enough() {
        let line = r#"{"from":"a@b.example","size":12}"#;
        for (pattern, expected) in [
            (r"\w@", true),
            (r"\bb\b", true),
            (r"\b12\b", true),
            ("x@", false),
            (r"\b1\b", false),
            // They match in a line only at its ends.
            ("^a", true),
            ("12$", true),
            (r"\Ax", true),
            ("(?m)^x", true),
        ] {
            assert_eq!(Pattern::compile(pattern).unwrap().may_match_in(line), expected, "{pattern}");
        }
        assert!(Pattern::compile("x@").unwrap().may_match_in(r#"{"from":"\u0078@b"}"#));
    }
}
