//! Progress bars for long work, on standard error and only if that is a terminal.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::OUTPUT_FAILED;

/// How often a bar is drawn: often enough to look alive, too seldom to affect what is measured.
const TICK: Duration = Duration::from_millis(500);

/// A bar that is full after `parts` parts.
pub fn bar(what: &'static str, parts: usize) -> ProgressBar {
    let bar = ProgressBar::new(parts as u64);
    bar.set_style(style("{prefix} [{bar:40}] {pos}/{len} {msg} {elapsed}").progress_chars("=> "));
    bar.set_prefix(what);
    bar
}

/// For work of unknown length: shows the elapsed time.
pub fn clock(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.set_style(style("{spinner} {prefix} {elapsed}"));
    bar.set_prefix(what);
    bar.enable_steady_tick(TICK);
    bar
}

/// Prints a line on standard output, above the bar.
pub fn print_above(bar: &ProgressBar, line: &str) {
    write_above(bar, line, std::io::stdout());
}

/// # Panics
/// As `println!` does where nobody reads or the disk is full, so that every command ends alike then (see [`crate::cli::main`]). Only after
/// `suspend`, which holds the bar's lock: the thread that draws the bar would panic over a poisoned one, and print that.
fn write_above(bar: &ProgressBar, line: &str, mut output: impl Write) {
    if let Err(error) = bar.suspend(|| writeln!(output, "{line}")) {
        panic!("{OUTPUT_FAILED}{error}");
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are templates")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// Standard output that nobody reads any more.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_nobody_reads_ends_the_command_and_leaves_the_bar_to_its_thread() {
        let bar = clock("Testing");
        let mut read = Vec::new();
        write_above(&bar, "first", &mut read);
        assert_eq!(read, b"first\n");
        let panic = catch_unwind(AssertUnwindSafe(|| write_above(&bar, "second", Closed))).unwrap_err();
        assert!(panic.downcast_ref::<String>().unwrap().starts_with(OUTPUT_FAILED));
        // What the thread does at its next turn; it panics if the lock was poisoned.
        bar.tick();
    }
}
