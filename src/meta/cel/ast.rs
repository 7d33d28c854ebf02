//! The syntax tree of a CEL expression, macros already expanded. Must not know types or values.

/// Index of a node: types and references are kept in tables by it.
pub(super) type NodeId = u32;

/// One node.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    /// Its index.
    pub id: NodeId,
    /// Where it stands in the source, in code points from its start.
    pub pos: u32,
    /// Longest way down to a leaf, counted in nodes.
    pub depth: u32,
    /// What it is.
    pub kind: ExprKind,
}

/// The value of a literal.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    /// `null`
    Null,
    /// `true`
    Bool(bool),
    /// `1`
    Int(i64),
    /// `1u`
    Uint(u64),
    /// `1.0`
    Double(f64),
    /// `'a'`
    String(String),
    /// `b'a'`
    Bytes(Vec<u8>),
}

/// The kinds of nodes.
#[derive(Clone, Debug)]
pub(super) enum ExprKind {
    /// A literal.
    Literal(Literal),
    /// A name.
    Ident(String),
    /// `operand.field`, or `has(operand.field)`.
    Select {
        /// What is looked into.
        operand: Box<Expr>,
        /// The field.
        field: String,
        /// Whether only its presence is asked.
        test: bool,
    },
    /// A function or operator.
    Call {
        /// Its name, operators as `_+_`.
        function: String,
        /// The receiver.
        target: Option<Box<Expr>>,
        /// The arguments.
        args: Vec<Expr>,
    },
    /// `[a, ?b]`: elements and whether each is optional.
    List(Vec<(Expr, bool)>),
    /// `{k: v, ?k: v}`
    Map(Vec<MapEntry>),
    /// `Type{field: v}`; none of the types that can be made so exist here, so only checked.
    Struct {
        /// The name before the brace.
        name: String,
    },
    /// What macros become.
    Fold(Box<Fold>),
}

/// An entry of a map literal.
#[derive(Clone, Debug)]
pub(super) struct MapEntry {
    /// The key.
    pub key: Expr,
    /// The value.
    pub value: Expr,
    /// Whether the entry is left out when its value is `optional.none()`.
    pub optional: bool,
}

/// A loop over a list or a map.
#[derive(Clone, Debug)]
pub(super) struct Fold {
    /// What is looped over.
    pub range: Expr,
    /// The element, key or index.
    pub var: String,
    /// The value, in loops with two variables.
    pub var2: Option<String>,
    /// Name of the running result.
    pub accu: String,
    /// Its first value.
    pub init: Expr,
    /// Whether to go on.
    pub cond: Expr,
    /// The next running result.
    pub step: Expr,
    /// The result.
    pub result: Expr,
}

/// Name of the running result in macros; no expression can spell it.
pub(super) const ACCU: &str = "@result";
/// Name of the variable of a loop that never runs.
pub(super) const UNUSED: &str = "#unused";

impl Expr {
    /// The dotted name this spells, if it does.
    pub(super) fn qualified_name(&self) -> Option<String> {
        match &self.kind {
            ExprKind::Ident(name) => Some(name.clone()),
            ExprKind::Select {
                operand,
                field,
                test: false,
            } => Some(format!("{}.{field}", operand.qualified_name()?)),
            _ => None,
        }
    }

    /// The nodes right below, in order of the source.
    pub(super) fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Literal(_) | ExprKind::Ident(_) | ExprKind::Struct { .. } => Vec::new(),
            ExprKind::Select { operand, .. } => vec![operand],
            ExprKind::Call { target, args, .. } => {
                target.iter().map(AsRef::as_ref).chain(args).collect()
            }
            ExprKind::List(items) => items.iter().map(|(item, _)| item).collect(),
            ExprKind::Map(entries) => entries.iter().flat_map(|e| [&e.key, &e.value]).collect(),
            ExprKind::Fold(fold) => vec![
                &fold.range,
                &fold.init,
                &fold.cond,
                &fold.step,
                &fold.result,
            ],
        }
    }
}
