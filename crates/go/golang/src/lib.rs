//! Go versions, go.mod, go.sum and go.work.
