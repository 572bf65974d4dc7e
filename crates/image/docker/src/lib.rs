//! The image side of the API of Docker and Podman engines.
