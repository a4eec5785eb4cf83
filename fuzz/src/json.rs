//! JSON that keeps every member, also those whose name comes twice, and numbers as they are written.

#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`, a truth value or a number, as it is written.
    Word(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Deeper records are not read, as by `serde_json`.
const DEPTH: usize = 127;

impl Json {
    /// `None` if the bytes are no JSON, or go too deep.
    pub fn read(text: &[u8]) -> Option<Json> {
        Self::of_depth(text, DEPTH)
    }

    /// Of a body, which may hold a record of any depth.
    pub fn of_body(text: &[u8]) -> Option<Json> {
        Self::of_depth(text, 2 * DEPTH)
    }

    fn of_depth(text: &[u8], depth: usize) -> Option<Json> {
        let mut reader = Reader { text: std::str::from_utf8(text).ok()?, at: 0 };
        let json = reader.value(depth)?;
        reader.blanks();
        (reader.at == text.len()).then_some(json)
    }

    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Json::Word(word) if word == "null")
    }

    /// The first name that an object has twice, at any depth.
    pub fn twice(&self) -> Option<&str> {
        match self {
            Json::Word(_) | Json::Text(_) => None,
            Json::List(elements) => elements.iter().find_map(Json::twice),
            Json::Object(members) => {
                let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
                names.sort_unstable();
                let twice = names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
                twice.or_else(|| members.iter().find_map(|(_, value)| value.twice()))
            }
        }
    }
}

/// Own code, because a reader that keeps names that come twice and numbers as written reads everything many times with
/// `serde_json`, and fuzzing lives of speed.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.blanks();
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        let depth = depth.checked_sub(1)?;
        self.blanks();
        match self.peek()? {
            b'{' => {
                let mut members = Vec::new();
                self.items(b'}', |reader| {
                    reader.blanks();
                    let name = reader.string()?;
                    reader.take(b':')?;
                    members.push((name, reader.value(depth)?));
                    Some(())
                })?;
                Some(Json::Object(members))
            }
            b'[' => {
                let mut elements = Vec::new();
                self.items(b']', |reader| reader.value(depth).map(|value| elements.push(value)))?;
                Some(Json::List(elements))
            }
            b'"' => self.string().map(Json::Text),
            _ => {
                let rest = &self.text[self.at..];
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')));
                let word = &rest[..end.unwrap_or(rest.len())];
                let good = matches!(word, "null" | "true" | "false")
                    || serde_json::from_str::<serde_json::Number>(word).is_ok();
                self.at += word.len();
                good.then(|| Json::Word(word.to_owned()))
            }
        }
    }

    fn items(&mut self, end: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.at += 1;
        if self.take(end).is_some() {
            return Some(());
        }
        loop {
            item(self)?;
            if self.take(end).is_some() {
                return Some(());
            }
            self.take(b',')?;
        }
    }

    fn string(&mut self) -> Option<String> {
        let begin = self.at;
        if self.peek() != Some(b'"') {
            return None;
        }
        let mut escaped = false;
        loop {
            self.at += 1;
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 1;
                }
                0..=0x1f => return None,
                _ => {}
            }
        }
        self.at += 1;
        let text = self.text.get(begin..self.at)?;
        if escaped { serde_json::from_str(text).ok() } else { Some(text[1..text.len() - 1].to_owned()) }
    }
}
