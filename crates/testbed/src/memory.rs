//! The memory of a process.

use std::fs;

use anyhow::{Context as _, Result};
use rig::Process;

/// Returns the peak memory of a process, in bytes.
///
/// # Errors
/// When it has ended.
pub fn peak_memory(process: Process) -> Result<usize> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    Ok(peak.context("cannot find VmHWM")?.trim().parse::<usize>()? * 1024)
}
