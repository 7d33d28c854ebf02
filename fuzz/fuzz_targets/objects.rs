//! See `wkube_fuzz::objects`.
#![no_main]
wkube_fuzz::target!(objects);
