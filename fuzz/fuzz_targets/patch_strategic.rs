//! See `wkube_fuzz::patch_strategic`.
#![no_main]
wkube_fuzz::target!(patch_strategic);
