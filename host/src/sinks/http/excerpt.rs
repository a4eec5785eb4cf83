//! What may be shown of a far side's answer: it may repeat what it was sent, and be of any length.

/// Characters that are shown.
const SHOWN: usize = 200;

/// What stands for a secret that was said back.
const HIDDEN: &str = "[hidden]";

/// The beginning of `said`, on one line, without control characters and without `secrets`.
pub fn excerpt<'a>(said: &str, secrets: impl Iterator<Item = &'a str>) -> String {
    let mut text = said.to_owned();
    // The longest first: what one of them holds of another would leave its rest.
    let mut secrets: Vec<&str> = secrets.collect();
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in secrets {
        // What is shorter is in any text, and no secret.
        if secret.len() >= 4 && text.contains(secret) {
            text = text.replace(secret, HIDDEN);
        }
    }
    let plain = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let mut line = String::new();
    let mut left = SHOWN;
    for word in plain {
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if left == 0 {
                line.push('…');
                return line;
            }
            left -= 1;
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_short_plain_and_without_secrets() {
        let secrets = || ["hunter22", "a"].into_iter();
        assert_eq!(excerpt("bad\r\n\x1b[31m  token hunter22\0", secrets()), "bad [31m token [hidden]");
        assert_eq!(excerpt("", secrets()), "");
        let nested = ["hunter22", "my-hunter22-too"].into_iter();
        assert_eq!(excerpt("my-hunter22-too, hunter22", nested), "[hidden], [hidden]");
        let long = excerpt(&"é".repeat(1_000), secrets());
        assert_eq!((long.chars().count(), long.ends_with('…')), (SHOWN + 1, true));
    }
}
