//! Writes HTML. Markup is what stands in this program; every value goes through one function that makes it text.
//!
//! A template crate would do no more here, and its macros take longer to compile than this.

use std::fmt::{self, Display, Write};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands for itself in a part of a path.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A piece of a page.
#[derive(Debug, Default)]
pub struct Html(String);

impl Html {
    /// Adds markup. Only what is written in the program lives so long: a value does not come in here by mistake.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds a value, as text between tags or in an attribute's quotes.
    pub fn text(&mut self, value: impl Display) -> &mut Self {
        // A string takes all that it is given.
        let _ = write!(Escaped(&mut self.0), "{value}");
        self
    }

    pub fn add(&mut self, piece: &Html) -> &mut Self {
        self.0.push_str(&piece.0);
        self
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

/// Where values become text.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            let (before, from) = rest.split_at(at);
            self.0.push_str(before);
            self.0.push_str(match from.as_bytes()[0] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            });
            rest = &from[1..];
        }
        self.0.push_str(rest);
        Ok(())
    }
}

/// A value as a part of a path.
pub fn part(value: &str) -> impl Display + '_ {
    utf8_percent_encode(value, PART)
}

/// Adds pieces to a page: markup as it is, and values, which stand in parentheses, as text.
macro_rules! put {
    (@ $page:expr, ($value:expr)) => { $page.text(&$value) };
    (@ $page:expr, $markup:literal) => { $page.raw($markup) };
    ($page:expr, $($piece:tt),+ $(,)?) => {{ $( put!(@ $page, $piece); )+ }};
}
pub(super) use put;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_text() {
        let mut page = Html::default();
        let wicked = "<script>alert('1')</script> & \"x\" onload=\"";
        put!(page, "<p title=\"", (wicked), "\">", (wicked), "</p>");
        let text = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot; onload=&quot;";
        assert_eq!(page.into_string(), format!("<p title=\"{text}\">{text}</p>"));
    }

    #[test]
    fn what_needs_no_escape_stays() {
        let mut page = Html::default();
        put!(page, (""), ("Grüße, 世界 \u{1f600}"), (17), "&amp;");
        assert_eq!(page.into_string(), "Grüße, 世界 \u{1f600}17&amp;");
    }

    #[test]
    fn a_part_of_a_path_leads_nowhere_else() {
        assert_eq!(part("acme-eu_1.x").to_string(), "acme-eu_1.x");
        assert_eq!(part("../a?b#c\"<é").to_string(), "%2E%2E%2Fa%3Fb%23c%22%3C%C3%A9".replace("%2E", "."));
    }
}
