//! Reads a CEL expression into a tree, macros expanded. Bounded in size and in nesting, so that
//! nothing that walks the tree later can exhaust the stack. Must not know types or values.
//!
//! Kubernetes: cel-go `parser`; its places of nodes, its words for the errors.

use super::ast::{Expr, ExprKind, Literal, MapEntry, NodeId};
use super::issue::{Issue, Issues};
use super::lexer::{Placed, Token, tokens};
use super::macros;

/// Deepest tree, macros expanded. Kubernetes: cel-go's limit on recursion.
pub(super) const MAX_DEPTH: u32 = 250;
/// Deepest nesting of brackets in the source; less than Kubernetes allows, for the stack's sake.
pub(super) const MAX_NESTING: u32 = 120;
/// Longest expression, in code points. Kubernetes: cel-go's default.
pub(super) const MAX_SOURCE: usize = 100_000;
/// Most nodes of a tree; a macro that copies its target could make exponentially many.
const MAX_NODES: NodeId = 200_000;

const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];
/// Words that are values or operators.
const WORDS: [&str; 4] = ["true", "false", "null", "in"];

/// Whether no variable can be called so, and a property only by its escaped name.
pub fn is_reserved(name: &str) -> bool {
    WORDS.contains(&name) || RESERVED.contains(&name)
}

const START: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, \
                     NUM_UINT, STRING, BYTES, IDENTIFIER}";

/// What can stand right behind the bracket of a call, of an index, of a list and of a map.
const IN_CALL: &str = "{'[', '{', '(', ')', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, \
                       NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
const IN_INDEX: &str = "{'[', '{', '(', '.', '-', '!', '?', 'true', 'false', 'null', NUM_FLOAT, \
                        NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
const IN_LIST: &str = "{'[', ']', '{', '(', '.', ',', '-', '!', '?', 'true', 'false', 'null', \
                       NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
const IN_MAP: &str = "{'[', '{', '}', '(', '.', ',', '-', '!', '?', 'true', 'false', 'null', \
                      NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

/// The result of reading a part.
pub(super) type Parsed = Result<Expr, Issue>;

/// Reads an expression.
pub(super) fn parse(source: &str) -> Result<Expr, Issues> {
    let fail = |issues| Err(Issues::new(source, issues));
    let chars: Vec<char> = source.chars().collect();
    if chars.len() > MAX_SOURCE {
        return fail(vec![placeless(format!(
            "expression code point size exceeds limit: size: {}, limit {MAX_SOURCE}",
            chars.len()
        ))]);
    }
    let (tokens, errors) = tokens(&chars);
    let errors = errors.into_iter();
    let mut parser = Parser {
        tokens,
        at: 0,
        nodes: 0,
        nesting: 0,
        issues: errors.map(|(pos, why)| issue(pos, why)).collect(),
    };
    let read = parser.expr().and_then(|expr| parser.finish(expr));
    let mut issues = parser.issues;
    match read {
        Ok(expr) if issues.is_empty() => Ok(expr),
        Ok(_) => fail(issues),
        Err(last) => {
            issues.push(last);
            fail(issues)
        }
    }
}

pub(super) fn issue(pos: u32, message: impl Into<String>) -> Issue {
    Issue {
        pos,
        message: message.into(),
        placeless: false,
    }
}

fn placeless(message: String) -> Issue {
    Issue {
        pos: 0,
        message,
        placeless: true,
    }
}

fn too_deep(limit: u32) -> Issue {
    placeless(format!("expression recursion limit exceeded: {limit}"))
}

pub(super) struct Parser {
    tokens: Vec<Placed>,
    at: usize,
    nodes: NodeId,
    nesting: u32,
    /// What is wrong so far and did not end the reading.
    issues: Vec<Issue>,
}

/// How tightly a binary operator binds, and the function it calls.
fn binary(op: &str) -> Option<(u8, &'static str)> {
    Some(match op {
        "||" => (1, "_||_"),
        "&&" => (2, "_&&_"),
        "<" => (3, "_<_"),
        "<=" => (3, "_<=_"),
        ">" => (3, "_>_"),
        ">=" => (3, "_>=_"),
        "==" => (3, "_==_"),
        "!=" => (3, "_!=_"),
        "in" => (3, "@in"),
        "+" => (4, "_+_"),
        "-" => (4, "_-_"),
        "*" => (5, "_*_"),
        "/" => (5, "_/_"),
        "%" => (5, "_%_"),
        _ => return None,
    })
}

impl Parser {
    /// A new node; its depth and the number of nodes are checked here.
    pub(super) fn node(&mut self, pos: u32, kind: ExprKind) -> Parsed {
        let mut expr = Expr {
            id: self.nodes,
            pos,
            depth: 1,
            kind,
        };
        let below = expr.children().iter().map(|child| child.depth).max();
        expr.depth += below.unwrap_or(0);
        self.nodes += 1;
        if expr.depth > MAX_DEPTH {
            return Err(too_deep(MAX_DEPTH));
        }
        if self.nodes > MAX_NODES {
            return Err(placeless(format!(
                "expression has more than {MAX_NODES} nodes"
            )));
        }
        Ok(expr)
    }

    pub(super) fn call(&mut self, pos: u32, function: &str, args: Vec<Expr>) -> Parsed {
        let function = function.to_owned();
        self.node(
            pos,
            ExprKind::Call {
                function,
                target: None,
                args,
            },
        )
    }

    /// A copy of a tree with nodes of its own.
    pub(super) fn copy(&mut self, expr: &Expr) -> Parsed {
        fn renumber(parser: &mut Parser, expr: &mut Expr) {
            expr.id = parser.nodes;
            parser.nodes = parser.nodes.saturating_add(1);
            match &mut expr.kind {
                ExprKind::Select { operand, .. } => renumber(parser, operand),
                ExprKind::Call { target, args, .. } => {
                    target.iter_mut().for_each(|e| renumber(parser, e));
                    args.iter_mut().for_each(|e| renumber(parser, e));
                }
                ExprKind::List(items) => items.iter_mut().for_each(|(e, _)| renumber(parser, e)),
                ExprKind::Map(entries) => entries.iter_mut().for_each(|entry| {
                    renumber(parser, &mut entry.key);
                    renumber(parser, &mut entry.value);
                }),
                ExprKind::Fold(fold) => {
                    renumber(parser, &mut fold.range);
                    renumber(parser, &mut fold.init);
                    renumber(parser, &mut fold.cond);
                    renumber(parser, &mut fold.step);
                    renumber(parser, &mut fold.result);
                }
                ExprKind::Literal(_) | ExprKind::Ident(_) | ExprKind::Struct { .. } => {}
            }
        }
        if self.nodes > MAX_NODES / 2 {
            return Err(placeless(format!(
                "expression has more than {MAX_NODES} nodes"
            )));
        }
        let mut copy = expr.clone();
        renumber(self, &mut copy);
        Ok(copy)
    }

    fn peek(&self) -> (&Token, u32) {
        match self.tokens.get(self.at).or(self.tokens.last()) {
            Some(placed) => (&placed.token, placed.pos),
            None => (&Token::End, 0),
        }
    }

    fn op(&self) -> &'static str {
        match self.peek().0 {
            Token::Op(op) => op,
            _ => "",
        }
    }

    fn take(&mut self, op: &str) -> Option<u32> {
        if self.op() == op {
            let pos = self.peek().1;
            self.at += 1;
            return Some(pos);
        }
        None
    }

    fn shown(&self) -> String {
        match self.tokens.get(self.at) {
            None
            | Some(Placed {
                token: Token::End, ..
            }) => "<EOF>".to_owned(),
            Some(placed) => placed.text.clone(),
        }
    }

    fn unexpected(&self, word: &str, expecting: &str) -> Issue {
        let shown = self.shown();
        let message = format!("Syntax error: {word} input '{shown}' expecting {expecting}");
        issue(self.peek().1, message)
    }

    fn mismatch<T>(&self, expecting: &str) -> Result<T, Issue> {
        Err(self.unexpected("mismatched", expecting))
    }

    /// Whether the token some places ahead is this operator.
    fn is_op(&self, ahead: usize, op: &str) -> bool {
        let token = self.tokens.get(self.at + ahead).map(|placed| &placed.token);
        matches!(token, Some(Token::Op(own)) if *own == op)
    }

    /// Whether an expression can begin with the token some places ahead.
    fn starts(&self, ahead: usize) -> bool {
        match self.tokens.get(self.at + ahead).map(|placed| &placed.token) {
            Some(Token::Literal(_) | Token::Ident(_)) => true,
            Some(Token::Op(op)) => matches!(
                *op,
                "[" | "{" | "(" | "." | "-" | "!" | "true" | "false" | "null" | "int64_min"
            ),
            _ => false,
        }
    }

    /// Tells of a token that is one too many, and passes it. As ANTLR does, when the next one fits.
    fn skip(&mut self, fits: bool, expecting: &str) -> bool {
        let fits = fits && self.peek().0 != &Token::End;
        if fits {
            let issue = self.unexpected("extraneous", expecting);
            self.issues.push(issue);
            self.at += 1;
        }
        fits
    }

    /// Right behind a bracket: an expression, or one of some operators.
    fn inside(&mut self, operators: &[&str], expecting: &str) -> Result<(), Issue> {
        let fits = |parser: &Self, ahead| {
            parser.starts(ahead) || operators.iter().any(|op| parser.is_op(ahead, op))
        };
        let is_wrong = !fits(self, 0);
        self.skip(is_wrong && fits(self, 1), expecting);
        if fits(self, 0) {
            return Ok(());
        }
        self.mismatch(expecting)
    }

    /// How many brackets are open here.
    fn open(&self) -> usize {
        let before = self.tokens.get(..self.at).unwrap_or_default();
        before
            .iter()
            .fold(0, |open: usize, placed| match placed.token {
                Token::Op("(" | "[" | "{") => open + 1,
                Token::Op(")" | "]" | "}") => open.saturating_sub(1),
                _ => open,
            })
    }

    fn expect(&mut self, op: &str) -> Result<u32, Issue> {
        let expecting = format!("'{op}'");
        self.skip(self.op() != op && self.is_op(1, op), &expecting);
        if let Some(pos) = self.take(op) {
            return Ok(pos);
        }
        let missing = match op {
            ":" => self.starts(0),
            _ => self.peek().0 == &Token::End && self.open() == 1,
        };
        if missing {
            let message = format!("Syntax error: missing {expecting} at '{}'", self.shown());
            let pos = self.peek().1;
            self.issues.push(issue(pos, message));
            return Ok(pos);
        }
        self.mismatch(&expecting)
    }

    fn finish(&mut self, expr: Expr) -> Parsed {
        let next = self.tokens.get(self.at + 1);
        let last = next.is_some_and(|next| next.token == Token::End);
        self.skip(last, "<EOF>");
        match self.peek().0 {
            Token::End => Ok(expr),
            _ => self.mismatch("<EOF>"),
        }
    }

    /// Where nothing fits behind a token.
    fn no_way(&self, after: &str) -> Issue {
        if after == "." && matches!(self.op(), "true" | "false" | "null") {
            return self.unexpected("mismatched", "IDENTIFIER");
        }
        let shown = match self.peek().0 {
            Token::End => String::new(),
            _ => self.shown(),
        };
        let message = format!("Syntax error: no viable alternative at input '{after}{shown}'");
        issue(self.peek().1, message)
    }

    fn expr(&mut self) -> Parsed {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(too_deep(MAX_NESTING));
        }
        let condition = self.binary(1)?;
        let Some(pos) = self.take("?") else {
            self.nesting -= 1;
            return Ok(condition);
        };
        let yes = self.binary(1)?;
        self.expect(":")?;
        let no = self.expr()?;
        self.nesting -= 1;
        self.call(pos, "_?_:_", vec![condition, yes, no])
    }

    /// Operators that bind at least as tightly as `least`; 1 is `||`, 2 is `&&`.
    fn binary(&mut self, least: u8) -> Parsed {
        let mut left = self.unary()?;
        loop {
            let op = self.op();
            let Some((binds, function)) = binary(op).filter(|(binds, _)| *binds >= least) else {
                return Ok(left);
            };
            if binds < 3 {
                left = self.logic(left, op, binds, function)?;
                continue;
            }
            let pos = self.peek().1;
            self.at += 1;
            let right = self.binary(binds + 1)?;
            left = self.call(pos, function, vec![left, right])?;
        }
    }

    /// A chain of `&&` or of `||`, made into a balanced tree.
    fn logic(&mut self, first: Expr, op: &str, binds: u8, function: &str) -> Parsed {
        let mut terms = vec![first];
        let mut places = Vec::new();
        while let Some(pos) = self.take(op) {
            places.push(pos);
            terms.push(self.binary(binds + 1)?);
        }
        let mut terms = terms.into_iter();
        self.balance(function, &mut terms, &places)
    }

    fn balance(
        &mut self,
        function: &str,
        terms: &mut std::vec::IntoIter<Expr>,
        places: &[u32],
    ) -> Parsed {
        let middle = places.len() / 2;
        let Some((before, rest)) = places.split_at_checked(middle) else {
            return self.mismatch(START);
        };
        let Some((pos, after)) = rest.split_first() else {
            return match terms.next() {
                Some(term) => Ok(term),
                None => self.mismatch(START),
            };
        };
        let left = self.balance(function, terms, before)?;
        let right = self.balance(function, terms, after)?;
        self.call(*pos, function, vec![left, right])
    }

    fn unary(&mut self) -> Parsed {
        let op = self.op();
        if op != "!" && op != "-" {
            let primary = self.primary()?;
            return self.members(primary);
        }
        let pos = self.peek().1;
        let mut count = 0_usize;
        // One minus right before a number belongs to the number.
        while self.op() == op && (op == "!" || count > 0 || self.negative_literal().is_none()) {
            self.at += 1;
            count += 1;
        }
        if op == "-" && count > 0 && !self.starts(0) {
            let issue = self.no_way("-");
            self.issues.push(issue);
        }
        let negative = if op == "-" && count > 0 {
            None
        } else {
            self.negative_literal()
        };
        let operand = match negative {
            Some(value) => {
                let pos = self.peek().1;
                self.at += 2;
                self.node(pos, ExprKind::Literal(value))?
            }
            None => self.primary()?,
        };
        let operand = self.members(operand)?;
        if count.is_multiple_of(2) {
            return Ok(operand);
        }
        self.call(pos, if op == "!" { "!_" } else { "-_" }, vec![operand])
    }

    /// The number that a minus here and the token behind it make.
    fn negative_literal(&self) -> Option<Literal> {
        if self.op() != "-" {
            return None;
        }
        match &self.tokens.get(self.at + 1)?.token {
            Token::Literal(Literal::Int(value)) => Some(Literal::Int(-value)),
            Token::Literal(Literal::Double(value)) => Some(Literal::Double(-value)),
            Token::Op("int64_min") => Some(Literal::Int(i64::MIN)),
            _ => None,
        }
    }

    fn members(&mut self, mut left: Expr) -> Parsed {
        loop {
            if let Some(pos) = self.take(".") {
                left = self.member(left, pos)?;
            } else if let Some(pos) = self.take("[") {
                self.inside(&["?"], IN_INDEX)?;
                let optional = self.take("?").is_some();
                let index = self.expr()?;
                self.expect("]")?;
                let function = if optional { "_[?_]" } else { "_[_]" };
                left = self.call(pos, function, vec![left, index])?;
            } else if self.op() == "{"
                && let Some(name) = left.qualified_name()
            {
                let pos = self.expect("{")?;
                self.entries(true)?;
                left = self.node(pos, ExprKind::Struct { name })?;
            } else {
                return Ok(left);
            }
        }
    }

    fn member(&mut self, left: Expr, dot: u32) -> Parsed {
        let optional = self.take("?").is_some();
        let (token, field_pos) = self.peek();
        let (field, quoted) = match token {
            Token::Ident(name) => (name.clone(), false),
            Token::Quoted(name) => (name.clone(), true),
            _ => return Err(self.no_way(".")),
        };
        if quoted {
            return Err(issue(field_pos, "unsupported syntax: '`'"));
        }
        self.at += 1;
        if optional {
            let literal = ExprKind::Literal(Literal::String(field));
            let literal = self.node(field_pos, literal)?;
            return self.call(dot, "_?._", vec![left, literal]);
        }
        if let Some(pos) = self.take("(") {
            let args = self.list_until(")")?;
            return macros::member(self, pos, &field, left, args);
        }
        let operand = Box::new(left);
        self.node(
            dot,
            ExprKind::Select {
                operand,
                field,
                test: false,
            },
        )
    }

    fn primary(&mut self) -> Parsed {
        self.skip(!self.starts(0) && self.starts(1), START);
        let (token, pos) = self.peek();
        match token.clone() {
            Token::Literal(value) => {
                self.at += 1;
                self.node(pos, ExprKind::Literal(value))
            }
            Token::Op(word @ ("true" | "false")) => {
                self.at += 1;
                self.node(pos, ExprKind::Literal(Literal::Bool(word == "true")))
            }
            Token::Op("null") => {
                self.at += 1;
                self.node(pos, ExprKind::Literal(Literal::Null))
            }
            Token::Op("int64_min") => Err(issue(pos, "invalid int literal")),
            Token::Op("(") => {
                self.at += 1;
                let inner = self.expr()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Op("[") => {
                self.at += 1;
                let items = self.items()?;
                self.node(pos, ExprKind::List(items))
            }
            Token::Op("{") => {
                self.at += 1;
                let entries = self.entries(false)?;
                self.node(pos, ExprKind::Map(entries))
            }
            Token::Op(".") => {
                self.at += 1;
                if !matches!(self.peek().0, Token::Ident(_)) {
                    return Err(self.no_way("."));
                }
                self.ident()
            }
            Token::Ident(_) => self.ident(),
            Token::End | Token::Quoted(_) | Token::Op(_) => self.mismatch(START),
        }
    }

    fn ident(&mut self) -> Parsed {
        let (token, pos) = self.peek();
        let Token::Ident(name) = token.clone() else {
            return self.mismatch("IDENTIFIER");
        };
        self.at += 1;
        if RESERVED.contains(&name.as_str()) {
            return Err(issue(pos, format!("reserved identifier: {name}")));
        }
        if let Some(open) = self.take("(") {
            let args = self.list_until(")")?;
            return macros::global(self, open, &name, args);
        }
        self.node(pos, ExprKind::Ident(name))
    }

    fn list_until(&mut self, close: &str) -> Result<Vec<Expr>, Issue> {
        let mut args = Vec::new();
        self.inside(&[close], IN_CALL)?;
        if self.take(close).is_some() {
            return Ok(args);
        }
        loop {
            args.push(self.expr()?);
            if self.take(",").is_none() {
                self.expect(close)?;
                return Ok(args);
            }
        }
    }

    fn items(&mut self) -> Result<Vec<(Expr, bool)>, Issue> {
        let mut items = Vec::new();
        self.inside(&["]", ",", "?"], IN_LIST)?;
        if self.take(",").is_some() {
            self.expect("]")?;
            return Ok(items);
        }
        while self.take("]").is_none() {
            let optional = self.take("?").is_some();
            items.push((self.expr()?, optional));
            const NEXT: &str = "{']', ','}";
            self.skip(
                !self.is_op(0, ",")
                    && !self.is_op(0, "]")
                    && (self.is_op(1, ",") || self.is_op(1, "]")),
                NEXT,
            );
            if self.take(",").is_none() {
                if self.take("]").is_none() {
                    return self.mismatch(NEXT);
                }
                break;
            }
            if !self.starts(0) && !self.is_op(0, "?") {
                self.expect("]")?;
                break;
            }
        }
        Ok(items)
    }

    /// The entries of a map, or the fields of a struct, up to the closing brace.
    fn entries(&mut self, fields: bool) -> Result<Vec<MapEntry>, Issue> {
        let mut entries = Vec::new();
        if !fields {
            self.inside(&["}", ",", "?"], IN_MAP)?;
        }
        if self.take(",").is_some() {
            self.expect("}")?;
            return Ok(entries);
        }
        while self.take("}").is_none() {
            let optional = self.take("?").is_some();
            let key = if fields {
                let (token, pos) = self.peek();
                let (Token::Ident(name) | Token::Quoted(name)) = token.clone() else {
                    return self.mismatch("IDENTIFIER");
                };
                self.at += 1;
                self.node(pos, ExprKind::Ident(name))?
            } else {
                self.expr()?
            };
            self.expect(":")?;
            let value = self.expr()?;
            entries.push(MapEntry {
                key,
                value,
                optional,
            });
            const NEXT: &str = "{'}', ','}";
            self.skip(
                !self.is_op(0, ",")
                    && !self.is_op(0, "}")
                    && (self.is_op(1, ",") || self.is_op(1, "}")),
                NEXT,
            );
            if self.take(",").is_none() {
                if self.take("}").is_none() {
                    return self.mismatch(NEXT);
                }
                break;
            }
            if !fields && !self.starts(0) && !self.is_op(0, "?") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }
}
