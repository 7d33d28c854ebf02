//! The contract every store backend keeps.
