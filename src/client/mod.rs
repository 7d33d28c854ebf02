//! Talk to an API server, in process or over TLS: requests, informers, work queue, events. Must
//! never import `api` or `store`.
