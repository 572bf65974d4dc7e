//! A task that a body's thread reports to while it is being sent.

use std::sync::{Arc, Mutex, PoisonError};

use longshore_events::Task;

/// A task that can be reported to from where the bytes are read, which may outlive the request.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<Option<Task>>>);

impl Progress {
    pub(crate) fn new(task: Task) -> Progress {
        Progress(Arc::new(Mutex::new(Some(task))))
    }

    /// Says how many bytes were read.
    pub(crate) fn report(&self, done: u64, total: u64) {
        if let Some(task) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            task.progress(done, Some(total));
        }
    }

    /// Ends the task by one of its own methods; without this it ends as failed.
    pub(crate) fn end(&self, how: impl FnOnce(Task)) {
        if let Some(task) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            how(task);
        }
    }

    /// Ends the task as failed, unless it has ended.
    pub(crate) fn fail(&self) {
        self.end(drop);
    }
}
