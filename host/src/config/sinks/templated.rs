//! Keys whose texts have places in them.

use crate::config::section::Section;
use crate::template::Template;

/// The template under `key`, or the declared default.
pub fn template(section: &mut Section<'_>, key: &'static str) -> Option<Template> {
    let text = section.text(key)?;
    match Template::parse(&text) {
        Ok(template) => Some(template),
        Err(error) => {
            section.fault(key, error.to_string(), Some(crate::template::HINT.into()));
            None
        }
    }
}
