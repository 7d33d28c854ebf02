//! Run one container: compile, cache, link, instantiate, limit, stop. Must never know the API or a
//! PodSpec.
