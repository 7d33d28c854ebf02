//! What an expression costs at least and at most, told before it runs: from the sizes that the
//! schema allows. Must not run anything.
//!
//! Kubernetes: cel-go `checker/cost.go`; what calls cost is in `call_cost`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::ast::{Expr, ExprKind, Fold, Literal, NodeId};
use super::call_cost;
use super::check::Checked;
use super::decl::DeclType;
use super::types::Type;

/// A range, of sizes or of costs. Sums and products stop at the largest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// At least.
    pub min: u64,
    /// At most.
    pub max: u64,
}

impl Range {
    /// Any size.
    pub const UNKNOWN: Self = Self {
        min: 0,
        max: u64::MAX,
    };

    /// Exactly this.
    pub const fn fixed(value: u64) -> Self {
        Self {
            min: value,
            max: value,
        }
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            min: self.min.saturating_add(other.min),
            max: self.max.saturating_add(other.max),
        }
    }

    /// The product.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        Self {
            min: self.min.saturating_mul(other.min),
            max: self.max.saturating_mul(other.max),
        }
    }

    /// The product with a factor, rounded up.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the conversion stops at the largest number; the loss is Kubernetes' own"
        )]
        let scale = |value: u64| (value as f64 * factor).ceil() as u64;
        Self {
            min: scale(self.min),
            max: scale(self.max),
        }
    }

    /// The range that has both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }
}

/// Sizes of the keys and values of a list or a map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    list: bool,
    key: Range,
    value: Range,
}

impl Entry {
    fn union(self, other: Self) -> Self {
        Self {
            list: self.list,
            key: self.key.union(other.key),
            value: self.value.union(other.value),
        }
    }
}

#[derive(Clone, Debug)]
struct Local {
    path: Vec<String>,
    size: Option<Range>,
    entry: Option<Entry>,
}

/// Estimates an expression over variables of which the declared types are given.
pub(super) fn estimate(checked: &Checked, roots: &BTreeMap<String, Arc<DeclType>>) -> Range {
    let mut coster = Coster {
        checked,
        roots,
        paths: HashMap::new(),
        locals: HashMap::new(),
        sizes: HashMap::new(),
        entries: HashMap::new(),
    };
    coster.cost(&checked.expr)
}

pub(super) struct Coster<'a> {
    pub(super) checked: &'a Checked,
    roots: &'a BTreeMap<String, Arc<DeclType>>,
    paths: HashMap<NodeId, Vec<String>>,
    locals: HashMap<String, Vec<Local>>,
    sizes: HashMap<NodeId, Range>,
    entries: HashMap<NodeId, Entry>,
}

/// An argument of a call: what is known of it.
pub(super) struct Arg<'a> {
    pub expr: &'a Expr,
    pub of: &'a Type,
    pub path: Vec<String>,
    pub size: Range,
    pub cost: Range,
}

const ONE: Range = Range::fixed(1);

impl<'a> Coster<'a> {
    fn cost(&mut self, expr: &'a Expr) -> Range {
        match &expr.kind {
            ExprKind::Literal(_) | ExprKind::Struct { .. } => Range::fixed(0),
            ExprKind::Ident(name) => {
                let path = match self.local(name) {
                    Some(local) => local.path.clone(),
                    None => vec![name.clone()],
                };
                self.paths.insert(expr.id, path);
                ONE
            }
            ExprKind::Select {
                operand,
                field,
                test,
            } => {
                let mut cost = self.cost(operand);
                if *test {
                    return cost;
                }
                if matches!(
                    self.checked.type_of(operand),
                    Type::Map(_) | Type::Object(_)
                ) {
                    cost = cost.plus(ONE);
                }
                let mut path = self.path(operand);
                path.push(field.clone());
                self.paths.insert(expr.id, path);
                cost
            }
            ExprKind::Call { .. } => self.call(expr),
            ExprKind::List(items) => {
                let items = items.iter().map(|(item, _)| item);
                let (cost, sizes) = self.parts(items);
                self.entries.insert(
                    expr.id,
                    Entry {
                        list: true,
                        key: ONE,
                        value: sizes,
                    },
                );
                cost.plus(Range::fixed(10))
            }
            ExprKind::Map(entries) => {
                let (keys, key) = self.parts(entries.iter().map(|entry| &entry.key));
                let (values, value) = self.parts(entries.iter().map(|entry| &entry.value));
                self.entries.insert(
                    expr.id,
                    Entry {
                        list: false,
                        key,
                        value,
                    },
                );
                keys.plus(values).plus(Range::fixed(30))
            }
            ExprKind::Fold(fold) => self.fold(expr, fold),
        }
    }

    /// The cost of the parts of a literal, and the range of their sizes.
    fn parts(&mut self, parts: impl Iterator<Item = &'a Expr>) -> (Range, Range) {
        let mut cost = Range::fixed(0);
        let mut sizes: Option<Range> = None;
        for part in parts {
            cost = cost.plus(self.cost(part));
            let size = self.size(part).unwrap_or(Range::UNKNOWN);
            sizes = Some(sizes.map_or(size, |sizes| sizes.union(size)));
        }
        (cost, sizes.unwrap_or(Range::fixed(0)))
    }

    fn call(&mut self, expr: &'a Expr) -> Range {
        let ExprKind::Call {
            function,
            target,
            args,
        } = &expr.kind
        else {
            return Range::fixed(0);
        };
        if let ("dyn", [arg]) = (function.as_str(), args.as_slice()) {
            let cost = self.cost(arg);
            self.copy_size(expr, arg);
            return cost.plus(ONE);
        }
        let args: Vec<Arg<'a>> = args.iter().map(|arg| self.arg(arg)).collect();
        let overloads = self.checked.overloads(expr);
        if overloads.is_empty() {
            return Range::fixed(0);
        }
        let target = target.as_deref().map(|target| self.arg(target));
        let mut sum = Range::fixed(0);
        if let Some(target) = &target {
            sum = sum.plus(target.cost);
        }
        let mut total: Option<Range> = None;
        let mut result: Option<Range> = None;
        for overload in overloads {
            let call = call_cost::Call {
                function,
                overload: overload.id,
                target: target.as_ref(),
                args: &args,
            };
            let (cost, size) = call.estimate(self);
            total = Some(total.map_or(cost, |total| total.union(cost)));
            result = match (result, size) {
                (Some(a), Some(b)) => Some(a.union(b)),
                (a, b) => a.or(b),
            };
            self.containers(expr, overload.id, &args, &mut result);
            result = result.or_else(|| self.size(expr));
        }
        if let Some(size) = result {
            self.sizes.insert(expr.id, size);
        }
        sum.plus(total.unwrap_or(Range::fixed(0)))
    }

    /// What is known of the parts of a call's result.
    fn containers(
        &mut self,
        expr: &Expr,
        overload: &str,
        args: &[Arg<'_>],
        result: &mut Option<Range>,
    ) {
        match (overload, args) {
            ("index_list" | "index_map", [operand, ..]) => {
                if let Some(entry) = self.entry(operand.expr) {
                    *result = Some(entry.value);
                }
                let mut path = self.path(operand.expr);
                let step = if overload == "index_list" {
                    "@items"
                } else {
                    "@values"
                };
                path.push(step.to_owned());
                self.paths.insert(expr.id, path);
            }
            ("conditional", [_, a, b]) | ("add_list" | "add_string" | "add_bytes", [a, b]) => {
                if let (Some(a), Some(b)) = (self.entry(a.expr), self.entry(b.expr)) {
                    self.entries.insert(expr.id, a.union(b));
                }
            }
            _ => {}
        }
    }

    fn arg(&mut self, expr: &'a Expr) -> Arg<'a> {
        let cost = self.cost(expr);
        let mut path = self.path(expr);
        if path.first().is_some_and(|first| first == super::ast::ACCU) {
            path.clear();
        }
        Arg {
            expr,
            of: self.checked.type_of(expr),
            path,
            size: self.size(expr).unwrap_or(Range::UNKNOWN),
            cost,
        }
    }

    fn fold(&mut self, expr: &'a Expr, fold: &'a Fold) -> Range {
        let mut sum = self.cost(&fold.range);
        sum = sum.plus(self.cost(&fold.init));
        let local = Local {
            path: self.path(&fold.init),
            size: self.size(&fold.init),
            entry: self.entry(&fold.init),
        };
        self.push(&fold.accu, local);
        if is_bind(fold) {
            sum = sum.plus(self.cost(&fold.result));
            self.pop(&fold.accu);
            self.copy_size(expr, &fold.result);
            return sum;
        }
        let list = match self.entry(&fold.range) {
            Some(entry) => entry.list,
            None => matches!(self.checked.type_of(&fold.range), Type::List(_)),
        };
        match &fold.var2 {
            Some(second) => {
                let step = if list { "@indices" } else { "@keys" };
                self.push_part(&fold.var, fold, step, false);
                let step = if list { "@items" } else { "@values" };
                self.push_part(second, fold, step, true);
            }
            None if list => self.push_part(&fold.var, fold, "@items", true),
            None => self.push_part(&fold.var, fold, "@keys", false),
        }
        let cond = self.cost(&fold.cond);
        let step = self.cost(&fold.step);
        self.pop(&fold.var);
        if let Some(second) = &fold.var2 {
            self.pop(second);
        }
        sum = sum.plus(self.cost(&fold.result));
        self.pop(&fold.accu);
        let count = self.size(&fold.range).unwrap_or(Range::UNKNOWN);
        match &fold.init.kind {
            ExprKind::Literal(_) => {
                if let Some(size) = self.size(&fold.init) {
                    self.sizes.insert(expr.id, size);
                }
            }
            ExprKind::List(_) | ExprKind::Map(_) => {
                self.sizes.insert(expr.id, count);
                if let Some(entry) = self.entry(&fold.step) {
                    self.entries.insert(expr.id, entry);
                }
            }
            _ => {}
        }
        sum.plus(count.times(step.plus(cond)))
    }

    fn push(&mut self, name: &str, local: Local) {
        self.locals.entry(name.to_owned()).or_default().push(local);
    }

    fn push_part(&mut self, name: &str, fold: &Fold, step: &str, value: bool) {
        let mut path = self.path(&fold.range);
        path.push(step.to_owned());
        let entry = self.entry(&fold.range);
        let local = Local {
            path,
            size: entry.map(|entry| if value { entry.value } else { entry.key }),
            entry: None,
        };
        self.push(name, local);
    }

    fn pop(&mut self, name: &str) {
        if let Some(stack) = self.locals.get_mut(name) {
            stack.pop();
        }
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.get(name)?.last()
    }

    fn path(&self, expr: &Expr) -> Vec<String> {
        if let ExprKind::Ident(name) = &expr.kind
            && let Some(local) = self.local(name)
        {
            return local.path.clone();
        }
        self.paths.get(&expr.id).cloned().unwrap_or_default()
    }

    fn copy_size(&mut self, to: &Expr, from: &Expr) {
        if let Some(size) = self.size(from) {
            self.sizes.insert(to.id, size);
        }
        if let Some(entry) = self.entry(from) {
            self.entries.insert(to.id, entry);
        }
    }

    pub(super) fn entry(&self, expr: &Expr) -> Option<Entry> {
        if let Some(entry) = self.entries.get(&expr.id) {
            return Some(*entry);
        }
        match &expr.kind {
            ExprKind::Ident(name) => self.local(name)?.entry,
            _ => None,
        }
    }

    fn size(&self, expr: &Expr) -> Option<Range> {
        if let Some(size) = self.sizes.get(&expr.id) {
            return Some(*size);
        }
        if let Some(size) = literal_size(expr) {
            return Some(Range::fixed(size));
        }
        if let Some(size) = self.declared(&self.path(expr)) {
            return Some(size);
        }
        if is_scalar(self.checked.type_of(expr)) {
            return Some(ONE);
        }
        match &expr.kind {
            ExprKind::Ident(name) => self.local(name)?.size,
            _ => None,
        }
    }

    /// The size that the schema allows at a path.
    pub(super) fn declared(&self, path: &[String]) -> Option<Range> {
        let (root, rest) = path.split_first()?;
        // Kubernetes does not ask what a path begins with; what is not a variable (a type's name,
        // the elements of something computed) is looked up from the one variable there is.
        let root = self.roots.get(root).or_else(|| self.roots.values().next());
        let mut at = root?.as_ref();
        for step in rest {
            if step == "@keys" && at.is_map() {
                return Some(Range::fixed(0));
            }
            at = at.step(step)?;
        }
        Some(Range {
            min: 0,
            max: at.max_elements,
        })
    }
}

fn is_bind(fold: &Fold) -> bool {
    matches!(&fold.range.kind, ExprKind::List(items) if items.is_empty())
        && matches!(&fold.cond.kind, ExprKind::Literal(Literal::Bool(false)))
}

fn literal_size(expr: &Expr) -> Option<u64> {
    let size = match &expr.kind {
        ExprKind::Literal(Literal::String(s)) => s.chars().count(),
        ExprKind::Literal(Literal::Bytes(b)) => b.len(),
        ExprKind::Literal(_) => 1,
        ExprKind::List(items) => items.len(),
        ExprKind::Map(entries) => entries.len(),
        _ => return None,
    };
    Some(size as u64)
}

fn is_scalar(of: &Type) -> bool {
    match of {
        Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint => {
            true
        }
        other => other.unwrap_optional().is_some_and(is_scalar),
    }
}
