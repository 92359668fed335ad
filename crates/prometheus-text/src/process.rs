//! The metrics of a process that Prometheus' own clients have, too.

use std::fmt::Display;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::{Kind, Page};

impl Page {
    /// Writes the metrics of this process: the time that it has computed, and when it started, in seconds since 1970.
    pub fn process(&mut self, cpu: Duration, started: impl Display) {
        let help = "Total user and system CPU time spent in seconds";
        self.family("process_cpu_seconds_total", Kind::Counter, help)
            .sample(&[], cpu.as_secs_f64());
        let help = "Start time of the process since unix epoch in seconds";
        self.gauge("process_start_time_seconds", help, started);
    }
}

/// Returns how long this process has computed.
pub fn cpu_time() -> Duration {
    let usage = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(usage.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(usage.tv_nsec).unwrap_or(0))
}
