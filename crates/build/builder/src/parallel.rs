//! The same work on many things: on all processors, or a few at once where it waits for somebody else.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::solve::held;

/// Fewer things than this are not worth a thread.
const FEW: usize = 8;

/// Things that a thread takes at once.
const BATCH: usize = 16;

/// More threads than this wait for the disk together.
const MOST_THREADS: usize = 8;

/// What `work` makes of each item, in their order, on all processors. Errors: that of one of the items; the rest is not begun.
pub(crate) fn map<T, R, E>(items: &[T], work: impl Fn(&T) -> Result<R, E> + Sync) -> Result<Vec<R>, E>
where
    T: Sync,
    R: Send,
    E: Send,
{
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let threads = processors.min(items.len() / FEW);
    on(threads, BATCH.min(items.len().div_ceil(threads.max(1))), items, work)
}

/// Does `work` on each item, on at most so many at once. Errors: as for [`map`].
pub(crate) fn for_each<T, E>(
    most: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<(), E> + Sync,
) -> Result<(), E>
where
    T: Sync,
    E: Send,
{
    on(most.min(items.len()), 1, items, work).map(drop)
}

/// The same on so many threads, which take so many items at once.
fn on<T, R, E>(
    threads: usize,
    batch: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E>
where
    T: Sync,
    R: Send,
    E: Send,
{
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let failure = Mutex::new(None);
    let take = || {
        while held(&failure).is_none() {
            let start = next.fetch_add(batch, Ordering::Relaxed);
            let Some(rest) = items.get(start..).filter(|rest| !rest.is_empty()) else { return };
            match rest.iter().take(batch).map(&work).collect::<Result<Vec<R>, E>>() {
                Ok(results) => held(&done).push((start, results)),
                Err(error) => *held(&failure) = Some(error),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where no thread can be had, the others do its share.
            let _ = std::thread::Builder::new().spawn_scoped(scope, take);
        }
        take();
    });
    if let Some(error) = held(&failure).take() {
        return Err(error);
    }
    let mut done = std::mem::take(&mut *held(&done));
    done.sort_unstable_by_key(|(start, _)| *start);
    Ok(done.into_iter().flat_map(|(_, results)| results).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_items() {
        for count in [0, 1, 7, 8, 100, 1001] {
            let items: Vec<usize> = (0..count).collect();
            let doubled: Result<Vec<usize>, ()> = map(&items, |item| Ok(item * 2));
            assert_eq!(doubled, Ok((0..count).map(|item| item * 2).collect()), "{count}");
        }
    }

    #[test]
    fn a_few_are_worked_on_at_once() {
        // Each waits for two others: fewer at once would never end.
        let (barrier, now) = (std::sync::Barrier::new(3), AtomicUsize::new(0));
        let items: Vec<usize> = (0..21).collect();
        let done = for_each(3, &items, |_| {
            let others = now.fetch_add(1, Ordering::SeqCst);
            barrier.wait();
            now.fetch_sub(1, Ordering::SeqCst);
            if others < 3 { Ok(()) } else { Err(others) }
        });
        assert_eq!(done, Ok(()));
    }

    #[test]
    fn an_error_ends_it() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(map(&items, |item| if *item == 500 { Err(*item) } else { Ok(()) }), Err(500));
    }
}
