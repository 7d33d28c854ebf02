//! The scheduler: golden decisions and the queue.
