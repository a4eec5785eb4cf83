//! What of the list is asked for, as the page's address says it.

use super::standing::Standing;

/// The longest text that is looked for, in bytes.
const LONGEST: usize = 200;

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    #[default]
    Sources,
    Streams,
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    #[default]
    Trouble,
    Tenant,
    Lag,
    Rate,
    Events,
}

impl Sort {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Trouble, "trouble"),
        (Self::Tenant, "tenant"),
        (Self::Lag, "lag"),
        (Self::Rate, "rate"),
        (Self::Events, "events"),
    ];
}

/// Which standings are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shown {
    #[default]
    All,
    Trouble,
    Only(Standing),
}

impl Shown {
    /// All that can be chosen, with the key and the word of each.
    pub fn choices() -> impl Iterator<Item = (Self, &'static str, &'static str)> {
        let some = [(Self::All, "", "All states"), (Self::Trouble, "trouble", "In trouble")];
        some.into_iter().chain(Standing::ALL.map(|standing| (Self::Only(standing), standing.key(), standing.word())))
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    pub text: String,
    pub shown: Shown,
    pub by: By,
    pub sort: Sort,
    /// Counted from one.
    pub page: usize,
}

impl Query {
    /// What is not understood is taken as not said: an address is typed, kept and changed by people.
    pub fn read(query: Option<&str>) -> Self {
        let mut read = Self { page: 1, ..Self::default() };
        for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*key {
                "q" => {
                    let end = (0..=LONGEST.min(value.len())).rev().find(|at| value.is_char_boundary(*at));
                    value[..end.unwrap_or(0)].trim().clone_into(&mut read.text);
                }
                "state" => {
                    let chosen = Shown::choices().find(|(_, key, _)| **key == *value);
                    read.shown = chosen.map(|(shown, ..)| shown).unwrap_or_default();
                }
                "by" if value == "streams" => read.by = By::Streams,
                "sort" => {
                    let sort = Sort::ALL.into_iter().find(|(_, key)| **key == *value);
                    read.sort = sort.map(|(sort, _)| sort).unwrap_or_default();
                }
                "page" => read.page = value.parse().unwrap_or(1).max(1),
                _ => {}
            }
        }
        read
    }

    /// Whether a stream of this standing is shown.
    pub fn takes(&self, standing: Standing) -> bool {
        match self.shown {
            Shown::All => true,
            Shown::Trouble => standing.is_trouble(),
            Shown::Only(only) => only == standing,
        }
    }

    pub fn is_filtered(&self) -> bool {
        !self.text.is_empty() || self.shown != Shown::All
    }

    /// The reverse of [`Query::read`]: where this is shown.
    pub fn address(&self) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        let shown = Shown::choices().find(|(shown, ..)| *shown == self.shown).map(|(_, key, _)| key);
        let sort = Sort::ALL.into_iter().find(|(sort, _)| *sort == self.sort).map(|(_, key)| key);
        let page = if self.page > 1 { self.page.to_string() } else { String::new() };
        let by = if self.by == By::Streams { "streams" } else { "" };
        let sort = sort.filter(|_| self.sort != Sort::default()).unwrap_or_default();
        let pairs =
            [("q", &*self.text), ("state", shown.unwrap_or_default()), ("by", by), ("sort", sort), ("page", &*page)];
        pairs.into_iter().filter(|(_, value)| !value.is_empty()).for_each(|(key, value)| {
            out.append_pair(key, value);
        });
        match out.finish() {
            query if query.is_empty() => "/".to_owned(),
            query => format!("/?{query}"),
        }
    }

    /// The same, from its first page, with a change.
    pub fn with(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut query = Self { page: 1, ..self.clone() };
        change(&mut query);
        query.address()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_is_shown_and_back() {
        assert_eq!(Query::read(None), Query { page: 1, ..Query::default() });
        assert_eq!(Query::read(None).address(), "/");
        let address = "/?q=a+%26+%3Cb%3E&state=failed&by=streams&sort=lag&page=3";
        let query = Query::read(address.strip_prefix("/?"));
        assert_eq!((query.text.as_str(), query.shown, query.page), ("a & <b>", Shown::Only(Standing::Failed), 3));
        assert_eq!(query.address(), address);
        assert_eq!(query.with(|query| query.text.clear()), "/?state=failed&by=streams&sort=lag");
        for (shown, key, _) in Shown::choices() {
            assert_eq!(Query::read(Some(&format!("state={key}"))).shown, shown);
        }
    }

    #[test]
    fn what_nobody_understands_is_not_said() {
        let query = Query::read(Some("state=x&sort=%ff&page=-1&by=&z=1&q"));
        assert_eq!(query, Query::read(None));
        assert_eq!(Query::read(Some("page=99999999999999999999")).page, 1);
        let long = format!("q={}", "é".repeat(LONGEST));
        assert_eq!(Query::read(Some(&long)).text, "é".repeat(LONGEST / 2));
    }
}
