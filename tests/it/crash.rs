//! Crashes: the binary killed at random moments, the store cut at random points.
