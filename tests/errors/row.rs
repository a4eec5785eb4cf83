//! One line of a table.

/// What an operator reads of one fault.
#[derive(Debug, Clone)]
pub struct Row {
    /// Stable and short, where there is one; otherwise what somebody would look for.
    pub code: String,
    /// The source and stream, the sink, or the path in the file.
    pub place: String,
    pub what: String,
    pub next: String,
    /// What it means, for the page. Empty for a variant of the row before, which is not on the page.
    pub means: &'static str,
}

/// Never to be read anywhere.
pub const SECRET: &str = "hunter22-made-up-secret";

/// Words that begin something that an operator can do.
const ACTIONS: &[&str] = &[
    "add", "allow", "ask", "build", "change", "check", "choose", "copy", "correct", "create", "decrypt", "did", "drop",
    "free", "give", "hide", "keep", "leave", "let", "look", "lower", "make", "mend", "name", "open", "put", "raise",
    "read", "remove", "rename", "replace", "report", "restart", "run", "search", "see", "send", "set", "shorten",
    "start", "stop", "take", "try", "turn", "use", "wait", "with", "write",
];

impl Row {
    /// What is missing of it.
    fn wants(&self) -> Option<&'static str> {
        let clauses = self.next.split(['.', ';', ':', ',']).map(str::trim);
        let acts = |clause: &str| {
            let word = clause.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_lowercase();
            // An example is something to write.
            ACTIONS.contains(&word.as_str()) || clause.starts_with("For example") || clause.starts_with("Such as")
        };
        match () {
            () if self.code.is_empty() || self.place.is_empty() => Some("where"),
            () if self.what.len() <= 10 => Some("what happened"),
            () if !clauses.into_iter().any(acts) => Some("what to do"),
            () if format!("{self:?}").contains(SECRET) => Some("secrecy"),
            () => None,
        }
    }
}

/// Checks all, and prints them.
///
/// # Panics
/// When one lacks one of the three, or has a secret in it.
#[track_caller]
pub fn show(title: &str, rows: &[Row]) {
    println!("\n{title}");
    for row in rows {
        println!("{} | {} | {} | {}", row.code, row.place, row.what, row.next);
    }
    let bad: Vec<_> = rows.iter().filter_map(|row| Some((row.wants()?, row))).collect();
    assert!(bad.is_empty(), "nobody knows: {bad:#?}");
}

#[test]
fn a_row_without_one_of_the_three_is_noticed() {
    let row = |place: &str, what: &str, next: &str| Row {
        code: "x".into(),
        place: place.into(),
        what: what.into(),
        next: next.into(),
        means: "",
    };
    assert_eq!(row("source acme", "it answered 500", "Wait: it is tried again").wants(), None);
    for bad in [
        row("", "it answered 500", "Wait"),
        row("source acme", "", "Wait"),
        row("source acme", "it answered 500", ""),
        row("source acme", "it answered 500", "The default is 5"),
        row("source acme", &format!("it answered {SECRET}"), "Wait"),
    ] {
        assert!(bad.wants().is_some(), "{bad:?}");
    }
}
