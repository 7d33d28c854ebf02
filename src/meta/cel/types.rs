//! Types of CEL and how they agree: assignment, type variables, printing. Must not know
//! expressions or values.
//!
//! Kubernetes: cel-go `checker/types.go`, whose rules and words these are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Deepest type whose structure is compared; expressions cannot make deeper ones.
const MAX_TYPE_DEPTH: u32 = 600;

/// A type.
#[derive(Clone, Debug)]
pub enum Type {
    /// Known only when run.
    Dyn,
    /// Of an expression that has an error already.
    Error,
    /// `null`
    Null,
    /// `true`, `false`
    Bool,
    /// 64 bits with sign
    Int,
    /// 64 bits without sign
    Uint,
    /// 64 bit floating point
    Double,
    /// text
    String,
    /// octets
    Bytes,
    /// a point in time
    Timestamp,
    /// a span of time
    Duration,
    /// a list of one type
    List(Arc<Type>),
    /// a map
    Map(Arc<(Type, Type)>),
    /// an object with named fields
    Object(Arc<ObjectType>),
    /// a type of a library, with parameters
    Opaque(&'static str, Arc<[Type]>),
    /// the type of types
    Type(Option<Arc<Type>>),
    /// a variable that checking fills
    Var(u32),
    /// a parameter in a declaration
    Param(&'static str),
}

/// An object's name and fields.
#[derive(Debug)]
pub struct ObjectType {
    /// The name that errors show.
    pub name: String,
    /// The fields, by escaped name.
    pub fields: BTreeMap<String, Type>,
}

impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Type::List(a), Type::List(b)) => a == b,
            (Type::Map(a), Type::Map(b)) => a == b,
            (Type::Object(a), Type::Object(b)) => a.name == b.name,
            (Type::Opaque(a, ap), Type::Opaque(b, bp)) => a == b && ap == bp,
            (Type::Type(a), Type::Type(b)) => a == b,
            (Type::Var(a), Type::Var(b)) => a == b,
            (Type::Param(a), Type::Param(b)) => a == b,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// Name of the type of optionals.
pub(super) const OPTIONAL: &str = "optional_type";

impl Type {
    /// `list(T)`
    pub fn list(element: Type) -> Self {
        Self::List(Arc::new(element))
    }

    /// `map(K, V)`
    pub fn map(key: Type, value: Type) -> Self {
        Self::Map(Arc::new((key, value)))
    }

    /// `optional_type(T)`
    pub fn optional(inner: Type) -> Self {
        Self::Opaque(OPTIONAL, Arc::from([inner]))
    }

    /// An object of a library, without fields.
    pub fn library(name: &str) -> Self {
        Self::Object(Arc::new(ObjectType {
            name: name.to_owned(),
            fields: BTreeMap::new(),
        }))
    }

    /// What an optional holds.
    pub fn unwrap_optional(&self) -> Option<&Type> {
        match self {
            Self::Opaque(OPTIONAL, params) => params.first(),
            _ => None,
        }
    }

    fn is_dyn_or_error(&self) -> bool {
        matches!(self, Type::Dyn | Type::Error)
    }

    /// The name as `type(x)` prints it.
    pub fn runtime_name(&self) -> String {
        match self {
            Type::Null => "null_type".to_owned(),
            Type::Timestamp => "google.protobuf.Timestamp".to_owned(),
            Type::Duration => "google.protobuf.Duration".to_owned(),
            Type::List(_) => "list".to_owned(),
            Type::Map(_) => "map".to_owned(),
            Type::Object(object) => object.name.clone(),
            Type::Opaque(name, _) => (*name).to_owned(),
            Type::Type(_) => "type".to_owned(),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Type::Dyn => "dyn",
            Type::Error => "!error!",
            Type::Null => "null",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Timestamp => "timestamp",
            Type::Duration => "duration",
            Type::List(element) => return write!(f, "list({element})"),
            Type::Map(types) => return write!(f, "map({}, {})", types.0, types.1),
            Type::Object(object) => &object.name,
            Type::Opaque(name, params) if params.is_empty() => name,
            Type::Opaque(name, params) => {
                let params: Vec<String> = params.iter().map(ToString::to_string).collect();
                return write!(f, "{name}({})", params.join(", "));
            }
            Type::Type(None) => "type",
            Type::Type(Some(of)) => return write!(f, "type({of})"),
            Type::Var(index) => return write!(f, "_var{index}"),
            Type::Param(name) => name,
        };
        f.write_str(name)
    }
}

/// What type variables stand for, with a way back when a try fails.
#[derive(Default)]
pub(super) struct Mapping {
    bound: Vec<Option<Type>>,
    undo: Vec<(u32, Option<Type>)>,
}

impl Mapping {
    /// A fresh variable.
    pub(super) fn fresh(&mut self) -> Type {
        let index = u32::try_from(self.bound.len()).unwrap_or(u32::MAX);
        self.bound.push(None);
        Type::Var(index)
    }

    fn find(&self, index: u32) -> Option<&Type> {
        self.bound.get(usize::try_from(index).ok()?)?.as_ref()
    }

    fn set(&mut self, index: u32, to: Type) {
        if let Some(slot) = usize::try_from(index)
            .ok()
            .and_then(|i| self.bound.get_mut(i))
        {
            self.undo.push((index, slot.replace(to)));
        }
    }

    /// Does `attempt`; forgets what it bound if it fails.
    pub(super) fn attempt(&mut self, attempt: impl FnOnce(&mut Self) -> bool) -> bool {
        let mark = self.undo.len();
        if attempt(self) {
            return true;
        }
        while self.undo.len() > mark {
            if let Some((index, old)) = self.undo.pop()
                && let Some(slot) = usize::try_from(index)
                    .ok()
                    .and_then(|i| self.bound.get_mut(i))
            {
                *slot = old;
            }
        }
        false
    }

    /// The type with bound variables replaced, and unbound ones made `dyn` if `to_dyn`.
    pub(super) fn substitute(&self, of: &Type, to_dyn: bool) -> Type {
        match of {
            Type::Var(index) => match self.find(*index) {
                Some(found) => self.substitute(found, to_dyn),
                None if to_dyn => Type::Dyn,
                None => of.clone(),
            },
            Type::Param(_) if to_dyn => Type::Dyn,
            Type::List(element) => Type::list(self.substitute(element, to_dyn)),
            Type::Map(types) => Type::map(
                self.substitute(&types.0, to_dyn),
                self.substitute(&types.1, to_dyn),
            ),
            Type::Opaque(name, params) => {
                let params: Vec<Type> = params.iter().map(|p| self.substitute(p, to_dyn)).collect();
                Type::Opaque(name, params.into())
            }
            Type::Type(Some(inner)) => Type::Type(Some(Arc::new(self.substitute(inner, to_dyn)))),
            _ => of.clone(),
        }
    }

    /// Whether `a` can be given where `b` is wanted; binds variables on the way.
    pub(super) fn assignable(&mut self, a: &Type, b: &Type) -> bool {
        self.attempt(|mapping| mapping.agree(a, b, 0))
    }

    /// The same for lists of types, which must be of one length.
    pub(super) fn assignable_all(&mut self, a: &[Type], b: &[Type]) -> bool {
        a.len() == b.len() && self.attempt(|m| a.iter().zip(b).all(|(a, b)| m.agree(a, b, 0)))
    }

    fn agree(&mut self, a: &Type, b: &Type, depth: u32) -> bool {
        if depth > MAX_TYPE_DEPTH {
            return false;
        }
        if let Type::Var(index) = b {
            let (valid, had) = self.substitution(a, *index, depth);
            if valid || had {
                return valid;
            }
        }
        if let Type::Var(index) = a {
            return self.substitution(b, *index, depth).0;
        }
        if a.is_dyn_or_error() || b.is_dyn_or_error() {
            return true;
        }
        match (a, b) {
            (Type::Null, other) | (other, Type::Null) => matches!(
                other,
                Type::Null | Type::Opaque(..) | Type::Object(_) | Type::Duration | Type::Timestamp
            ),
            (Type::Type(_), Type::Type(_)) => true,
            (Type::List(a), Type::List(b)) => self.agree(a, b, depth + 1),
            (Type::Map(a), Type::Map(b)) => {
                self.agree(&a.0, &b.0, depth + 1) && self.agree(&a.1, &b.1, depth + 1)
            }
            (Type::Opaque(a, ap), Type::Opaque(b, bp)) => {
                a == b
                    && ap.len() == bp.len()
                    && ap
                        .iter()
                        .zip(bp.iter())
                        .all(|(a, b)| self.agree(a, b, depth + 1))
            }
            _ => a == b,
        }
    }

    /// Whether `a` may stand for the variable, and whether the variable stood for something.
    fn substitution(&mut self, a: &Type, index: u32, depth: u32) -> (bool, bool) {
        if matches!(a, Type::Var(same) if *same == index) {
            return (true, true);
        }
        let var = Type::Var(index);
        if let Some(bound) = self.find(index).cloned() {
            if *a == bound {
                return (true, true);
            }
            if self.agree(a, &bound, depth + 1) {
                let general = most_general(a, &bound);
                if self.free_of(&var, &general, 0) {
                    self.set(index, general);
                }
                return (true, true);
            }
            return (false, true);
        }
        if self.free_of(&var, a, 0) {
            self.set(index, a.clone());
            return (true, false);
        }
        (false, false)
    }

    /// Whether a variable does not occur in a type.
    fn free_of(&self, var: &Type, within: &Type, depth: u32) -> bool {
        if var == within || depth > MAX_TYPE_DEPTH {
            return false;
        }
        match within {
            Type::Var(index) => self
                .find(*index)
                .is_none_or(|t| self.free_of(var, t, depth + 1)),
            Type::List(element) => self.free_of(var, element, depth + 1),
            Type::Map(types) => {
                self.free_of(var, &types.0, depth + 1) && self.free_of(var, &types.1, depth + 1)
            }
            Type::Opaque(_, params) => params.iter().all(|p| self.free_of(var, p, depth + 1)),
            Type::Type(Some(inner)) => self.free_of(var, inner, depth + 1),
            _ => true,
        }
    }
}

/// The more general of two types that agree.
pub(super) fn most_general(a: &Type, b: &Type) -> Type {
    if equal_or_less_specific(a, b) { a } else { b }.clone()
}

fn equal_or_less_specific(a: &Type, b: &Type) -> bool {
    if matches!(a, Type::Dyn | Type::Var(_)) {
        return true;
    }
    if matches!(b, Type::Dyn | Type::Var(_)) {
        return false;
    }
    match (a, b) {
        (Type::Opaque(a, ap), Type::Opaque(b, bp)) => {
            a == b
                && ap.len() == bp.len()
                && ap
                    .iter()
                    .zip(bp.iter())
                    .all(|(a, b)| equal_or_less_specific(a, b))
        }
        (Type::List(a), Type::List(b)) => equal_or_less_specific(a, b),
        (Type::Map(a), Type::Map(b)) => {
            equal_or_less_specific(&a.0, &b.0) && equal_or_less_specific(&a.1, &b.1)
        }
        (Type::Type(_), Type::Type(_)) => true,
        _ => a == b,
    }
}
