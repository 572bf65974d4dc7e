//! Unpacked layers, their merged view, and the differences between them.
