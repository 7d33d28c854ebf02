//! See `wkube_fuzz::patch_merge`.
#![no_main]
wkube_fuzz::target!(patch_merge);
