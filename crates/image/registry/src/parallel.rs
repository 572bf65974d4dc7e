//! Several pieces of work at once, on threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Whether work that goes on at once should end early, since some of it failed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Fails once other work has failed, for loops over bytes. The message is never shown: the first failure is.
    pub(crate) fn check(&self) -> std::io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(std::io::Error::other("other work failed")),
            false => Ok(()),
        }
    }
}

/// Does `work` for every item, at most `limit` at a time, in the order in which they stand.
///
/// Errors: the first failure; what runs then is told to stop, and what has not begun is not begun.
pub(crate) fn in_parallel<T: Sync, E: Send>(
    limit: usize,
    items: &[T],
    work: impl Fn(&T, &Stop) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let (next, stop) = (AtomicUsize::new(0), Stop::default());
    let failure: Mutex<Option<E>> = Mutex::new(None);
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stop.0.load(Ordering::Relaxed) {
                return;
            }
            if let Err(error) = work(item, &stop) {
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                stop.0.store(true, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..limit.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_and_the_first_failure_ends_it() {
        let items: Vec<usize> = (0..100).collect();
        let done = Mutex::new(Vec::new());
        let outcome: Result<(), ()> = in_parallel(4, &items, |item, _| {
            done.lock().unwrap().push(*item);
            Ok(())
        });
        assert_eq!(outcome, Ok(()));
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, items);

        let begun = AtomicUsize::new(0);
        let outcome = in_parallel(3, &items, |item, stop| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *item == 5 {
                return Err("five");
            }
            // Others go on until they are told.
            while *item > 5 && stop.check().is_ok() {
                std::thread::yield_now();
            }
            Ok(())
        });
        assert_eq!(outcome, Err("five"));
        assert!(begun.into_inner() <= 8);
        assert_eq!(in_parallel(0, &[1], |_, _| Err("one")), Err("one"));
    }
}
