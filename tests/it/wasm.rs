//! Guests: worlds, limits, hostile modules.
