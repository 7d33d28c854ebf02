//! The API server through its public face: requests to `handle` or over TLS, and their answers.

mod access;
mod admission;
mod audit;
mod custom_resources;
mod discovery;
mod fairness;
mod harness;
mod kinds;
mod limits;
mod protobuf;
mod retired;
mod reviews;
mod rows;
mod rules;
mod scale;
mod services;
mod streams;
mod tls;
mod tokens;
mod watches;
mod words;
mod writes;
