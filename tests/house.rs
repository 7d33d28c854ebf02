//! The laws of the house (ARCHITECTURE.md), read off the sources. Links nothing.

#[test]
fn placeholder() {}
