//! `[limits]`: what a component may use, at the top for all sources and under a source for that one.

use std::time::Duration;

use serde_json::Value;

use super::declaration::{Group, Table, whole};
use super::interpolate::join;
use super::problem::{Problem, Step};
use super::section::Section;
use crate::sandbox::Limits;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// The least values are those with which some component can still work; whether this one starts, its plan shows.
pub static LIMITS: Table = Table::new(
    "limits",
    "What one instance of a component may use. At the top for all sources, and under a source for that one.",
    &[&Group::of(&[
        // A slot is a part of the address space: 32 bits are all that a guest can name.
        whole("memory_bytes", MIB, 4 * GIB, Limits::DEFAULT.memory as u64, "Memory of an instance, in bytes."),
        whole("cpu_secs", 1, 3600, Limits::DEFAULT.cpu.as_secs(), "CPU time of one call, in seconds. Waiting is free."),
        whole(
            "wall_secs",
            10,
            86_400,
            Limits::DEFAULT.wall.as_secs(),
            "Time of one call since an answer last brought something, in seconds.",
        ),
        // One malformed record may be 1 MiB.
        whole(
            "chunk_bytes",
            2 * MIB,
            GIB,
            Limits::DEFAULT.chunk_bytes as u64,
            "What one call may hand over to the host, in bytes.",
        ),
        whole(
            "chunk_events",
            100,
            10_000_000,
            Limits::DEFAULT.chunk_events as u64,
            "Events, malformed records and gaps that one call may hand over.",
        ),
        whole(
            "response_bytes",
            MIB,
            1024 * GIB,
            Limits::DEFAULT.response_bytes,
            "What one call may read of the vendor's answers, in bytes.",
        ),
        whole("requests", 10, 1_000_000, Limits::DEFAULT.requests as u64, "Requests that one call may make."),
        whole("handles", 32, 1_000_000, Limits::DEFAULT.handles as u64, "Handles that an instance may hold at once."),
        whole(
            "table_elements",
            1,
            1_000_000,
            Limits::DEFAULT.table_elements as u64,
            "Elements of one of an instance's tables, such as that of its functions.",
        ),
        whole(
            "stderr_bytes",
            4 * KIB,
            GIB,
            Limits::DEFAULT.stderr_bytes as u64,
            "What one call may write to its standard error, in bytes.",
        ),
        // The contract allows no longer one.
        whole(
            "position_bytes",
            256,
            Limits::POSITION as u64,
            Limits::DEFAULT.position_bytes as u64,
            "Length of a position, in bytes.",
        ),
    ])],
);

/// Reads the table `limits` of what lies at `path`. What it does not say is as in `base`.
pub fn limits(table: Option<Value>, path: &str, step: Step, base: Limits, problems: &mut Vec<Problem>) -> Limits {
    let Some(table) = table else { return base };
    let Some(mut section) = Section::new(&LIMITS, join(path, "limits"), step, table, problems) else { return base };
    let mut bytes = |key, default: usize| section.whole_or(key, default as u64) as usize;
    let memory = bytes("memory_bytes", base.memory);
    let chunk_bytes = bytes("chunk_bytes", base.chunk_bytes);
    let stderr_bytes = bytes("stderr_bytes", base.stderr_bytes);
    let position_bytes = bytes("position_bytes", base.position_bytes);
    let chunk_events = bytes("chunk_events", base.chunk_events);
    let handles = bytes("handles", base.handles);
    let table_elements = bytes("table_elements", base.table_elements);
    let response_bytes = section.whole_or("response_bytes", base.response_bytes);
    let requests = section.whole_or("requests", base.requests.into()) as u32;
    let cpu = Duration::from_secs(section.whole_or("cpu_secs", base.cpu.as_secs()));
    let wall = Duration::from_secs(section.whole_or("wall_secs", base.wall.as_secs()));
    section.close();
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
