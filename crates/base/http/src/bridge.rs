//! From plain code to asynchronous code.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

fn runtime() -> &'static Runtime {
    RUNTIME.get_or_init(|| {
        let builder =
            || Builder::new_multi_thread().worker_threads(2).thread_name("network").enable_all().build();
        match builder() {
            Ok(runtime) => runtime,
            // No thread and no epoll to be had: nothing that needs the network can go on, and no caller could do anything else.
            #[expect(clippy::panic, reason = "there is no network without a runtime")]
            Err(error) => panic!("cannot start the threads that speak to the network: {error}"),
        }
    })
}

/// Runs a future to its end on the process's one runtime, which starts at the first call.
///
/// Must not be called from within a future: it would block the thread that the future needs.
pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}
