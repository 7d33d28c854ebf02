//! See `wkube_fuzz::json`.
#![no_main]
wkube_fuzz::target!(json);
