//! Work on several processors.

use std::thread;

/// The stack of a thread in bytes: source nests as deep as it likes, and this holds what the parser and the interpreter allow.
/// The system gives out only what is used.
const STACK: usize = 64 << 20;

/// Runs `work` in as many threads as there are processors, at most eight, and gathers what each returns. The threads are to
/// share out the work among themselves. Where no thread can be started, the caller's does all of it.
pub(crate) fn in_threads<T: Send>(work: impl Fn() -> T + Sync) -> Vec<T> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(8);
    thread::scope(|scope| {
        let start = |_| thread::Builder::new().stack_size(STACK).spawn_scoped(scope, &work).ok();
        let threads: Vec<_> = (0..workers).filter_map(start).collect();
        if threads.is_empty() {
            return vec![work()];
        }
        let join = |thread: thread::ScopedJoinHandle<'_, T>| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().map(join).collect()
    })
}
