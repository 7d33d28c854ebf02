//! References, manifests, the registry client and the local image store: from an image's name to
//! the bytes of a wasm module and how to start it. Must never know pods.
