//! The node agent with the mock runtime.
