//! DuckDB, which knows nothing of us, reads what was written and counts.

use std::path::Path;
use std::process::Command;

/// Rows, distinct ids and highest number in all files that fit `glob`.
pub fn count(duckdb: &Path, glob: &str) -> (usize, usize, u64) {
    let query = format!(
        "select count(*), count(distinct metadata.uid), max(number) from read_ndjson('{glob}', columns = {{metadata: 'STRUCT(uid VARCHAR)', number: 'BIGINT', text: 'VARCHAR'}})"
    );
    let output = Command::new(duckdb).args(["-csv", "-noheader", "-c", &query]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let numbers: Vec<u64> = text.trim().split(',').map(|number| number.parse().unwrap()).collect();
    (numbers[0] as usize, numbers[1] as usize, numbers[2])
}
