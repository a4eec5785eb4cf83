//! Keys whose texts have places in them.

use crate::config::section::Section;
use crate::template::Template;

/// The template under `key`, or `default`.
pub fn template(section: &mut Section<'_>, key: &'static str, default: Option<&str>) -> Option<Template> {
    let text = section.text(key).or_else(|| default.map(str::to_owned))?;
    match Template::parse(&text) {
        Ok(template) => Some(template),
        Err(error) => {
            section.fault(key, error.to_string(), None);
            None
        }
    }
}
