//! See `wkube_fuzz::scalars`.
#![no_main]
wkube_fuzz::target!(scalars);
