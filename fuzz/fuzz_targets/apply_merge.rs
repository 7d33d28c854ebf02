//! See `wkube_fuzz::apply_merge`.
#![no_main]
wkube_fuzz::target!(apply_merge);
