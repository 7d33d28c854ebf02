//! The API server through its public face: HTTP requests and their answers.
