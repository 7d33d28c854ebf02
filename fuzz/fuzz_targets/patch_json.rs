//! See `wkube_fuzz::patch_json`.
#![no_main]
wkube_fuzz::target!(patch_json);
