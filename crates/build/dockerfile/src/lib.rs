//! Dockerfiles: bytes to a syntax tree with spans, expansion, the stage graph, .dockerignore.
