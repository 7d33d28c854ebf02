//! The composition root: the only room that knows every room. Starts in order, stops in reverse.
//! Must never hold logic that could live in a room.
