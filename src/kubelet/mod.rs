//! The node agent: make the pods bound to this (virtual) node real, report back. Must never import
//! api or store.
