//! See `wkube_fuzz::go_regex`.
#![no_main]
wkube_fuzz::target!(go_regex);
