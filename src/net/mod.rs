//! The virtual network: pod stacks, loopback, the fabric between them, doors to the host. Must
//! never watch the API or know wasm.
