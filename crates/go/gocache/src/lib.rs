//! Go's build cache for the RUN steps of Dockerfiles that never asked for one.
//!
//! In a container that is built afresh, `go build` compiles the standard library and every dependency again after each edit, and `-a`
//! asks for just that where a cache would be. Both are paid for nothing: what Go's build cache holds is found by the content of all
//! inputs, so it yields the same bytes. This room brings the cache into the step, and keeps the promise of the same bytes where Go's own
//! cache does not quite.
//!
//! It has two halves. The advisor ([`advise`]) decides from what is known about a step, without running anything, whether to mount a
//! cache folder and a folder with a program called `go`, which comes first on the step's `PATH`. That program is this binary, as
//! [`front`]: it sees the words and the environment that the real `go` would see, after all scripts, makefiles and shells had their say,
//! and lets `go build`, `go install` and `go vet` use the cache where this cannot be noticed in the result. In all other cases it becomes
//! the real `go`, with nothing changed.
//!
//! Beside it, [`GoRootAdvisor`] helps `go` to its toolchain where there is no /proc.

mod advice;
mod advisor;
pub mod front;
mod helper;
mod place;
mod root;

pub use advice::{Advice, CacheMount, Files, Refusal, Step, Words, advise};
pub use advisor::GoCacheAdvisor;
pub use helper::install_helper;
pub use place::{CACHE_TARGET, CacheRoot, HELPER_TARGET};
pub use root::GoRootAdvisor;
