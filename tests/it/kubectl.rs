//! The real kubectl against the real binary.
