//! What the events look like: `output`, `labels`, `category`, `include_original`.

use super::fault;
use super::value::{Values, shown};
use crate::chunk::Fault;
use crate::code::Code;

/// The form of the bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// OCSF 1.8.0.
    #[default]
    Ocsf,
    /// Elastic Common Schema, with the field names of Elastic's own integration.
    Ecs,
    /// An envelope around the record as it came.
    Raw,
}

/// A product whose names of a kind go into the event, so that its saved searches go on working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    Elastic,
    Sumo,
    Stellar,
}

impl Label {
    pub const ALL: [Label; 3] = [Label::Elastic, Label::Sumo, Label::Stellar];

    /// As operators write it, and as the labels of a kind are named.
    pub const fn name(self) -> &'static str {
        match self {
            Label::Elastic => "elastic",
            Label::Sumo => "sumo",
            Label::Stellar => "stellar",
        }
    }
}

/// How much of the record as it came goes into the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncludeOriginal {
    #[default]
    None,
    /// The whole record, as text.
    Body,
}

pub(super) fn output(values: &Values) -> Result<Output, Fault> {
    one_of(values, "output", "form of events", [("ocsf", Output::Ocsf), ("ecs", Output::Ecs), ("raw", Output::Raw)])
}

pub(super) fn include_original(values: &Values) -> Result<IncludeOriginal, Fault> {
    let known = [("none", IncludeOriginal::None), ("body", IncludeOriginal::Body)];
    one_of(values, "include_original", "part of a record", known)
}

/// In the order of [`Label::ALL`], each once.
pub(super) fn labels(values: &Values) -> Result<Vec<Label>, Fault> {
    let wanted = values.list("labels")?.unwrap_or_default();
    if let Some(unknown) = wanted.iter().find(|name| !Label::ALL.iter().any(|label| label.name() == name.trim())) {
        return Err(fault(
            Code::BadValue,
            format!("`labels` names \"{}\", whose labels are not known", shown(unknown)),
        )
        .hint("Choose from: elastic, sumo, stellar"));
    }
    Ok(Label::ALL.into_iter().filter(|label| wanted.iter().any(|name| name.trim() == label.name())).collect())
}

pub(super) fn category(values: &Values) -> Result<Option<String>, Fault> {
    match values.text("category")? {
        Some(text) if text.trim().is_empty() || text.chars().any(char::is_control) => {
            Err(fault(Code::BadValue, "`category` is empty or contains control characters")
                .hint("Set it to a name such as \"email\", or remove it"))
        }
        text => Ok(text.map(|text| text.trim().to_owned())),
    }
}

fn one_of<T: Default, const N: usize>(
    values: &Values,
    key: &str,
    what: &str,
    known: [(&str, T); N],
) -> Result<T, Fault> {
    let Some(text) = values.text(key)? else {
        return Ok(T::default());
    };
    let names = known.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    known.into_iter().find(|(name, _)| *name == text.trim()).map(|(_, value)| value).ok_or_else(|| {
        fault(Code::BadValue, format!("`{key}` is \"{}\", which is no {what}", shown(&text)))
            .hint(format!("Choose from: {names}; the first is the default"))
    })
}
