//! See `wkube_fuzz::spdy`.
#![no_main]
wkube_fuzz::target!(spdy);
