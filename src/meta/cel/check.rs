//! Gives every node of an expression its type and every call its overloads, or says in
//! Kubernetes' words what does not fit. Must not evaluate.
//!
//! Kubernetes: cel-go `checker/checker.go`, with literals of one type only.

use std::collections::{BTreeMap, HashMap};

use super::ast::{Expr, ExprKind, Fold, Literal, MapEntry, NodeId};
use super::decl::escape;
use super::decls::{FUNCTIONS, Overload, type_name};
use super::issue::{Issue, Issues};
use super::parser::issue;
use super::types::{Mapping, ObjectType, Type, most_general};

/// A checked expression.
#[derive(Debug)]
pub(super) struct Checked {
    /// The tree; names of functions in namespaces are resolved.
    pub expr: Expr,
    /// The type of each node.
    types: HashMap<NodeId, Type>,
    /// The overloads that each call may be.
    overloads: HashMap<NodeId, Vec<&'static Overload>>,
    /// The variables of the environment that occur.
    pub used: Vec<String>,
}

impl Checked {
    /// The type of a node.
    pub(super) fn type_of(&self, expr: &Expr) -> &Type {
        self.types.get(&expr.id).unwrap_or(&Type::Dyn)
    }

    /// The overloads of a call; empty where none are needed.
    pub(super) fn overloads(&self, expr: &Expr) -> &[&'static Overload] {
        self.overloads.get(&expr.id).map_or(&[], Vec::as_slice)
    }
}

/// Checks an expression in which the given variables exist.
pub(super) fn check(
    source: &str,
    mut expr: Expr,
    variables: &BTreeMap<String, Type>,
) -> Result<Checked, Issues> {
    let mut checker = Checker {
        variables,
        scopes: Vec::new(),
        mapping: Mapping::default(),
        types: HashMap::new(),
        overloads: HashMap::new(),
        issues: Vec::new(),
        used: Vec::new(),
    };
    checker.check(&mut expr);
    if !checker.issues.is_empty() {
        return Err(Issues::new(source, checker.issues));
    }
    let types = checker
        .types
        .iter()
        .map(|(id, of)| (*id, checker.mapping.substitute(of, true)))
        .collect();
    Ok(Checked {
        expr,
        types,
        overloads: checker.overloads,
        used: checker.used,
    })
}

struct Checker<'a> {
    variables: &'a BTreeMap<String, Type>,
    scopes: Vec<(String, Type)>,
    mapping: Mapping,
    types: HashMap<NodeId, Type>,
    overloads: HashMap<NodeId, Vec<&'static Overload>>,
    issues: Vec<Issue>,
    used: Vec<String>,
}

impl Checker<'_> {
    fn report(&mut self, at: &Expr, message: String) {
        self.issues.push(issue(at.pos, message));
    }

    fn mismatch(&mut self, at: &Expr, expected: &Type, found: &Type) {
        self.report(
            at,
            format!("expected type '{expected}' but found '{found}'"),
        );
    }

    fn check(&mut self, expr: &mut Expr) -> Type {
        let found = match &mut expr.kind {
            ExprKind::Literal(value) => literal(value),
            ExprKind::Ident(_) => self.ident(expr),
            ExprKind::Select { .. } => self.select(expr),
            ExprKind::Call { .. } => self.call(expr),
            ExprKind::List(items) => self.list(items),
            ExprKind::Map(entries) => self.map(entries),
            ExprKind::Struct { name } => {
                let message = match self.lookup(name) {
                    Some(Type::Type(Some(of))) => {
                        format!("'{}' is not a message type", of.runtime_name())
                    }
                    Some(other) => format!("'{}' is not a type", other.runtime_name()),
                    None => format!("undeclared reference to '{name}' (in container '')"),
                };
                self.report(expr, message);
                Type::Error
            }
            ExprKind::Fold(fold) => self.fold(fold),
        };
        self.types.insert(expr.id, found.clone());
        found
    }

    /// The type of a name, if it is declared.
    fn lookup(&mut self, name: &str) -> Option<Type> {
        if let Some((_, found)) = self.scopes.iter().rev().find(|(scope, _)| scope == name) {
            return Some(found.clone());
        }
        if let Some(found) = self.variables.get(name) {
            if !self.used.iter().any(|used| used == name) {
                self.used.push(name.to_owned());
            }
            return Some(found.clone());
        }
        type_name(name).map(|of| Type::Type(Some(of.into())))
    }

    fn undeclared(&mut self, at: &Expr, name: &str) -> Type {
        self.report(
            at,
            format!("undeclared reference to '{name}' (in container '')"),
        );
        Type::Error
    }

    fn ident(&mut self, expr: &Expr) -> Type {
        let ExprKind::Ident(name) = &expr.kind else {
            return Type::Error;
        };
        match self.lookup(name) {
            Some(found) => found,
            None => self.undeclared(expr, name),
        }
    }

    fn select(&mut self, expr: &mut Expr) -> Type {
        if let Some(name) = expr.qualified_name()
            && let Some(found) = self.lookup(&name)
        {
            expr.kind = ExprKind::Ident(name);
            return found;
        }
        let pos = expr.pos;
        let ExprKind::Select {
            operand,
            field,
            test,
        } = &mut expr.kind
        else {
            return Type::Error;
        };
        let found = self.field(pos, operand, field, false);
        if *test { Type::Bool } else { found }
    }

    fn field(&mut self, pos: u32, operand: &mut Expr, field: &mut String, optional: bool) -> Type {
        let of = self.check(operand);
        let of = self.mapping.substitute(&of, false);
        let (target, inside) = match of.unwrap_optional() {
            Some(inner) => (inner, true),
            None => (&of, false),
        };
        let result = match target {
            Type::Map(types) => types.1.clone(),
            Type::Object(object) => self.object_field(pos, object, field),
            Type::Var(_) => {
                self.mapping.assignable(&Type::Dyn, target);
                Type::Dyn
            }
            Type::Dyn | Type::Error => Type::Dyn,
            other => {
                let message = format!("type '{other}' does not support field selection");
                self.issues.push(issue(pos, message));
                Type::Dyn
            }
        };
        let result = self.mapping.substitute(&result, false);
        if inside || optional {
            return Type::optional(result);
        }
        result
    }

    /// The type of an object's field. A reserved word may stand for its escaped form.
    fn object_field(&mut self, pos: u32, object: &ObjectType, field: &mut String) -> Type {
        if let Some(found) = object.fields.get(field) {
            return found.clone();
        }
        if let Some(escaped) = escape(field).filter(|escaped| escaped.starts_with("__"))
            && let Some(found) = object.fields.get(&escaped)
        {
            *field = escaped;
            return found.clone();
        }
        self.issues
            .push(issue(pos, format!("undefined field '{field}'")));
        Type::Error
    }

    fn call(&mut self, expr: &mut Expr) -> Type {
        let (pos, id) = (expr.pos, expr.id);
        let ExprKind::Call {
            function,
            target,
            args,
        } = &mut expr.kind
        else {
            return Type::Error;
        };
        if function == "_?._" {
            return self.optional_select(pos, id, args);
        }
        let mut types: Vec<Type> = args.iter_mut().map(|arg| self.check(arg)).collect();
        if let Some(name) = target.as_ref().and_then(|t| t.qualified_name()) {
            let name = format!("{name}.{function}");
            if FUNCTIONS.contains_key(name.as_str()) {
                *function = name;
                *target = None;
            }
        }
        let member = match target {
            Some(target) => {
                types.insert(0, self.check(target));
                true
            }
            None => false,
        };
        let Some((name, overloads)) = FUNCTIONS.get_key_value(function.as_str()) else {
            let name = function.clone();
            return self.undeclared(expr, &name);
        };
        if matches!(*name, "_&&_" | "_||_") {
            return self.logic(id, args, &types, overloads);
        }
        let Some((result, matched)) = self.resolve(overloads, member, &types) else {
            let types: Vec<String> = types
                .iter()
                .map(|of| self.mapping.substitute(of, true).to_string())
                .collect();
            let signature = match types.split_first() {
                Some((receiver, rest)) if member => format!("{receiver}.({})", rest.join(", ")),
                _ => format!("({})", types.join(", ")),
            };
            let message =
                format!("found no matching overload for '{name}' applied to '{signature}'");
            self.report(expr, message);
            return Type::Error;
        };
        self.overloads.insert(id, matched);
        result
    }

    fn logic(
        &mut self,
        id: NodeId,
        args: &[Expr],
        types: &[Type],
        overloads: &'static [Overload],
    ) -> Type {
        let mut result = Type::Bool;
        for (arg, of) in args.iter().zip(types) {
            if !self.mapping.assignable(of, &Type::Bool) {
                let found = self.mapping.substitute(of, false);
                self.mismatch(arg, &Type::Bool, &found);
                result = Type::Error;
            }
        }
        self.overloads.insert(id, overloads.iter().collect());
        result
    }

    fn optional_select(&mut self, pos: u32, id: NodeId, args: &mut [Expr]) -> Type {
        let [operand, field] = args else {
            return Type::Error;
        };
        self.types.insert(field.id, Type::String);
        let ExprKind::Literal(Literal::String(name)) = &mut field.kind else {
            return Type::Error;
        };
        let overloads = FUNCTIONS
            .get("_?._")
            .map_or(Vec::new(), |all| all.iter().collect());
        self.overloads.insert(id, overloads);
        self.field(pos, operand, name, true)
    }

    /// The result and the overloads that fit.
    fn resolve(
        &mut self,
        overloads: &'static [Overload],
        member: bool,
        types: &[Type],
    ) -> Option<(Type, Vec<&'static Overload>)> {
        let mut matched = Vec::new();
        let mut result: Option<Type> = None;
        for overload in overloads.iter().filter(|o| o.member == member) {
            if overload.args.len() != types.len() {
                continue;
            }
            let fresh: Vec<(&str, Type)> = overload
                .params
                .iter()
                .map(|name| (*name, self.mapping.fresh()))
                .collect();
            let wanted: Vec<Type> = overload.args.iter().map(|t| fill(t, &fresh)).collect();
            if !self.mapping.assignable_all(types, &wanted) {
                continue;
            }
            matched.push(overload);
            let found = self
                .mapping
                .substitute(&fill(&overload.result, &fresh), false);
            result = Some(match result {
                None => found,
                Some(before) if before == Type::Dyn || before == found => before,
                Some(_) => Type::Dyn,
            });
        }
        Some((result?, matched))
    }

    /// The type that two entries of a literal have together.
    fn join(&mut self, before: Option<Type>, now: Type) -> Type {
        let Some(before) = before else {
            return now;
        };
        if self.mapping.assignable(&before, &now) {
            return most_general(&before, &now);
        }
        // Told by `literals`, which lets the arguments of `format` be.
        Type::Dyn
    }

    /// What an optional entry holds.
    fn unwrapped(&mut self, at: &Expr, of: Type, optional: bool) -> Type {
        if !optional {
            return of;
        }
        match of.unwrap_optional() {
            Some(inner) => inner.clone(),
            None => {
                if of != Type::Dyn {
                    self.mismatch(at, &Type::optional(of.clone()), &of);
                }
                of
            }
        }
    }

    fn list(&mut self, items: &mut [(Expr, bool)]) -> Type {
        let mut element = None;
        for (item, optional) in items {
            let of = self.check(item);
            let of = self.unwrapped(item, of, *optional);
            element = Some(self.join(element, of));
        }
        Type::list(element.unwrap_or_else(|| self.mapping.fresh()))
    }

    fn map(&mut self, entries: &mut [MapEntry]) -> Type {
        let (mut keys, mut values) = (None, None);
        for entry in entries {
            let key = self.check(&mut entry.key);
            keys = Some(self.join(keys, key));
            let value = self.check(&mut entry.value);
            let value = self.unwrapped(&entry.value, value, entry.optional);
            values = Some(self.join(values, value));
        }
        let key = keys.unwrap_or_else(|| self.mapping.fresh());
        Type::map(key, values.unwrap_or_else(|| self.mapping.fresh()))
    }

    fn fold(&mut self, fold: &mut Fold) -> Type {
        let range = self.check(&mut fold.range);
        let accu = self.check(&mut fold.init);
        let range = self.mapping.substitute(&range, false);
        let depth = self.scopes.len();
        self.scopes.push((fold.accu.clone(), accu.clone()));
        let (first, second) = match &range {
            Type::List(element) if fold.var2.is_some() => (Type::Int, (**element).clone()),
            Type::List(element) => ((**element).clone(), Type::Error),
            Type::Map(types) => (types.0.clone(), types.1.clone()),
            Type::Dyn | Type::Error | Type::Var(_) => {
                self.mapping.assignable(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be \
                     list, map, or dynamic)"
                );
                self.report(&fold.range, message);
                (Type::Error, Type::Error)
            }
        };
        self.scopes.push((fold.var.clone(), first));
        if let Some(var) = &fold.var2 {
            self.scopes.push((var.clone(), second));
        }
        let cond = self.check(&mut fold.cond);
        self.assert(&fold.cond, &Type::Bool, &cond);
        let step = self.check(&mut fold.step);
        self.assert(&fold.step, &accu, &step);
        self.scopes.truncate(depth + 1);
        let result = self.check(&mut fold.result);
        self.scopes.truncate(depth);
        self.mapping.substitute(&result, false)
    }

    fn assert(&mut self, at: &Expr, expected: &Type, found: &Type) {
        if !self.mapping.assignable(expected, found) {
            self.mismatch(at, expected, found);
        }
    }
}

fn literal(value: &Literal) -> Type {
    match value {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}

/// A declared type with its parameters replaced.
fn fill(of: &Type, with: &[(&str, Type)]) -> Type {
    match of {
        Type::Param(name) => with
            .iter()
            .find(|(param, _)| param == name)
            .map_or(Type::Dyn, |(_, to)| to.clone()),
        Type::List(element) => Type::list(fill(element, with)),
        Type::Map(types) => Type::map(fill(&types.0, with), fill(&types.1, with)),
        Type::Opaque(name, params) => {
            Type::Opaque(name, params.iter().map(|p| fill(p, with)).collect())
        }
        Type::Type(Some(inner)) => Type::Type(Some(fill(inner, with).into())),
        _ => of.clone(),
    }
}
