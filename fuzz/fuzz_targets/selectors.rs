//! See `wkube_fuzz::selectors`.
#![no_main]
wkube_fuzz::target!(selectors);
