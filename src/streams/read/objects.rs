//! JSON objects, cut from bytes that arrive in any pieces.
//!
//! A file of API 1.0 is one object `{"type":"MTA","data":[{…},{…}]}` of any size, so its records are cut as it streams; so are those of
//! a STIX bundle, whose list is named `objects`.
//! A bare array, NDJSON and objects glued together are read as well (quirk Q44). Nothing is parsed here.

use super::{Cut, RECORD_LIMIT};

/// Where the next record is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On top, or in a bare array.
    Top,
    /// In the array `data` of the one big object.
    Data,
    /// Behind that array, until the big object ends.
    Tail,
}

/// How much of `"data":[` has been seen, one level inside an object on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrapper {
    No,
    /// A key may come.
    Key,
    /// `"data"` was that key.
    Name,
    /// Its colon, too.
    Colon,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// Between records.
    Nothing,
    /// An object, so many levels deep.
    Object(u32),
    /// Something that is no object: up to the end of the line or the next object.
    Junk,
}

pub struct Objects {
    /// The name of the big object's list.
    list: &'static [u8],
    buffer: Vec<u8>,
    /// Where the current record begins, or what is still to be looked at.
    start: usize,
    at: usize,
    place: Place,
    inside: Inside,
    /// In a text, which began there.
    text: Option<usize>,
    escaped: bool,
    wrapper: Wrapper,
    finished: bool,
    /// Arrays on top that are not closed.
    arrays: usize,
    dropped: u64,
    head: Vec<u8>,
}

enum Step {
    /// A record ends here.
    End(usize),
    More,
}

impl Objects {
    pub fn new(begin: Vec<u8>) -> Self {
        Self { buffer: begin, ..Self::of_list(b"data") }
    }

    /// Of a big object whose list has another name.
    pub fn of_list(list: &'static [u8]) -> Self {
        Self {
            list,
            buffer: Vec::new(),
            start: 0,
            at: 0,
            place: Place::Top,
            inside: Inside::Nothing,
            text: None,
            escaped: false,
            wrapper: Wrapper::No,
            finished: false,
            arrays: 0,
            dropped: 0,
            head: Vec::new(),
        }
    }

    /// Where to append the next bytes. What was cut off before is gone.
    pub fn room(&mut self) -> &mut Vec<u8> {
        if self.inside == Inside::Nothing {
            self.start = self.at;
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.at -= self.start;
            // Behind the array, texts are passed over: where they begin does not matter.
            self.text = self.text.map(|text| text.saturating_sub(self.start));
            self.start = 0;
        }
        &mut self.buffer
    }

    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// If these are all the bytes, the document ends too early: an object or an array is not closed. Only after
    /// [`Objects::cut`] has given all that it has.
    pub fn is_cut_off(&self) -> bool {
        matches!(self.inside, Inside::Object(_)) || self.place != Place::Top || self.arrays > 0
    }

    /// Nothing is left but punctuation. Of bytes that are all there.
    pub fn is_done(&self) -> bool {
        let punctuation = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b'[' | b']');
        self.inside == Inside::Nothing && self.buffer[self.at..].iter().all(punctuation)
    }

    /// The next record; `None` if there is none without more bytes. An object that never ends is one, too, at the end.
    pub fn cut(&mut self) -> Option<Cut<'_>> {
        let end = match self.scan() {
            Step::End(end) => end,
            Step::More if self.finished && self.inside != Inside::Nothing => {
                self.inside = Inside::Nothing;
                self.text = None;
                self.buffer.len()
            }
            Step::More => {
                self.let_go();
                return None;
            }
        };
        let begin = std::mem::replace(&mut self.start, end);
        if self.dropped > 0 {
            let size = std::mem::take(&mut self.dropped) + (end - begin) as u64;
            return Some(Cut::TooLong { head: &self.head, size });
        }
        let record = self.buffer[begin..end].trim_ascii_end();
        if record.len() > RECORD_LIMIT {
            return Some(Cut::TooLong { head: &record[..RECORD_LIMIT], size: record.len() as u64 });
        }
        Some(Cut::Record(record))
    }

    fn scan(&mut self) -> Step {
        while self.at < self.buffer.len() {
            let ended = match (self.text, self.inside) {
                (Some(_), _) => self.in_text(),
                (None, Inside::Object(depth)) => self.in_object(depth),
                (None, Inside::Junk) => self.in_junk(),
                (None, Inside::Nothing) => {
                    self.between();
                    None
                }
            };
            if let Some(end) = ended {
                return Step::End(end);
            }
        }
        Step::More
    }

    /// Runs to the end of a text. A line feed cannot stand in one, so there the record is broken off, and the next one is
    /// looked for: one bad quotation mark must not swallow the rest of the file.
    fn in_text(&mut self) -> Option<usize> {
        if std::mem::take(&mut self.escaped) {
            self.at += 1;
            return None;
        }
        let Some(found) = memchr::memchr3(b'"', b'\\', b'\n', &self.buffer[self.at..]) else {
            self.at = self.buffer.len();
            return None;
        };
        let at = self.at + found;
        self.at = at + 1;
        match self.buffer[at] {
            b'\\' => self.escaped = true,
            b'\n' => {
                self.text = None;
                if self.place == Place::Tail {
                    return None;
                }
                self.inside = Inside::Nothing;
                return Some(at);
            }
            _ => {
                let begin = self.text.take().unwrap_or(at);
                let is_data = self.dropped == 0 && &self.buffer[begin..at] == self.list;
                self.wrapper = if self.wrapper == Wrapper::Key && is_data { Wrapper::Name } else { Wrapper::No };
            }
        }
        None
    }

    fn in_object(&mut self, depth: u32) -> Option<usize> {
        let byte = self.buffer[self.at];
        self.at += 1;
        match byte {
            b'"' => {
                self.text = Some(self.at);
                return None;
            }
            b'[' if depth == 1 && self.wrapper == Wrapper::Colon => {
                self.place = Place::Data;
                self.inside = Inside::Nothing;
                self.wrapper = Wrapper::No;
                return None;
            }
            b'{' | b'[' => self.inside = Inside::Object(depth + 1),
            b'}' | b']' if depth == 1 => {
                self.inside = Inside::Nothing;
                if self.place == Place::Tail {
                    self.place = Place::Top;
                    return None;
                }
                return Some(self.at);
            }
            b'}' | b']' => self.inside = Inside::Object(depth - 1),
            b':' if self.wrapper == Wrapper::Name => {
                self.wrapper = Wrapper::Colon;
                return None;
            }
            b',' if depth == 1 && self.place == Place::Top => {
                self.wrapper = Wrapper::Key;
                return None;
            }
            b' ' | b'\t' | b'\r' | b'\n' => return None,
            _ => {}
        }
        self.wrapper = Wrapper::No;
        None
    }

    fn in_junk(&mut self) -> Option<usize> {
        match memchr::memchr3(b'\n', b'{', b']', &self.buffer[self.at..]) {
            None => {
                self.at = self.buffer.len();
                None
            }
            Some(found) => {
                self.at += found;
                self.inside = Inside::Nothing;
                Some(self.at)
            }
        }
    }

    fn between(&mut self) {
        match self.buffer[self.at] {
            b'{' => {
                self.start = self.at;
                self.inside = Inside::Object(1);
                self.wrapper = if self.place == Place::Top { Wrapper::Key } else { Wrapper::No };
            }
            b']' if self.place == Place::Data => {
                self.place = Place::Tail;
                self.inside = Inside::Object(1);
                self.wrapper = Wrapper::No;
            }
            b'[' => self.arrays += usize::from(self.place == Place::Top),
            b']' => self.arrays = self.arrays.saturating_sub(1),
            b',' => {}
            byte if byte.is_ascii_whitespace() => {}
            _ => {
                self.start = self.at;
                self.inside = Inside::Junk;
            }
        }
        self.at += 1;
        if self.place == Place::Tail {
            self.start = self.at;
        }
    }

    /// Keeps memory bounded: an unfinished record over the limit loses all but its head.
    fn let_go(&mut self) {
        if self.place == Place::Tail {
            self.start = self.at;
            return;
        }
        let open = self.buffer.len() - self.start;
        if self.inside == Inside::Nothing || (self.dropped == 0 && open <= RECORD_LIMIT) {
            return;
        }
        if self.dropped == 0 {
            self.head.clear();
            self.head.extend_from_slice(&self.buffer[self.start..self.start + RECORD_LIMIT]);
        }
        self.dropped += open as u64;
        self.buffer.clear();
        self.start = 0;
        self.at = 0;
        self.text = self.text.map(|_| 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let mut objects = Objects::new(Vec::new());
        let mut seen = Vec::new();
        let mut take = |objects: &mut Objects| {
            while let Some(cut) = objects.cut() {
                seen.push(match cut {
                    Cut::Record(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                    Cut::TooLong { head, size } => format!("long {} {size}", head.len()),
                });
            }
        };
        for piece in pieces {
            objects.room().extend_from_slice(piece);
            take(&mut objects);
        }
        objects.finish();
        take(&mut objects);
        assert!(objects.cut().is_none());
        seen
    }

    const A: &str = r#"{"a":"}\"]\\","n":{"data":[1,{"x":[]}]}}"#;
    const B: &str = r#"{"b":[1,2]}"#;

    #[test]
    fn every_form_at_every_split() {
        for text in [
            format!(r#"{{"type":"MTA","data":[{A},{B}]}}"#),
            format!("{{\"type\":\"MTA\",\"data\" : [\n {A},\n {B}\n]}}\n"),
            format!(r#"{{"data":[{A},{B}],"type":"MTA","fail":[{{"x":"]"}}]}}"#),
            format!("[{A},{B}]"),
            format!("{A}\n{B}"),
            format!("{A}{B}"),
            format!("{A}\r\n\r\n{B}\r\n"),
            format!(r#"{{"type":"MTA","data":[{A}]}}{{"type":"MTA","data":[]}}{{"type":"MTA","data":[{B}]}}"#),
        ] {
            for at in 0..=text.len() {
                assert_eq!(cut(&[&text.as_bytes()[..at], &text.as_bytes()[at..]]), [A, B], "{text} at {at}");
            }
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(cut(&bytes), [A, B], "{text}");
        }
    }

    #[test]
    fn a_list_of_another_name() {
        let text = format!(r#"{{"type":"bundle","data":[1],"objects":[{A},{B}],"id":"x"}}"#);
        for at in 0..=text.len() {
            let mut objects = Objects::of_list(b"objects");
            let mut seen = Vec::new();
            for piece in [&text.as_bytes()[..at], &text.as_bytes()[at..]] {
                objects.room().extend_from_slice(piece);
                while let Some(cut) = objects.cut() {
                    let Cut::Record(bytes) = cut else { panic!() };
                    seen.push(String::from_utf8(bytes.to_vec()).unwrap());
                }
            }
            assert_eq!(seen, [A, B], "{at}");
        }
    }

    #[test]
    fn a_document_that_ends_too_early_is_noticed_at_every_place() {
        let cut_off = |text: &str| {
            let mut objects = Objects::new(Vec::new());
            objects.room().extend_from_slice(text.as_bytes());
            while objects.cut().is_some() {}
            objects.is_cut_off()
        };
        for text in [
            format!(r#"{{"type":"MTA","data":[{A},{B}]}}"#),
            format!(r#"{{"data":[{A},{B}],"type":"MTA","fail":[{{"x":"]"}}]}}"#),
            format!("[{A},{B}]"),
        ] {
            for at in 1..text.len() {
                assert!(cut_off(&text[..at]), "{text} at {at}");
            }
            for end in ["", "\n", " \r\n\n"] {
                assert!(!cut_off(&format!("{text}{end}")), "{text}");
            }
        }
        for (text, expected) in
            [(format!("{A}\n{B}"), false), (format!("{A}\n"), false), (format!("{A}\n{{\"b\":"), true)]
        {
            assert_eq!(cut_off(&text), expected, "{text}");
        }
        for odd in [format!("{{\"data\":[{A}, junk\n]}}"), format!("{{\"data\":[[{A}]]}}"), format!("{A}]")] {
            assert!(!cut_off(&odd), "what is odd is no end: {odd}");
        }
    }

    #[test]
    fn nothing() {
        for text in
            ["", "  \n", "[]", r#"{"type":"MTA","data":[]}"#, r#"{"meta":{"isLastToken":true},"data":[],"fail":[]}"#]
        {
            assert!(cut(&[text.as_bytes()]).is_empty(), "{text}");
        }
    }

    #[test]
    fn data_that_is_no_array_or_no_key_makes_no_wrapper() {
        for text in
            [r#"{"data":{"x":[]}}"#, r#"{"data":"[","y":[{}]}"#, r#"{"x":"data","y":[{}]}"#, r#"{"x":{"data":[{}]}}"#]
        {
            assert_eq!(cut(&[text.as_bytes()]), [text]);
        }
    }

    #[test]
    fn damage_does_not_swallow_what_follows() {
        // A text that is never closed, in one line of several.
        let text = format!("{{\"type\":\"MTA\",\"data\":[\n{A},\n{{\"broken\":\"x}},\n{B},\n{A}]}}");
        for at in 0..=text.len() {
            assert_eq!(cut(&[&text.as_bytes()[..at], &text.as_bytes()[at..]]), [A, "{\"broken\":\"x},", B, A], "{at}");
        }
        // Junk between objects is a record of its own, so that it is told.
        assert_eq!(cut(&[format!("{A}\nnot json\n{B}").as_bytes()]), [A, "not json", B]);
        assert_eq!(cut(&[format!("{{\"data\":[{A},17,{B}]}}").as_bytes()]), [A, "17,", B]);
        // An object that the end cuts off.
        let text = format!("{{\"data\":[{A},{{\"b\":[1,");
        assert_eq!(cut(&[text.as_bytes()]), [A, "{\"b\":[1,"]);
    }

    #[test]
    fn an_overlong_record_keeps_its_head_and_size_and_memory_is_bounded() {
        let long = format!("{{\"x\":\"{}\"}}", "y".repeat(3 << 20));
        let text = format!("{{\"type\":\"MTA\",\"data\":[{A},{long},{B}]}}");
        let expected = [A.to_owned(), format!("long {RECORD_LIMIT} {}", long.len()), B.to_owned()];
        for size in [1_000, 65_536, 10 << 20] {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(cut(&pieces), expected, "{size}");
        }
        let mut objects = Objects::new(b"{\"data\":[{\"x\":\"".to_vec());
        for _ in 0..500 {
            objects.room().extend_from_slice(&[b'z'; 65_536]);
            assert!(objects.cut().is_none());
            assert!(objects.buffer.capacity() < 4 << 20);
        }
        let mut objects = Objects::new(b"{\"data\":[],\"tail\":\"".to_vec());
        for _ in 0..500 {
            objects.room().extend_from_slice(&[b'z'; 65_536]);
            assert!(objects.cut().is_none());
            assert!(objects.buffer.capacity() < 4 << 20);
        }
    }
}
