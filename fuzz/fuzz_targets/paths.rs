//! See `wkube_fuzz::paths`.
#![no_main]
wkube_fuzz::target!(paths);
