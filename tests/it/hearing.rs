//! Test helper: captures the program's log while a test runs.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    /// What was logged on this thread since its test began to listen; `None` where it does not listen.
    static HEARD: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The writer of the test program's log, which gives each thread that listens its own part.
struct Listener;

impl std::io::Write for Listener {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        HEARD.with_borrow_mut(|heard| heard.iter_mut().for_each(|heard| heard.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Listens from now on. A test and all that it spawns run on one thread.
pub fn listen() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_env_filter("info,fenqi=debug").with_writer(|| Listener);
        tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    });
    HEARD.set(Some(Vec::new()));
}

/// The log since [`listen`], in which none of these texts may stand.
///
/// # Panics
/// If one of them does, or nobody listened.
pub fn heard_without(personal: &[&str]) -> String {
    let log = String::from_utf8(HEARD.take().unwrap()).unwrap();
    for &personal in personal {
        let line = log.lines().find(|line| line.contains(personal));
        assert!(line.is_none(), "{personal} is logged: {line:?}");
    }
    log
}
