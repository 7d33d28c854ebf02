//! See `wkube_fuzz::protobuf`.
#![no_main]
wkube_fuzz::target!(protobuf);
