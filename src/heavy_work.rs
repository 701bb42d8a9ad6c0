//! Runs heavy computations, such as a proof or a hash that is slow on purpose, on threads of their own: apart from those that
//! answer requests, and with a limit on how many run at once.

use tokio::sync::Semaphore;

/// The limit on heavy computations of one kind.
pub struct HeavyWork {
    room: Semaphore,
}

impl HeavyWork {
    /// At most `at_once` of them at the same time: each takes a whole processor.
    pub const fn at_most(at_once: usize) -> HeavyWork {
        HeavyWork { room: Semaphore::const_new(at_once) }
    }

    /// Runs `work` once fewer than the limit are running. If the caller is dropped, work that has begun still runs to its
    /// end.
    ///
    /// # Errors
    /// If the program is going down, or the work panics.
    pub async fn run<T: Send + 'static>(&'static self, work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
        let place = self.room.acquire().await?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        });
        Ok(done.await?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn no_more_is_worked_at_once_than_there_is_room_for() {
        static ROOM: HeavyWork = HeavyWork::at_most(2);
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let work = || {
            MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            RUNNING.fetch_sub(1, Ordering::SeqCst);
        };
        let done = futures_util::future::join_all((0..8).map(|_| ROOM.run(work))).await;
        assert!(done.iter().all(Result::is_ok));
        let most = MOST.load(Ordering::SeqCst);
        assert!((1..=2).contains(&most), "{most} at once");
    }

    #[tokio::test]
    async fn what_panics_makes_room_for_the_next() {
        static ROOM: HeavyWork = HeavyWork::at_most(1);
        let failed: anyhow::Result<()> = ROOM.run(|| panic!("a work that fails")).await;
        assert!(failed.is_err());
        assert_eq!(ROOM.run(|| 1).await.unwrap(), 1);
    }
}
