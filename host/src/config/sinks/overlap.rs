//! Sinks at one place, which get in each other's way.

use std::collections::BTreeMap;
use std::path::Path;

use super::{ElasticsearchOptions, Sink, SinkKind};
use crate::config::problem::{self, Problem, Step};

/// Says of all sinks whether two share a place where they must not. `source_ids` are those that are known.
pub fn overlaps(
    sinks: &BTreeMap<String, Sink>,
    source_ids: &[String],
    data_dir: &Path,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    shared_folders(sinks, data_dir, problems);
    shared_indices(sinks, source_ids, warnings);
}

/// Two file sinks in one folder would finish each other's files.
fn shared_folders(sinks: &BTreeMap<String, Sink>, data_dir: &Path, problems: &mut Vec<Problem>) {
    let mut seen: Vec<(&str, &Path)> = Vec::new();
    // Of a folder that could not be filled in nobody knows where it is.
    let open = problem::open(problems);
    for sink in sinks.values() {
        let SinkKind::File(options) = &sink.kind else { continue };
        let path = options.path.as_path();
        let at = format!("sinks.{}.path", sink.id);
        if open.contains(&at) {
            continue;
        }
        if path == data_dir {
            problems.push(Problem::new(Step::Sinks, &at, "is also data_dir").hint("Use a folder of its own"));
        }
        if let Some((other, _)) = seen.iter().find(|(_, known)| path.starts_with(known) || known.starts_with(path)) {
            let message = format!("overlaps the folder of sinks.{other}");
            problems.push(Problem::new(Step::Sinks, &at, message).hint("Give each file sink a folder of its own"));
        }
        seen.push((&sink.id, path));
    }
}

/// In one index there is one document of an event, since its id is the event's. So of two sinks that make different
/// documents of it, the slower one's is taken for a repeat, and is nowhere.
fn shared_indices(sinks: &BTreeMap<String, Sink>, source_ids: &[String], warnings: &mut Vec<Problem>) {
    let mut seen: Vec<(&Sink, &ElasticsearchOptions)> = Vec::new();
    for sink in sinks.values() {
        let SinkKind::Elasticsearch(options) = &sink.kind else { continue };
        let other = seen.iter().find(|(other, others)| {
            let alike = sink.rules == other.rules && options.pipeline == others.pipeline;
            !alike && is_one_index(options, others) && may_share_events(sink, other, source_ids)
        });
        if let Some((other, _)) = other {
            let message = format!("writes into the index of sinks.{}, with other rules", other.id);
            let hint = "Give each an index of its own: an event's id is its document's, so of those that both take, only \
                        the document that comes first is there";
            warnings.push(Problem::new(Step::Sinks, format!("sinks.{}.bulk.index", sink.id), message).hint(hint));
        }
        seen.push((sink, options));
    }
}

fn is_one_index(one: &ElasticsearchOptions, other: &ElasticsearchOptions) -> bool {
    let mut origins = one.client.endpoints.iter().map(|endpoint| &endpoint.origin);
    let others = &other.client.endpoints;
    one.index == other.index && origins.any(|origin| others.iter().any(|other| other.origin == *origin))
}

/// Two that each take a part have been told apart on purpose.
fn may_share_events(one: &Sink, other: &Sink, source_ids: &[String]) -> bool {
    let both = |id: &String| one.takes(id) && other.takes(id);
    let apart = one.only != other.only && !one.only.is_everything() && !other.only.is_everything();
    // More sources may come, from folders.
    !apart && (source_ids.iter().any(both) || one.inputs.iter().any(|input| other.inputs.contains(input)))
}

#[cfg(test)]
mod tests {
    use crate::config::{Format, parse};

    /// Warnings about two sinks for Elasticsearch, one with these keys and a plain one.
    fn warned(keys: &str) -> bool {
        let text = format!(
            "[sources.a]\ntype = \"mimecast\"\n[sources.b]\ntype = \"mimecast\"\n\
             [sinks.x]\ntype = \"elasticsearch\"\nendpoint = \"https://one.example/_bulk\"\ninputs = [\"a\"]\n\
             [sinks.y]\ntype = \"elasticsearch\"\n{keys}\n"
        );
        let loaded = parse(&text, Format::Toml, "test", &|_| None).unwrap_or_else(|error| panic!("{error}"));
        let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        warnings.iter().any(|warning| {
            warning.contains("sinks.y.bulk.index: writes into the index of sinks.x") && warning.contains("of its own")
        })
    }

    #[test]
    fn two_sinks_make_different_documents_of_one_event() {
        let one = "endpoints = [\"https://two.example\", \"https://one.example\"]\n";
        let mask = "rules = [{ type = \"mask\", field = \"subject\" }]\n";
        assert!(warned(&format!("{one}{mask}inputs = [\"*\"]")));
        assert!(warned(&format!("{one}{mask}inputs = [\"a.alerts\"]")));
        assert!(warned(&format!("{one}inputs = [\"a\"]\npipeline = \"geo\"")));
        assert!(warned(&format!("{one}{mask}inputs = [\"a\"]\nwhere.alerts = true")));
        // Another index, another place, other events, or the same documents.
        assert!(!warned(&format!("{one}{mask}inputs = [\"*\"]\nbulk.index = \"masked-{{date}}\"")));
        assert!(!warned(&format!("endpoint = \"https://two.example\"\n{mask}inputs = [\"*\"]")));
        assert!(!warned(&format!("{one}{mask}inputs = [\"b\"]")));
        assert!(!warned(&format!("{one}inputs = [\"*\"]")));
    }
}
