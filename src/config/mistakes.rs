//! What is wrong with a configuration, gathered: an operator mends it all at once.

use crate::chunk::Fault;

/// Mistakes, in the order in which they were found. The message of each begins with its key in backticks.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<Fault>);

impl Mistakes {
    /// The value, or nothing if it is wrong, which is noted.
    pub fn keep<T>(&mut self, judged: Result<T, Fault>) -> Option<T> {
        judged.map_err(|mistake| self.note(mistake)).ok()
    }

    pub fn note(&mut self, mistake: Fault) {
        if !self.0.contains(&mistake) {
            self.0.push(mistake);
        }
    }

    /// `judged`, if nothing was wrong. Otherwise one fault, as the contract wants it: a line of its message for each mistake,
    /// and a line of its hint; its code is that of the first.
    pub fn finish<T>(self, judged: T) -> Result<T, Fault> {
        let mut mistakes = self.0.into_iter();
        let Some(mut fault) = mistakes.next() else { return Ok(judged) };
        for mistake in mistakes {
            fault.message += "\n";
            fault.message += &mistake.message;
            let hint = fault.hint.get_or_insert_default();
            *hint += "\n";
            *hint += mistake.hint.as_deref().unwrap_or_default();
        }
        Err(fault)
    }
}
