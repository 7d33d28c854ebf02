//! Turns a checked expression into steps to run: names become places, constants are computed,
//! calls know their function. Must not run anything but constants.
//!
//! Kubernetes: cel-go `interpreter/planner.go` and `decorators.go`: what is folded here costs
//! nothing when run, as there.

use std::collections::HashSet;
use std::sync::Arc;

use super::ast::{ACCU, Expr, ExprKind, Fold, Literal};
use super::check::Checked;
use super::eval::{Machine, qualifier, unfit};
use super::functions::{self, Function};
use super::types::Type;
use super::value::{Failure, Key, Map, Value};

/// A step.
pub(super) enum Node {
    Const(Value),
    Attr(Attr),
    And(Box<(Node, Node)>),
    Or(Box<(Node, Node)>),
    Equal(Box<(Node, Node)>, bool),
    Call(Box<Call>),
    NotStrictlyFalse(Box<Node>),
    /// `or` and `orValue` of optionals.
    Else(Box<(Node, Node)>, bool),
    List(Vec<(Node, bool)>),
    Map(Vec<(Node, Node, bool)>),
    Fold(Box<FoldNode>),
    /// `x in [constants]`
    InSet(Box<Node>, Constants),
    /// `@result + list`, done in place.
    Append(usize, Box<Node>),
    /// `@result` with entries inserted, done in place: a key and a value, or a map.
    Insert(usize, Vec<Node>),
}

/// A call of a function.
pub(super) struct Call {
    pub name: &'static str,
    /// Empty when it is not known before running.
    pub overload: &'static str,
    pub function: Function,
    pub args: Vec<Node>,
}

/// Where a chain of fields begins.
pub(super) enum Root {
    Var(String),
    Local(usize),
    Node(Box<Node>),
    Cond(Box<(Node, Node, Node)>),
}

/// A value and the fields and elements that are taken from it one after the other.
pub(super) struct Attr {
    pub root: Root,
    pub steps: Vec<Step>,
    /// Whether only the presence of the last is asked.
    pub test: bool,
}

/// A field or an element.
pub(super) enum Step {
    Known(Value, bool),
    Computed(Node, bool),
}

pub(super) struct FoldNode {
    pub range: Node,
    pub two: bool,
    pub init: Node,
    pub cond: Node,
    pub step: Node,
    pub result: Node,
}

/// Makes the steps of an expression.
pub(super) fn plan(checked: &Checked, folding: bool) -> Result<Node, Failure> {
    let mut planner = Planner {
        checked,
        folding,
        scopes: Vec::new(),
    };
    planner.node(&checked.expr)
}

/// The value of a literal.
pub(super) fn literal(value: &Literal) -> Value {
    match value {
        Literal::Null => Value::Null,
        Literal::Bool(b) => Value::Bool(*b),
        Literal::Int(i) => Value::Int(*i),
        Literal::Uint(u) => Value::Uint(*u),
        Literal::Double(d) => Value::Double(*d),
        Literal::String(s) => Value::from(s.as_str()),
        Literal::Bytes(b) => Value::Bytes(b.as_slice().into()),
    }
}

struct Planner<'a> {
    checked: &'a Checked,
    folding: bool,
    scopes: Vec<String>,
}

impl Planner<'_> {
    fn local(&self, name: &str) -> Option<usize> {
        self.scopes.iter().rposition(|scope| scope == name)
    }

    fn node(&mut self, expr: &Expr) -> Result<Node, Failure> {
        match &expr.kind {
            ExprKind::Struct { .. } => Err(Failure::no_overload()),
            ExprKind::Literal(value) => Ok(Node::Const(literal(value))),
            ExprKind::Ident(name) => Ok(self.ident(expr, name)),
            ExprKind::Select {
                operand,
                field,
                test,
            } => {
                let operand = self.node(operand)?;
                let mut attr = attribute(operand);
                attr.steps
                    .push(Step::Known(Value::from(field.as_str()), false));
                attr.test = *test;
                Ok(Node::Attr(attr))
            }
            ExprKind::Call { .. } => self.call(expr),
            ExprKind::List(items) => self.list(items),
            ExprKind::Map(entries) => {
                let mut out = Vec::new();
                for entry in entries {
                    let key = self.node(&entry.key)?;
                    out.push((key, self.node(&entry.value)?, entry.optional));
                }
                if self.folding {
                    fold_map(out)
                } else {
                    Ok(Node::Map(out))
                }
            }
            ExprKind::Fold(fold) => self.fold(fold),
        }
    }

    fn ident(&self, expr: &Expr, name: &str) -> Node {
        let root = match self.local(name) {
            Some(slot) => Root::Local(slot),
            None => match self.checked.type_of(expr) {
                Type::Type(Some(of)) if super::decls::type_name(name).is_some() => {
                    return Node::Const(Value::Type(of.runtime_name().into()));
                }
                _ => Root::Var(name.to_owned()),
            },
        };
        Node::Attr(Attr {
            root,
            steps: Vec::new(),
            test: false,
        })
    }

    fn list(&mut self, items: &[(Expr, bool)]) -> Result<Node, Failure> {
        let mut out = Vec::new();
        for (item, optional) in items {
            out.push((self.node(item)?, *optional));
        }
        let constant = out.iter().map(|(node, optional)| match node {
            Node::Const(value) if !optional && self.folding => Some(value.clone()),
            _ => None,
        });
        match constant.collect::<Option<Vec<Value>>>() {
            Some(values) if self.folding => Ok(Node::Const(Value::list(values))),
            _ => Ok(Node::List(out)),
        }
    }

    fn fold(&mut self, fold: &Fold) -> Result<Node, Failure> {
        let init = self.node(&fold.init)?;
        let range = self.node(&fold.range)?;
        let depth = self.scopes.len();
        self.scopes.push(fold.accu.clone());
        self.scopes.push(fold.var.clone());
        self.scopes.push(fold.var2.clone().unwrap_or_default());
        let cond = self.node(&fold.cond)?;
        let step = self.node(&fold.step)?;
        // The result sees the running result alone, but the places stay as they are.
        if let Some(hidden) = self.scopes.get_mut(depth + 1..) {
            hidden.fill(String::new());
        }
        let result = self.node(&fold.result)?;
        self.scopes.truncate(depth);
        Ok(Node::Fold(Box::new(FoldNode {
            range,
            two: fold.var2.is_some(),
            init,
            cond,
            step,
            result,
        })))
    }

    fn call(&mut self, expr: &Expr) -> Result<Node, Failure> {
        let ExprKind::Call {
            function,
            target,
            args,
        } = &expr.kind
        else {
            return Err(Failure::no_overload());
        };
        if let Some(node) = self.in_place(function, args)? {
            return Ok(node);
        }
        let mut nodes = Vec::new();
        for arg in target.iter().map(AsRef::as_ref).chain(args) {
            nodes.push(self.node(arg)?);
        }
        let pair = |nodes: Vec<Node>| -> Result<Box<(Node, Node)>, Failure> {
            let mut nodes = nodes.into_iter();
            match (nodes.next(), nodes.next()) {
                (Some(a), Some(b)) => Ok(Box::new((a, b))),
                _ => Err(Failure::no_overload()),
            }
        };
        match function.as_str() {
            "_&&_" => return Ok(Node::And(pair(nodes)?)),
            "_||_" => return Ok(Node::Or(pair(nodes)?)),
            "_==_" => return Ok(Node::Equal(pair(nodes)?, true)),
            "_!=_" => return Ok(Node::Equal(pair(nodes)?, false)),
            "or" => return Ok(Node::Else(pair(nodes)?, false)),
            "orValue" => return Ok(Node::Else(pair(nodes)?, true)),
            "_?_:_" => return conditional(nodes),
            "_[_]" => return index(*pair(nodes)?, false),
            "_[?_]" | "_?._" => return index(*pair(nodes)?, true),
            "@not_strictly_false" => {
                let node = nodes.pop().ok_or_else(Failure::no_overload)?;
                return Ok(Node::NotStrictlyFalse(Box::new(node)));
            }
            _ => {}
        }
        self.function(expr, function, nodes)
    }

    fn function(&self, expr: &Expr, function: &str, nodes: Vec<Node>) -> Result<Node, Failure> {
        let overload = match self.checked.overloads(expr) {
            [one] => one.id,
            _ => "",
        };
        if self.folding
            && overload == "in_list"
            && let [_, Node::Const(Value::List(list))] = nodes.as_slice()
            && let Some(constants) = Constants::of(&list.items)
        {
            let empty = list.items.is_empty();
            let item = nodes.into_iter().next().ok_or_else(Failure::no_overload)?;
            if empty {
                return Ok(Node::Const(Value::Bool(false)));
            }
            return Ok(Node::InSet(Box::new(item), constants));
        }
        let Some((name, run)) = functions::find_for(function, overload) else {
            return Err(Failure::new(format!("no such overload: {function}")));
        };
        let conversion = matches!(
            function,
            "bool"
                | "bytes"
                | "double"
                | "duration"
                | "dyn"
                | "int"
                | "string"
                | "timestamp"
                | "uint"
                | "type"
        );
        if self.folding
            && conversion
            && let [Node::Const(value)] = nodes.as_slice()
        {
            let args = std::slice::from_ref(value);
            return match run(&mut Machine::constant(), args) {
                Err(Failure::Unfit) => Err(unfit(name, args)),
                result => Ok(Node::Const(result?)),
            };
        }
        if matches!(function, "matches" | "find" | "findAll")
            && let Some(Node::Const(Value::String(pattern))) = nodes.get(1)
        {
            crate::meta::go_regex::compile(pattern).map_err(Failure::Error)?;
        }
        Ok(Node::Call(Box::new(Call {
            name,
            overload,
            function: run,
            args: nodes,
        })))
    }

    /// `@result + x` and inserts into `@result`, which no one else can see yet.
    fn in_place(&mut self, function: &str, args: &[Expr]) -> Result<Option<Node>, Failure> {
        let Some((first, rest)) = args.split_first() else {
            return Ok(None);
        };
        if !matches!(&first.kind, ExprKind::Ident(name) if name == ACCU) {
            return Ok(None);
        }
        let Some(slot) = self.local(ACCU) else {
            return Ok(None);
        };
        match (function, rest) {
            ("_+_", [item]) if matches!(self.checked.type_of(first), Type::List(_)) => {
                let item = self.node(item)?;
                Ok(Some(Node::Append(slot, Box::new(item))))
            }
            ("cel.@mapInsert", rest) => {
                let mut nodes = Vec::new();
                for arg in rest {
                    nodes.push(self.node(arg)?);
                }
                Ok(Some(Node::Insert(slot, nodes)))
            }
            _ => Ok(None),
        }
    }
}

/// Constants of primitive types, of which a set can tell whether it has a value.
pub(super) struct Constants {
    keys: HashSet<Key>,
    /// The bits of floating point numbers that are not whole.
    fractions: HashSet<u64>,
}

impl Constants {
    fn of(items: &[Value]) -> Option<Self> {
        let (mut keys, mut fractions) = (HashSet::new(), HashSet::new());
        for item in items {
            match (item, item.key()) {
                (_, Some(key)) => {
                    keys.insert(key);
                }
                (Value::Double(d), None) => {
                    fractions.insert(d.to_bits());
                }
                _ => return None,
            }
        }
        Some(Self { keys, fractions })
    }

    /// Whether a value is among them; no number that is none is.
    pub(super) fn has(&self, item: &Value) -> bool {
        match (item, item.key()) {
            (_, Some(key)) => self.keys.contains(&key),
            (Value::Double(d), None) => !d.is_nan() && self.fractions.contains(&d.to_bits()),
            _ => false,
        }
    }
}

fn attribute(node: Node) -> Attr {
    match node {
        Node::Attr(attr) if !attr.test => attr,
        other => Attr {
            root: Root::Node(Box::new(other)),
            steps: Vec::new(),
            test: false,
        },
    }
}

fn index((operand, index): (Node, Node), optional: bool) -> Result<Node, Failure> {
    let mut attr = attribute(operand);
    attr.steps.push(match index {
        Node::Const(value) => Step::Known(qualifier(value)?, optional),
        other => Step::Computed(other, optional),
    });
    Ok(Node::Attr(attr))
}

fn conditional(nodes: Vec<Node>) -> Result<Node, Failure> {
    let mut nodes = nodes.into_iter();
    let (Some(test), Some(yes), Some(no)) = (nodes.next(), nodes.next(), nodes.next()) else {
        return Err(Failure::no_overload());
    };
    Ok(Node::Attr(Attr {
        root: Root::Cond(Box::new((test, yes, no))),
        steps: Vec::new(),
        test: false,
    }))
}

fn fold_map(entries: Vec<(Node, Node, bool)>) -> Result<Node, Failure> {
    let mut map = Map::default();
    for entry in &entries {
        match entry {
            (Node::Const(key), Node::Const(value), false) if key.key().is_some() => {
                if let Some(at) = key.key() {
                    map.0.insert(at, (key.clone(), value.clone()));
                }
            }
            _ => return Ok(Node::Map(entries)),
        }
    }
    Ok(Node::Const(Value::Map(Arc::new(map))))
}
