//! See `wkube_fuzz::jsonpath`.
#![no_main]
wkube_fuzz::target!(jsonpath);
