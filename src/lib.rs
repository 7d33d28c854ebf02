//! wkube: a Kubernetes in one rootless program whose pods are WebAssembly sandboxes.
//!
//! This file is the list of rooms, in reading order. Arrows point down the list only as
//! ARCHITECTURE.md draws them; `tests/house.rs` keeps it so.

// What there is.
// What is on the wire and on disk: objects, selectors, patches, ownership, Status.
pub mod meta;
// The one table: every kind's names, schema, defaults, validation, columns.
pub mod resources;
// Things std lacks: clock, backoff, shutdown tree, digest, atomic files, the two seams.
pub mod stdx;

// Where things are kept and how they meet.
// The virtual network: pod stacks, loopback, fabric, doors to the host.
pub mod net;
// References, manifests, registry client, local image store.
pub mod oci;
// Revisioned keys and bytes with watch; redb and memory behind one contract.
pub mod store;

// How to ask, how to run.
// Talk to an API server, in process or over TLS: requests, informers, work queue, events.
pub mod client;
// Run one container: compile, cache, link, instantiate, limit, stop.
pub mod wasm_runtime;

// Who acts.
// The API server: filters, routing, verbs, registry, admission, auth, discovery.
pub mod api;
// Reconcilers, each a pure plan and a thin driver.
pub mod controllers;
// The node agent: make the pods bound to a (virtual) node real, report back.
pub mod kubelet;
// Bind pods to nodes: queue, snapshot, plugins.
pub mod sched;

// Who begins.
// The command line: verbs, printers, contexts.
pub mod cli;
// Composition root: the only room that knows every room.
pub mod serve;
