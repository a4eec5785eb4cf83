//! Searches in the archive: who looked for what, and why.

use super::{EventWriter, event::Told};
use crate::{kind::Kind, record::Field};

impl EventWriter<'_, '_> {
    pub fn search(&mut self) {
        let kind = self.record.kind();
        self.event(&Told::default());
        self.user();
        self.vendor(kind, Self::search_details);
    }

    /// By Elastic's names.
    fn search_details(&mut self) {
        let kind = self.record.kind();
        let mark = self.json.open("search_details");
        self.text("description", Field::Description);
        self.text("path", Field::SearchPath);
        self.text("reason", Field::SearchReason);
        self.text("source", Field::Source);
        self.text("text", Field::SearchText);
        if kind == Kind::ArchiveUserSearch {
            self.text("query", Field::MuseQuery);
        }
        self.json.close(mark);
    }
}
