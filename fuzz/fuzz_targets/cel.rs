//! See `wkube_fuzz::cel`.
#![no_main]
wkube_fuzz::target!(cel);
