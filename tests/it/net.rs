//! The virtual network through its public face.
