//! Metrics of the process itself: CPU time, memory, threads and open files, under the names that every Prometheus
//! client library uses, without a prefix.
//! Invariant: read from `/proc` at a scrape; a value that cannot be read is not shown.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use crate::telemetry::metrics::exposition::Family;
use crate::telemetry::metrics::list;

/// What the process uses. `None` is a value that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ProcessUsage {
    stat: Option<Stat>,
    /// When the system started, in seconds since 1970.
    system_start: Option<u64>,
    open_files: Option<u64>,
    max_files: Option<u64>,
}

/// The numbers in `/proc/self/stat` that are shown (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    /// User and system time, in clock ticks.
    cpu: u64,
    threads: u64,
    /// From the start of the system to that of the process, in clock ticks.
    start: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl ProcessUsage {
    /// Reads the current values.
    #[expect(clippy::disallowed_methods, reason = "/proc shows the process, not a file on a disk")]
    pub(super) fn read() -> Self {
        let text = |path| fs::read_to_string(path).ok();
        // The list of open files contains the one through which it is read.
        let open = fs::read_dir("/proc/self/fd").ok().map(|files| files.count().saturating_sub(1));
        Self {
            stat: text("/proc/self/stat").and_then(|text| Stat::parse(&text)),
            system_start: text("/proc/stat").and_then(|text| system_start(&text)),
            open_files: open.and_then(|open| u64::try_from(open).ok()),
            max_files: getrlimit(Resource::Nofile).current,
        }
    }
}

impl Stat {
    /// Parses `/proc/self/stat`. The second field is a name in parentheses that can contain blanks and parentheses.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let numbers: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The list begins with the third field.
        let field = |number: usize| numbers.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu: field(14)?.saturating_add(field(15)?),
            threads: field(20)?,
            start: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

fn system_start(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn seconds(ticks: u64) -> f64 {
    as_float(ticks) / as_float(clock_ticks_per_second().max(1))
}

#[expect(clippy::cast_precision_loss, reason = "2^53 clock ticks are three million years")]
fn as_float(number: u64) -> f64 {
    number as f64
}

impl Collector for ProcessUsage {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        if let Some(stat) = self.stat {
            let page = u64::try_from(page_size()).unwrap_or_default();
            let resident = stat.resident_pages.saturating_mul(page);
            Family::begin(encoder, &list::CPU_SECONDS)?.single_counter(seconds(stat.cpu))?;
            Family::begin(encoder, &list::RESIDENT_MEMORY)?.gauge(&[], resident)?;
            Family::begin(encoder, &list::VIRTUAL_MEMORY)?.gauge(&[], stat.virtual_bytes)?;
            Family::begin(encoder, &list::THREADS)?.gauge(&[], stat.threads)?;
            if let Some(system_start) = self.system_start {
                let start = seconds(stat.start) + as_float(system_start);
                Family::begin(encoder, &list::START_TIME)?.gauge(&[], start)?;
            }
        }
        if let Some(open) = self.open_files {
            Family::begin(encoder, &list::OPEN_FILES)?.gauge(&[], open)?;
        }
        match self.max_files {
            Some(most) => Family::begin(encoder, &list::MAX_FILES)?.gauge(&[], most),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_parsed_behind_any_process_name() {
        let rest =
            "S 1 2 3 4 5 6 7 8 9 10 110 15 16 17 20 0 4 0 900 1048576 77 18446744073709551615 1";
        let expected =
            Stat { cpu: 125, threads: 4, start: 900, virtual_bytes: 1_048_576, resident_pages: 77 };
        for name in ["portcullis", "a b", ") S 1 (x"] {
            assert_eq!(Stat::parse(&format!("42 ({name}) {rest}")), Some(expected), "{name}");
        }
        assert_eq!(Stat::parse("42 (x) S 1 2"), None);
        assert_eq!(system_start("cpu 1 2\nbtime 1767225600\n"), Some(1_767_225_600));
    }

    #[test]
    fn own_process_is_read_completely() {
        let ProcessUsage { stat, system_start, open_files, .. } = ProcessUsage::read();
        assert!(stat.unwrap().resident_pages > 0 && stat.unwrap().threads > 0, "{stat:?}");
        assert!(open_files.unwrap() > 0 && system_start.unwrap() > 1_500_000_000);
    }
}
