//! The Common Expression Language as Kubernetes 1.36 uses it: reading, checking of types,
//! estimate of cost, evaluation under a budget, and the libraries. Must not know custom
//! resources, requests or policies: they bring variables and take values.
//!
//! The way of an expression: `parser` (with `lexer`, `macros`) makes a tree of it, `check` gives
//! it types, `cost` tells what it may cost, `plan` makes steps, `eval` runs them. `env` is the
//! door to all of it.

mod ast;
mod call_cost;
mod check;
mod cost;
mod decl;
mod decls;
mod env;
mod eval;
mod format;
mod functions;
mod instant;
mod issue;
#[cfg(test)]
mod judged;
mod lexer;
mod literals;
mod macros;
mod parser;
mod plan;
mod runtime_cost;
mod schema_types;
mod semver;
#[cfg(test)]
mod tests;
mod types;
mod url;
mod value;

pub use cost::Range;
pub use decl::{DeclType, Kind, escape, untyped};
pub use env::{
    CompileError, Env, Evaluation, MAX_REQUEST_SIZE, PER_CALL_LIMIT, Program, RUNTIME_BUDGET,
};
pub use issue::{Issue, Issues};
pub use parser::is_reserved;
pub use schema_types::{declared, embedded};
pub use types::{ObjectType, Type};
pub use value::{Failure, Key, List, ListKind, Map, Value, equal};
