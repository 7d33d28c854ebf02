//! The door: an environment of named, typed variables compiles expressions to programs, and
//! programs are run with values. Must not know what the variables are for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::{Expr, ExprKind, Literal};
use super::check::{Checked, check};
use super::cost::{Range, estimate};
use super::decl::DeclType;
use super::eval::Machine;
use super::issue::{Issue, Issues};
use super::parser::{issue, parse};
use super::plan::{Node, literal, plan};
use super::types::Type;
use super::value::{Outcome, Value};
use super::{functions, value::Failure};

/// Most that one evaluation may cost. Kubernetes: `PerCallLimit`.
pub const PER_CALL_LIMIT: u64 = 1_000_000;
/// Most that all evaluations for one object may cost. Kubernetes: `RuntimeCELCostBudget`.
pub const RUNTIME_BUDGET: u64 = 10_000_000;
/// Largest request (bytes) that sizes are estimated by. Kubernetes: `MaxRequestSizeBytes`.
pub const MAX_REQUEST_SIZE: u64 = 3 * 1024 * 1024;

/// Named, typed variables.
#[derive(Clone, Debug)]
pub struct Env {
    /// Whether constants are computed when compiling, which makes them free.
    folding: bool,
    variables: BTreeMap<String, Type>,
    declared: BTreeMap<String, Arc<DeclType>>,
}

/// Why an expression does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It cannot be read, or its types do not agree.
    #[error("compilation failed: {0}")]
    Issues(Issues),
    /// A constant in it cannot be computed.
    #[error("program instantiation failed: {0}")]
    Plan(String),
}

/// A compiled expression.
pub struct Program {
    node: Node,
    output: Type,
    cost: Range,
    used: Vec<String>,
}

/// The result of a run, and what it cost.
#[derive(Debug)]
pub struct Evaluation {
    /// The value, or why there is none.
    pub result: Outcome,
    /// The cost, also where there is no value.
    pub cost: u64,
}

impl Env {
    /// No variables, all functions.
    pub fn new() -> Self {
        Self {
            folding: true,
            variables: BTreeMap::new(),
            declared: BTreeMap::new(),
        }
    }

    /// The same, with nothing computed beforehand.
    #[cfg(test)]
    pub(super) fn unfolded(mut self) -> Self {
        self.folding = false;
        self
    }

    /// With a variable of a type; nothing is known of its size.
    #[must_use]
    pub fn with_type(mut self, name: &str, of: Type) -> Self {
        self.variables.insert(name.to_owned(), of);
        self
    }

    /// With a variable of a declared type; `type_name` is what errors call its objects.
    #[must_use]
    pub fn with(mut self, name: &str, of: &Arc<DeclType>, type_name: &str) -> Self {
        self.variables
            .insert(name.to_owned(), of.cel_type(type_name));
        self.declared.insert(name.to_owned(), Arc::clone(of));
        self
    }

    /// With an optional variable of a declared type.
    #[must_use]
    pub fn with_optional(mut self, name: &str, of: &Arc<DeclType>, type_name: &str) -> Self {
        let inner = of.cel_type(type_name);
        self.variables
            .insert(name.to_owned(), Type::optional(inner));
        self.declared.insert(name.to_owned(), Arc::clone(of));
        self
    }

    /// Compiles an expression.
    pub fn compile(&self, source: &str) -> Result<Program, CompileError> {
        let expr = parse(source).map_err(CompileError::Issues)?;
        let checked = check(source, expr, &self.variables).map_err(CompileError::Issues)?;
        let mut issues = Vec::new();
        bad_literals(&checked.expr, &mut issues);
        if !issues.is_empty() {
            return Err(CompileError::Issues(Issues::new(source, issues)));
        }
        let node =
            plan(&checked, self.folding).map_err(|why| CompileError::Plan(why.to_string()))?;
        let cost = estimate(&checked, &self.declared);
        let output = checked.type_of(&checked.expr).clone();
        let Checked { used, .. } = checked;
        Ok(Program {
            node,
            output,
            cost,
            used,
        })
    }
}

impl Default for Env {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("output", &self.output)
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}

impl Program {
    /// The type of the result.
    pub fn output(&self) -> &Type {
        &self.output
    }

    /// What a run costs at least and at most.
    pub fn cost(&self) -> Range {
        self.cost
    }

    /// Whether a variable occurs in it.
    pub fn uses(&self, variable: &str) -> bool {
        self.used.iter().any(|used| used == variable)
    }

    /// Runs it, up to a cost.
    pub fn run(&self, variables: &[(&str, Value)], limit: u64) -> Evaluation {
        let mut machine = Machine::new(variables, limit);
        let result = machine.eval(&self.node);
        let result = match result {
            Ok(Value::Invalid(why)) => Err(Failure::new(why.as_ref())),
            other => other,
        };
        Evaluation {
            result,
            cost: machine.cost(),
        }
    }
}

/// Literals that the function they are given to cannot read.
/// Kubernetes: the validators of durations, timestamps and patterns.
fn bad_literals(expr: &Expr, issues: &mut Vec<Issue>) {
    if let ExprKind::Call { function, args, .. } = &expr.kind
        && matches!(function.as_str(), "duration" | "timestamp" | "matches")
        && let Some(arg) = args.first()
        && let ExprKind::Literal(value) = &arg.kind
        && !readable(function, value)
    {
        issues.push(issue(arg.pos, format!("invalid {function} argument")));
    }
    for child in expr.children() {
        bad_literals(child, issues);
    }
}

fn readable(function: &str, value: &Literal) -> bool {
    if function == "matches" {
        return match value {
            Literal::String(pattern) => functions::regex::compile(pattern).is_ok(),
            _ => true,
        };
    }
    match functions::find(function) {
        Some((_, run)) => run(&mut Machine::constant(), &[literal(value)]).is_ok(),
        None => true,
    }
}
