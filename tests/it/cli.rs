//! wkube's own command line: the binary, its output and exit codes.
