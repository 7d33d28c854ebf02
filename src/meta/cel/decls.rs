//! The functions of CEL in Kubernetes 1.36: names, signatures and the names of their overloads,
//! as one table of text. Must not know how they are computed.
//!
//! Kubernetes: apiserver `pkg/cel/environment/base.go` says which libraries there are.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::types::Type;

/// One way to call a function.
#[derive(Debug)]
pub(super) struct Overload {
    /// Its name, unique.
    pub id: &'static str,
    /// Whether it is called on a receiver, which is then the first argument.
    pub member: bool,
    /// The arguments.
    pub args: Vec<Type>,
    /// The result.
    pub result: Type,
    /// The type parameters.
    pub params: Vec<&'static str>,
}

/// The table: function, overload, arguments (`.` first where there is a receiver), result.
const TABLE: &str = include_str!("decls.txt");

/// All functions, by name.
pub(super) static FUNCTIONS: LazyLock<HashMap<&'static str, Vec<Overload>>> = LazyLock::new(|| {
    let mut functions: HashMap<&'static str, Vec<Overload>> = HashMap::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (Some(name), Some(id), Some(args), Some(result)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let member = args.starts_with('.');
        let mut reader = Reader {
            text: args.trim_start_matches('.'),
            params: Vec::new(),
        };
        let mut list = Vec::new();
        while !reader.text.is_empty() && reader.text != "-" {
            list.push(reader.one());
            reader.text = reader.text.trim_start_matches(',');
        }
        reader.text = result;
        let result = reader.one();
        functions.entry(name).or_default().push(Overload {
            id,
            member,
            args: list,
            result,
            params: reader.params,
        });
    }
    functions
});

/// Types that are names in expressions (`type(x) == int`).
pub(super) fn type_name(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "double" => Type::Double,
        "int" => Type::Int,
        "string" => Type::String,
        "uint" => Type::Uint,
        "null_type" => Type::Null,
        "google.protobuf.Duration" => Type::Duration,
        "google.protobuf.Timestamp" => Type::Timestamp,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "type" => Type::Type(None),
        "optional_type" => Type::optional(Type::Dyn),
        "kubernetes.Quantity"
        | "kubernetes.URL"
        | "kubernetes.NamedFormat"
        | "kubernetes.Semver" => Type::library(name),
        "net.IP" => Type::Opaque("net.IP", Arc::from([])),
        "net.CIDR" => Type::Opaque("net.CIDR", Arc::from([])),
        _ => return None,
    })
}

/// Reads types off the front of a text.
struct Reader {
    text: &'static str,
    params: Vec<&'static str>,
}

impl Reader {
    fn one(&mut self) -> Type {
        let end = self.text.find(['(', ')', ',']).unwrap_or(self.text.len());
        let (word, rest) = self.text.split_at(end);
        self.text = rest;
        match word {
            "list" => {
                let mut inner = self.inner(1).into_iter();
                Type::list(inner.next().unwrap_or(Type::Dyn))
            }
            "optional" => {
                let mut inner = self.inner(1).into_iter();
                Type::optional(inner.next().unwrap_or(Type::Dyn))
            }
            "map" => {
                let mut inner = self.inner(2).into_iter();
                let key = inner.next().unwrap_or(Type::Dyn);
                Type::map(key, inner.next().unwrap_or(Type::Dyn))
            }
            "timestamp" => Type::Timestamp,
            "duration" => Type::Duration,
            "dyn" => Type::Dyn,
            "typeOf" => {
                let mut inner = self.inner(1).into_iter();
                Type::Type(inner.next().map(Arc::new))
            }
            _ => type_name(word).unwrap_or_else(|| {
                if !self.params.contains(&word) {
                    self.params.push(word);
                }
                Type::Param(word)
            }),
        }
    }

    fn inner(&mut self, count: usize) -> Vec<Type> {
        let mut types = Vec::new();
        for _ in 0..count {
            self.text = self.text.trim_start_matches(['(', ',']);
            types.push(self.one());
        }
        self.text = self.text.strip_prefix(')').unwrap_or(self.text);
        types
    }
}
