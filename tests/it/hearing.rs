//! What a test hears of the program's log, while it listens.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    /// What the test on this thread hears of the log; nobody else listens.
    static HEARD: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The log of the whole test program, of which each thread keeps its own, if it listens.
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

/// What was heard since [`listen`], in which none of these may stand.
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
