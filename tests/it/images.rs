//! Images: pull, build, load, save, hostile archives.
