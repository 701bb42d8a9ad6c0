//! Progress bars for long work, on standard error and only if that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

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

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are templates")
}
