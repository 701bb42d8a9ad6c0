//! The signals to stop: Ctrl-C, a termination signal, or a terminal that was closed.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves on Ctrl-C, SIGTERM, or SIGHUP (the terminal was closed).
pub async fn stop_signal() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        () = hang_up() => {}
    }
}

/// Resolves on SIGHUP; never for a program that was started to outlive its terminal (`nohup`).
async fn hang_up() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    // Installing a handler would end the ignoring.
    if !ignores_hang_up(&status)
        && let Ok(mut hang_up) = signal(SignalKind::hangup())
    {
        hang_up.recv().await;
        return;
    }
    std::future::pending().await
}

/// Reads `/proc/<pid>/status`: `SigIgn` is a hexadecimal mask of the ignored signals, of which SIGHUP is the lowest bit.
fn ignores_hang_up(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_started_to_outlive_its_terminal_ignores_its_closing() {
        let status = |mask: &str| format!("Name:\tfenqi\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t1\n");
        assert!(ignores_hang_up(&status("0000000000001001")));
        assert!(!ignores_hang_up(&status("0000000000001000")));
        assert!(!ignores_hang_up(""));
    }
}
