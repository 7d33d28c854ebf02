//! Runs the steps of an expression and counts what they cost, up to a limit. Must not know how
//! the steps were made.
//!
//! Kubernetes: cel-go `interpreter/interpretable.go` (what absorbs errors, what is evaluated at
//! all) and `runtimecost.go` (what costs what).

use std::sync::Arc;

use super::plan::{Attr, Call, FoldNode, Node, Root, Step};
use super::runtime_cost;
use super::value::{Failure, Map, Outcome, Value, Work, concat, equal};

/// Cost of a name and of each field and element.
const SELECT: u64 = 1;
/// Cost of making a list.
const LIST: u64 = 10;
/// Cost of making a map.
const MAP: u64 = 30;

/// The state of one evaluation.
pub(super) struct Machine<'a> {
    vars: &'a [(&'a str, Value)],
    scopes: Vec<Outcome>,
    cost: u64,
    limit: u64,
    /// Steps of walking values.
    pub work: Work,
}

impl<'a> Machine<'a> {
    /// To evaluate with variables, up to a cost.
    pub(super) fn new(vars: &'a [(&'a str, Value)], limit: u64) -> Self {
        Self {
            vars,
            scopes: Vec::new(),
            cost: 0,
            limit,
            work: Work::default(),
        }
    }

    /// To evaluate constants.
    pub(super) fn constant() -> Self {
        Self::new(&[], u64::MAX)
    }

    /// What was spent.
    pub(super) fn cost(&self) -> u64 {
        self.cost
    }

    fn spend(&mut self, cost: u64) -> Result<(), Failure> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.limit {
            return Err(Failure::Cancelled);
        }
        Ok(())
    }

    /// Runs a step.
    pub(super) fn eval(&mut self, node: &Node) -> Outcome {
        match node {
            Node::Const(value) => Ok(value.clone()),
            Node::Attr(attr) => self.attr(attr),
            Node::And(terms) => self.logic(&terms.0, &terms.1, false),
            Node::Or(terms) => self.logic(&terms.0, &terms.1, true),
            Node::Equal(sides, wanted) => self.equal(&sides.0, &sides.1, *wanted),
            Node::Call(call) => self.call(call),
            Node::NotStrictlyFalse(inner) => self.not_strictly_false(inner),
            Node::Else(sides, unwrap) => self.or_else(&sides.0, &sides.1, *unwrap),
            Node::List(items) => self.list(items),
            Node::Map(entries) => self.map(entries),
            Node::Fold(fold) => self.fold(fold),
            Node::InSet(item, set) => {
                let item = self.eval(item)?;
                Ok(Value::Bool(set.has(&item)))
            }
            Node::Append(slot, items) => self.append(*slot, items),
            Node::Insert(slot, args) => self.insert(*slot, args),
        }
    }

    fn not_strictly_false(&mut self, inner: &Node) -> Outcome {
        let value = self.eval(inner);
        self.spend(1)?;
        match value {
            Err(Failure::Cancelled) => Err(Failure::Cancelled),
            Ok(Value::Bool(b)) => Ok(Value::Bool(b)),
            _ => Ok(Value::Bool(true)),
        }
    }

    /// `&&` and `||`: the side that decides wins over an error of the other.
    fn logic(&mut self, left: &Node, right: &Node, decides: bool) -> Outcome {
        let mut failure = None;
        for node in [left, right] {
            match self.eval(node) {
                Ok(Value::Bool(b)) if b == decides => return Ok(Value::Bool(decides)),
                Ok(Value::Bool(_)) => {}
                Err(Failure::Cancelled) => return Err(Failure::Cancelled),
                Err(why) => failure = failure.or(Some(why)),
                Ok(Value::Invalid(why)) => failure = failure.or(Some(Failure::new(why.as_ref()))),
                Ok(_) => failure = failure.or_else(|| Some(Failure::no_overload())),
            }
        }
        match failure {
            Some(failure) => Err(failure),
            None => Ok(Value::Bool(!decides)),
        }
    }

    fn equal(&mut self, left: &Node, right: &Node, wanted: bool) -> Outcome {
        let left = self.eval(left);
        let right = self.absorb(right)?;
        let cost = runtime_cost::of_equality(&left, &right);
        self.spend(cost)?;
        let same = equal(&left?, &right?, &mut self.work)?;
        Ok(Value::Bool(same == wanted))
    }

    /// Evaluates; only a reached limit is passed on at once.
    fn absorb(&mut self, node: &Node) -> Result<Outcome, Failure> {
        match self.eval(node) {
            Err(Failure::Cancelled) => Err(Failure::Cancelled),
            other => Ok(other),
        }
    }

    fn call(&mut self, call: &Call) -> Outcome {
        let mut args = Vec::with_capacity(call.args.len());
        let mut failure = None;
        for node in &call.args {
            let why = match self.absorb(node)? {
                Ok(Value::Invalid(why)) => Failure::new(why.as_ref()),
                Ok(value) => {
                    args.push(value);
                    continue;
                }
                Err(why) => why,
            };
            args.push(Value::Invalid(why.to_string().into()));
            failure = failure.or(Some(why));
            if call.args.len() > 2 {
                break;
            }
        }
        if let Some(failure) = failure {
            // What was not evaluated to the end of its arguments costs nothing.
            if args.len() == call.args.len() {
                let result = Err(failure.clone());
                let cost = runtime_cost::of_call(call.name, call.overload, &args, &result);
                self.spend(cost)?;
            }
            return Err(failure);
        }
        let result = match (call.function)(self, &args) {
            Err(Failure::Unfit) => Err(unfit(call.name, &args)),
            other => other,
        };
        let cost = runtime_cost::of_call(call.name, call.overload, &args, &result);
        self.spend(cost)?;
        result
    }

    fn or_else(&mut self, left: &Node, right: &Node, unwrap: bool) -> Outcome {
        match self.eval(left)? {
            Value::Optional(Some(value)) if unwrap => Ok((*value).clone()),
            Value::Optional(None) => self.eval(right),
            other => Ok(other),
        }
    }

    fn list(&mut self, nodes: &[(Node, bool)]) -> Outcome {
        let items = self.items(nodes);
        if !matches!(items, Err(Failure::Cancelled)) {
            self.spend(LIST)?;
        }
        Ok(Value::list(items?))
    }

    fn items(&mut self, nodes: &[(Node, bool)]) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::with_capacity(nodes.len());
        for (node, optional) in nodes {
            let value = self.eval(node)?;
            match (optional, value) {
                (false, value) => items.push(value),
                (true, Value::Optional(Some(value))) => items.push((*value).clone()),
                (true, Value::Optional(None)) => {}
                (true, other) => {
                    let message = format!(
                        "cannot initialize optional list element from non-optional value {}",
                        super::functions::text(&other)
                    );
                    return Err(Failure::new(message));
                }
            }
        }
        Ok(items)
    }

    fn map(&mut self, nodes: &[(Node, Node, bool)]) -> Outcome {
        let map = self.entries(nodes);
        if !matches!(map, Err(Failure::Cancelled)) {
            self.spend(MAP)?;
        }
        Ok(Value::Map(Arc::new(map?)))
    }

    fn entries(&mut self, nodes: &[(Node, Node, bool)]) -> Result<Map, Failure> {
        let mut map = Map::default();
        for (key, value, optional) in nodes {
            let key = self.eval(key)?;
            let value = self.eval(value)?;
            let at = key.key().ok_or_else(|| {
                Failure::new(format!("unsupported key type: {}", key.type_name()))
            })?;
            match (optional, value) {
                (false, value) => {
                    map.0.insert(at, (key, value));
                }
                (true, Value::Optional(Some(value))) => {
                    map.0.insert(at, (key, (*value).clone()));
                }
                (true, Value::Optional(None)) => {
                    map.0.remove(&at);
                }
                (true, other) => {
                    let message = format!(
                        "cannot initialize optional entry '{}' from non-optional value {}",
                        super::functions::text(&key),
                        super::functions::text(&other)
                    );
                    return Err(Failure::new(message));
                }
            }
        }
        Ok(map)
    }

    fn fold(&mut self, fold: &FoldNode) -> Outcome {
        let range = self.eval(&fold.range)?;
        let init = self.absorb(&fold.init)?;
        let depth = self.scopes.len();
        self.scopes.push(init);
        self.scopes.push(Ok(Value::Null));
        self.scopes.push(Ok(Value::Null));
        let result = self.rounds(fold, &range, depth);
        let result = result.and_then(|()| self.eval(&fold.result));
        self.scopes.truncate(depth);
        result
    }

    fn rounds(&mut self, fold: &FoldNode, range: &Value, depth: usize) -> Result<(), Failure> {
        match range {
            Value::List(list) => {
                for (at, item) in list.items.iter().enumerate() {
                    let (first, second) = if fold.two {
                        let at = i64::try_from(at).unwrap_or(i64::MAX);
                        (Value::Int(at), item.clone())
                    } else {
                        (item.clone(), Value::Null)
                    };
                    if !self.round(fold, depth, first, second)? {
                        break;
                    }
                }
                Ok(())
            }
            Value::Map(map) => {
                for (key, value) in map.0.values() {
                    if !self.round(fold, depth, key.clone(), value.clone())? {
                        break;
                    }
                }
                Ok(())
            }
            Value::Invalid(why) => Err(Failure::new(why.as_ref())),
            other if fold.two => Err(Failure::new(format!(
                "unsupported comprehension range type: {}",
                other.go_type()
            ))),
            other => Err(Failure::new(format!(
                "got '{}', expected iterable type",
                other.go_type()
            ))),
        }
    }

    /// One round of a loop; whether to go on.
    fn round(
        &mut self,
        fold: &FoldNode,
        depth: usize,
        first: Value,
        second: Value,
    ) -> Result<bool, Failure> {
        self.work.step(1)?;
        self.set(depth + 1, Ok(first));
        self.set(depth + 2, Ok(second));
        if let Ok(Value::Bool(false)) = self.absorb(&fold.cond)? {
            return Ok(false);
        }
        let next = self.absorb(&fold.step)?;
        self.set(depth, next);
        Ok(true)
    }

    fn set(&mut self, slot: usize, value: Outcome) {
        if let Some(place) = self.scopes.get_mut(slot) {
            *place = value;
        }
    }

    fn take(&mut self, slot: usize) -> Outcome {
        match self.scopes.get_mut(slot) {
            Some(place) => std::mem::replace(place, Ok(Value::Null)),
            None => Err(Failure::no_overload()),
        }
    }

    fn append(&mut self, slot: usize, items: &Node) -> Outcome {
        self.spend(SELECT)?;
        let items = self.absorb(items)?;
        self.spend(1)?;
        match (self.take(slot)?, items?) {
            (Value::List(mut list), Value::List(items)) => {
                if list.items.len() + items.items.len() > super::value::MAX_ELEMENTS {
                    return Err(Failure::Cancelled);
                }
                if list.kind != super::value::ListKind::Plain {
                    return concat(&list, &items, &mut self.work);
                }
                let grown: &mut super::value::List = Arc::make_mut(&mut list);
                grown.items.extend(items.items.iter().cloned());
                Ok(Value::List(list))
            }
            _ => Err(Failure::no_overload()),
        }
    }

    fn insert(&mut self, slot: usize, args: &[Node]) -> Outcome {
        self.spend(SELECT)?;
        let mut values = Vec::new();
        for (at, arg) in args.iter().enumerate() {
            match self.absorb(arg)? {
                Ok(value) => values.push(value),
                Err(why) if at + 1 < args.len() => return Err(why),
                Err(why) => {
                    self.spend(1)?;
                    return Err(why);
                }
            }
        }
        self.spend(1)?;
        let Value::Map(mut map) = self.take(slot)? else {
            return Err(Failure::no_overload());
        };
        let entries: Vec<(Value, Value)> = match values.as_slice() {
            [key, value] => vec![(key.clone(), value.clone())],
            [Value::Map(more)] => more.0.values().cloned().collect(),
            _ => return Err(Failure::no_overload()),
        };
        let grown: &mut Map = Arc::make_mut(&mut map);
        for (key, value) in entries {
            let at = key.key().ok_or_else(Failure::no_overload)?;
            if grown.0.contains_key(&at) {
                let key = super::functions::text(&key);
                return Err(Failure::new(format!(
                    "insert failed: key {key} already exists"
                )));
            }
            grown.0.insert(at, (key, value));
        }
        Ok(Value::Map(map))
    }

    fn attr(&mut self, attr: &Attr) -> Outcome {
        let value = match self.attr_inside(attr) {
            Err(Failure::Cancelled) => return Err(Failure::Cancelled),
            other => other,
        };
        let conditional = matches!(attr.root, Root::Cond(_));
        if !conditional && !attr.test {
            self.spend(SELECT)?;
        }
        if conditional && attr.test {
            self.cost = self.cost.saturating_sub(SELECT);
        }
        value
    }

    /// Like `attr`, without the cost of the whole: an element's index and a branch do not have it.
    fn attr_inside(&mut self, attr: &Attr) -> Outcome {
        let root = match &attr.root {
            Root::Var(name) => match self.vars.iter().find(|(var, _)| var == name) {
                Some((_, value)) => value.clone(),
                None => return Err(Failure::new(format!("no such attribute(s): {name}"))),
            },
            Root::Local(slot) => match self.scopes.get(*slot) {
                Some(value) => value.clone()?,
                None => return Err(Failure::no_overload()),
            },
            Root::Node(node) => self.eval(node)?,
            Root::Cond(parts) => match self.eval(&parts.0)? {
                Value::Bool(true) => self.inside(&parts.1)?,
                Value::Bool(false) => self.inside(&parts.2)?,
                _ => return Err(Failure::no_overload()),
            },
        };
        if let Value::Invalid(why) = &root {
            return Err(Failure::new(why.as_ref()));
        }
        if attr.steps.is_empty() {
            return Ok(root);
        }
        self.walk(root, attr)
    }

    fn inside(&mut self, node: &Node) -> Outcome {
        match node {
            Node::Attr(attr) => self.attr_inside(attr),
            other => self.eval(other),
        }
    }

    fn walk(&mut self, root: Value, attr: &Attr) -> Outcome {
        let (mut value, mut optional) = match root {
            Value::Optional(None) => return Ok(absent(attr)),
            Value::Optional(Some(inner)) => ((*inner).clone(), true),
            other => (other, false),
        };
        let last = attr.steps.len() - 1;
        for (at, step) in attr.steps.iter().enumerate() {
            let (index, opt) = match step {
                Step::Known(index, opt) => (index.clone(), *opt),
                Step::Computed(node, opt) => (qualifier(self.inside(node)?)?, *opt),
            };
            optional |= opt;
            let test = attr.test && at == last;
            let found = look(&value, &index);
            match found {
                Ok(Some(Value::Invalid(why))) => {
                    if test {
                        self.spend(SELECT)?;
                    }
                    return Err(Failure::new(why.as_ref()));
                }
                Ok(Some(_)) if test => {
                    self.spend(SELECT)?;
                    return Ok(Value::Bool(true));
                }
                Ok(Some(found)) => {
                    self.spend(SELECT)?;
                    value = found;
                }
                Ok(None) if test => {
                    self.spend(SELECT)?;
                    return Ok(Value::Bool(false));
                }
                Ok(None) if optional => return Ok(absent(attr)),
                Ok(None) => {
                    self.spend(SELECT)?;
                    return Err(missing(&value, &index));
                }
                Err(why) => {
                    if !optional {
                        self.spend(SELECT)?;
                    }
                    return Err(why);
                }
            }
            if let Value::Invalid(why) = &value {
                return Err(Failure::new(why.as_ref()));
            }
        }
        Ok(if optional { Value::some(value) } else { value })
    }
}

/// What is said where no function of a name takes the values. Functions that any type with some
/// ability has do not name the types. Kubernetes: cel-go `interpretable.go`, `decls.go`.
pub(super) fn unfit(name: &str, args: &[Value]) -> Failure {
    let first = args.first();
    let able = first.and_then(|first| match name {
        "_+_" => Some(first.is_addable()),
        "_-_" => Some(matches!(
            first,
            Value::Int(_)
                | Value::Uint(_)
                | Value::Double(_)
                | Value::Timestamp(_)
                | Value::Duration(_)
        )),
        "_*_" | "_/_" => Some(matches!(
            first,
            Value::Int(_) | Value::Uint(_) | Value::Double(_)
        )),
        "_%_" => Some(matches!(first, Value::Int(_) | Value::Uint(_))),
        "-_" | "!_" => Some(matches!(
            first,
            Value::Int(_) | Value::Double(_) | Value::Bool(_) | Value::Duration(_)
        )),
        "_<_" | "_<=_" | "_>_" | "_>=_" => Some(first.is_comparable()),
        "startsWith" | "endsWith" | "contains" => Some(true),
        "size" | "sort" | "@sortByAssociatedKeys" | "@in" => Some(false),
        _ => None,
    });
    match able {
        Some(true) => Failure::no_overload(),
        Some(false) => Failure::new(format!("no such overload: {name}")),
        None => {
            let types: Vec<&str> = args.iter().map(Value::type_name).collect();
            Failure::new(format!("no such overload: {name}({})", types.join(", ")))
        }
    }
}

/// A value that something can be looked up by.
pub(super) fn qualifier(value: Value) -> Outcome {
    match value {
        Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::Duration(_)
        | Value::Quantity(_)
        | Value::Ip(_)
        | Value::Cidr(..)
        | Value::Url(_)
        | Value::Semver(_) => {
            let of = value.go_type();
            Err(Failure::new(format!("invalid qualifier type: {of}")))
        }
        other => Ok(other),
    }
}

fn absent(attr: &Attr) -> Value {
    if attr.test {
        return Value::Bool(false);
    }
    Value::Optional(None)
}

fn missing(value: &Value, index: &Value) -> Failure {
    let index = super::functions::text(index);
    match value {
        Value::List(_) => Failure::new(format!("index out of bounds: {index}")),
        _ => Failure::new(format!("no such key: {index}")),
    }
}

/// The field or element, if it is there.
fn look(value: &Value, index: &Value) -> Result<Option<Value>, Failure> {
    match value {
        Value::Map(map) => Ok(map.get(index).cloned()),
        Value::List(list) => {
            let at = match (index, index.key()) {
                (
                    Value::Int(_) | Value::Uint(_) | Value::Double(_),
                    Some(super::value::Key::Number(at)),
                ) => at,
                (Value::Double(d), _) => {
                    return Err(Failure::new(format!("unsupported index value {d} in list")));
                }
                _ => {
                    let of = index.type_name();
                    return Err(Failure::new(format!(
                        "unsupported index type '{of}' in list"
                    )));
                }
            };
            Ok(usize::try_from(at)
                .ok()
                .and_then(|at| list.items.get(at))
                .cloned())
        }
        Value::Invalid(why) => Err(Failure::new(why.as_ref())),
        _ => Ok(None),
    }
}
