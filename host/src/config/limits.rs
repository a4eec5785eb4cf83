//! `[limits]`: what a component may use, at the top for all sources and under a source for that one.

use std::time::Duration;

use serde_json::Value;

use super::interpolate::join;
use super::problem::{Problem, Step};
use super::section::Section;
use crate::sandbox::Limits;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Reads the table `limits` of what lies at `path`. What it does not say is as in `base`. The least values are those with
/// which some component can still work; whether this one starts, its plan shows.
pub fn limits(table: Option<Value>, path: &str, step: Step, base: Limits, problems: &mut Vec<Problem>) -> Limits {
    let Some(table) = table else { return base };
    let Some(mut section) = Section::new(join(path, "limits"), step, table, problems) else { return base };
    let mut bytes = |key, least, most, default: usize| section.whole(key, least, most, default as u64) as usize;
    // A slot is a part of the address space: 32 bits are all that a guest can name.
    let memory = bytes("memory_bytes", MIB, 4 * GIB, base.memory);
    // One malformed record may be 1 MiB.
    let chunk_bytes = bytes("chunk_bytes", 2 * MIB, GIB, base.chunk_bytes);
    let stderr_bytes = bytes("stderr_bytes", 4 * KIB, GIB, base.stderr_bytes);
    // The contract allows no longer one.
    let position_bytes = bytes("position_bytes", 256, Limits::POSITION as u64, base.position_bytes);
    let chunk_events = bytes("chunk_events", 100, 10_000_000, base.chunk_events);
    let handles = bytes("handles", 32, 1_000_000, base.handles);
    let table_elements = bytes("table_elements", 1, 1_000_000, base.table_elements);
    let response_bytes = section.whole("response_bytes", MIB, 1024 * GIB, base.response_bytes);
    let requests = section.whole("requests", 10, 1_000_000, base.requests.into()) as u32;
    let cpu = Duration::from_secs(section.whole("cpu_secs", 1, 3600, base.cpu.as_secs()));
    let wall = Duration::from_secs(section.whole("wall_secs", 10, 86_400, base.wall.as_secs()));
    section.close(&[]);
    Limits {
        memory,
        cpu,
        wall,
        chunk_bytes,
        chunk_events,
        handles,
        table_elements,
        response_bytes,
        requests,
        stderr_bytes,
        position_bytes,
    }
}

impl super::Config {
    /// What the sandbox must have room for: the largest limits of all sources.
    pub fn largest_limits(&self) -> Limits {
        self.sources.values().map(|source| source.limits).reduce(|one, other| one.room_for(&other)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigError, Format, Loaded, parse};
    use super::*;

    fn read(top: &str, source: &str) -> Result<Loaded, ConfigError> {
        let text = format!(
            "{top}\n[sources.a]\ntype = \"mimecast\"\n{source}\n[sources.b]\ntype = \"mimecast\"\n\
             [sinks.out]\ntype = \"stdout\"\ninputs = [\"*\"]\n"
        );
        parse(&text, Format::Toml, "t.toml", &|_| None)
    }

    #[test]
    fn a_sources_limits_win_over_those_at_the_top() {
        let top = "[limits]\nmemory_bytes = 67108864\ncpu_secs = 5\nwall_secs = 60\nchunk_events = 200";
        let source = "limits = { memory_bytes = 8388608, requests = 10, response_bytes = \"1048576\", handles = 32, \
                      stderr_bytes = 4096, position_bytes = 256, chunk_bytes = 2097152, table_elements = 1 }";
        let config = read(top, source).unwrap().config;
        let all = Limits {
            memory: 64 << 20,
            cpu: Duration::from_secs(5),
            wall: Duration::from_secs(60),
            chunk_events: 200,
            ..Limits::default()
        };
        assert_eq!(config.sources["b"].limits, all);
        let own = Limits {
            memory: 8 << 20,
            requests: 10,
            response_bytes: 1 << 20,
            handles: 32,
            stderr_bytes: 4096,
            position_bytes: 256,
            chunk_bytes: 2 << 20,
            table_elements: 1,
            ..all
        };
        assert_eq!(config.sources["a"].limits, own);
        assert!(!config.sources["a"].settings.as_json().contains("limits"), "they are the host's, not the component's");
        assert_eq!(config.largest_limits().memory, 64 << 20);
        assert_eq!(read("", "").unwrap().config.sources["a"].limits, Limits::default());
    }

    #[test]
    fn what_no_component_can_work_with_is_refused() {
        for (top, source, path) in [
            ("[limits]\nmemory_bytes = 1000", "", "limits.memory_bytes"),
            ("[limits]\nposition_bytes = 65537", "", "limits.position_bytes"),
            ("[limits]\nmemory = 1", "", "limits.memory"),
            ("limits = 5", "", "limits"),
            ("", "limits = { cpu_secs = 0 }", "sources.a.limits.cpu_secs"),
            ("", "limits = { wall_secs = \"5m\" }", "sources.a.limits.wall_secs"),
        ] {
            let error = read(top, source).unwrap_err();
            let paths: Vec<&str> = error.problems.iter().map(|problem| problem.path.as_str()).collect();
            assert_eq!(paths, [path], "{error}");
        }
    }
}
