//! See `wkube_fuzz::yaml`.
#![no_main]
wkube_fuzz::target!(yaml);
