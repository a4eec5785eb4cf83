//! What a tenant's records are: planned cheaply from seeds, rendered only when somebody fetches them.

pub mod audit;
pub mod cloud;
pub mod details;
pub mod fields;
pub mod message;
pub mod rows;
pub mod siem1;
pub mod siem2;
pub mod world;

/// The sign by which a test finds a record again, whatever was made of it: `zq` and 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark(pub u64);

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "zq{:016x}", self.0)
    }
}

impl Mark {
    /// All marks in a text, in their order: `zq` and exactly 16 hexadecimal digits.
    pub fn find_all(text: &[u8]) -> Vec<Mark> {
        let mut found = Vec::new();
        let mut at = 0;
        while at + 18 <= text.len() {
            let digits = &text[at + 2..at + 18];
            if text[at..].starts_with(b"zq")
                && digits.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
                && let Some(number) =
                    std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok())
            {
                found.push(Mark(number));
                at += 18;
            } else {
                at += 1;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::Mark;

    #[test]
    fn marks_are_found_where_they_are_and_nowhere_else() {
        let mark = Mark(0x0123_4567_89ab_cdef);
        assert_eq!(mark.to_string(), "zq0123456789abcdef");
        let text = format!("zqzq {mark},zq0123 {mark}0");
        assert_eq!(Mark::find_all(text.as_bytes()), [mark, mark]);
        assert!(Mark::find_all(b"zq0123456789ABCDEF").is_empty());
    }
}
