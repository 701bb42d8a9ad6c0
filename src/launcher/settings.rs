//! The settings that PostgreSQL is started with, chosen by the memory of the machine or container.

use std::fs;

use super::Durability;

/// Where a container's memory limit is found, in bytes or as `max`: control groups version 2, then version 1.
const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// Settings for a machine that also runs us: an eighth of the memory, long checkpoints, and log segments kept for reuse,
/// because making new ones stalls commits.
pub fn settings(durability: Durability, wal_compression: &str) -> Vec<String> {
    let memory_mb = memory_mb();
    let mut settings = vec![
        "listen_addresses=".to_owned(),
        "unix_socket_permissions=0700".to_owned(),
        "max_connections=200".to_owned(),
        format!("shared_buffers={}MB", (memory_mb / 8).clamp(64, 2048)),
        format!("effective_cache_size={}MB", (memory_mb / 2).clamp(128, 65_536)),
        // Shared memory of parallel queries, reserved at start. Beyond it they use /dev/shm, which is usually only 64 MB in a
        // container, and a query that finds no room there fails.
        format!("min_dynamic_shared_memory={}MB", (memory_mb / 16).clamp(64, 256)),
        "work_mem=32MB".to_owned(),
        "maintenance_work_mem=256MB".to_owned(),
        "wal_buffers=32MB".to_owned(),
        "checkpoint_timeout=15min".to_owned(),
        "checkpoint_completion_target=0.9".to_owned(),
        "random_page_cost=1.1".to_owned(),
        "jit=off".to_owned(),
        "timezone=UTC".to_owned(),
    ];
    settings.extend(match durability {
        Durability::Full => {
            vec![
                "fsync=on".to_owned(),
                "synchronous_commit=on".to_owned(),
                format!("wal_compression={wal_compression}"),
                "min_wal_size=1GB".to_owned(),
                "max_wal_size=6GB".to_owned(),
            ]
        }
        // For tests: nothing is ever recovered after a crash.
        Durability::None => {
            vec![
                "fsync=off".to_owned(),
                "synchronous_commit=off".to_owned(),
                "full_page_writes=off".to_owned(),
                "min_wal_size=256MB".to_owned(),
                "max_wal_size=1GB".to_owned(),
            ]
        }
    });
    settings
}

/// The memory that we may use, in MiB: the machine's, or the container's limit if that is lower.
fn memory_mb() -> u64 {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    usable_mb(&read("/proc/meminfo"), &LIMITS.map(read))
}

/// `table` is `/proc/meminfo`, `limits` the contents of [`LIMITS`]; 1 GiB if the system does not tell.
fn usable_mb(table: &str, limits: &[String]) -> u64 {
    let total = table.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total =
        total.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).map_or(1024, |kb| kb / 1024);
    let limits = limits.iter().filter_map(|limit| limit.trim().parse::<u64>().ok());
    limits.map(|bytes| bytes / (1024 * 1024)).fold(total, u64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_no_more_memory_than_it_is_given() {
        let table = "MemTotal:       65536000 kB\nMemFree:         1024000 kB\n";
        let usable = |limits: [&str; 2]| usable_mb(table, &limits.map(str::to_owned));
        assert_eq!(usable(["", ""]), 64_000);
        assert_eq!(usable(["max\n", ""]), 64_000);
        assert_eq!(usable(["1073741824\n", ""]), 1_024);
        // Version 1 writes a number beyond any machine for none.
        assert_eq!(usable(["", "9223372036854771712\n"]), 64_000);
        assert_eq!(usable_mb("", &[]), 1_024);
    }
}
