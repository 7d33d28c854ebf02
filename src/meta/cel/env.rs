//! The door: an environment of named, typed variables compiles expressions to programs, and
//! programs are run with values. Must not know what the variables are for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::{Checked, check};
use super::cost::{Range, estimate};
use super::decl::DeclType;
use super::eval::Machine;
use super::issue::Issues;
use super::literals;
use super::parser::parse;
use super::plan::{Node, plan};
use super::types::Type;
use super::value::{Failure, Outcome, Value};

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
        let issues = literals::wrong(&checked);
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
