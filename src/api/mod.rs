//! The API server: filters, routing, verbs, registry, admission, auth, discovery, OpenAPI. Must
//! never import another room of layer 4.
