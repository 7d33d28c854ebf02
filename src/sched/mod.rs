//! Bind pods to nodes: queue, snapshot, plugins. Must never write anything but bindings, status and
//! events.
