//! What an execution may use.

use serde::{Deserialize, Serialize};

/// A profile's overrides; `None` is the server's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory of all its processes together, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processor time of all its processes together, in seconds.
    pub cpu_seconds: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Open files of each process.
    pub open_files: Option<u64>,
    /// Space that its temporary files take together, in bytes.
    pub tmp_bytes: Option<u64>,
    /// Standard output and standard error kept, in bytes each.
    pub output_bytes: Option<u64>,
}

/// The limits one execution runs under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLimits {
    /// Memory of all its processes together, in bytes.
    pub memory_bytes: u64,
    /// Processor time of all its processes together, in seconds.
    pub cpu_seconds: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Open files of each process.
    pub open_files: u64,
    /// Space that its temporary files take together, in bytes.
    pub tmp_bytes: u64,
    /// Standard output and standard error kept, in bytes each: half of it the head, half the tail.
    pub output_bytes: u64,
    /// The result's JSON text, in bytes.
    pub result_bytes: u64,
}

impl RunLimits {
    /// The design's defaults.
    pub const DEFAULT: Self = Self {
        memory_bytes: 512 * MIB,
        cpu_seconds: 60,
        processes: 64,
        open_files: 1024,
        tmp_bytes: 100 * MIB,
        output_bytes: MIB,
        result_bytes: 8 * MIB,
    };

    /// These defaults with a profile's overrides and an execution's timeout applied: without an override, processor time is no more
    /// than the timeout.
    pub fn with(self, overrides: &Limits, timeout_seconds: u32) -> Self {
        Self {
            memory_bytes: overrides.memory_bytes.unwrap_or(self.memory_bytes),
            cpu_seconds: overrides.cpu_seconds.unwrap_or(self.cpu_seconds.min(u64::from(timeout_seconds))),
            processes: overrides.processes.unwrap_or(self.processes),
            open_files: overrides.open_files.unwrap_or(self.open_files),
            tmp_bytes: overrides.tmp_bytes.unwrap_or(self.tmp_bytes),
            output_bytes: overrides.output_bytes.unwrap_or(self.output_bytes),
            result_bytes: self.result_bytes,
        }
    }
}

/// 2^20 bytes.
pub const MIB: u64 = 1024 * 1024;
