//! Macros: calls that become loops and tests while an expression is read. Must not know types.
//!
//! Kubernetes: cel-go's standard macros, those of optionals, of loops with two variables and
//! `sortBy`.

use super::ast::{ACCU, Expr, ExprKind, Fold, Literal, UNUSED};
use super::issue::Issue;
use super::parser::{Parsed, Parser, issue};

/// A call without receiver, or what the macro of its name makes of it.
pub(super) fn global(parser: &mut Parser, pos: u32, name: &str, mut args: Vec<Expr>) -> Parsed {
    if name != "has" || args.len() != 1 {
        return parser.call(pos, name, args);
    }
    match args.pop() {
        Some(Expr {
            kind:
                ExprKind::Select {
                    operand,
                    field,
                    test: false,
                },
            ..
        }) => parser.node(
            pos,
            ExprKind::Select {
                operand,
                field,
                test: true,
            },
        ),
        other => Err(issue(
            other.map_or(pos, |arg| arg.pos),
            "invalid argument to has() macro",
        )),
    }
}

/// A call with a receiver, or what the macro of its name makes of it.
pub(super) fn member(
    parser: &mut Parser,
    pos: u32,
    name: &str,
    target: Expr,
    args: Vec<Expr>,
) -> Parsed {
    let mut make = Make { parser, pos };
    match (name, args.len()) {
        ("all" | "exists" | "exists_one", 2 | 3) | ("existsOne", 3) => {
            make.quantifier(name, target, args)
        }
        ("map", 2 | 3) | ("transformList", 3 | 4) => make.list(name, target, args),
        ("filter", 2) => make.filter(target, args),
        ("transformMap" | "transformMapEntry", 3 | 4) => make.map(name, target, args),
        ("optMap" | "optFlatMap", 2) => make.optional(name, target, args),
        ("sortBy", 2) => make.sort_by(target, args),
        _ => make.receiver(name, target, args),
    }
}

struct Make<'a> {
    parser: &'a mut Parser,
    pos: u32,
}

/// The variables of a loop.
struct Vars {
    first: String,
    second: Option<String>,
}

impl Make<'_> {
    fn receiver(&mut self, name: &str, target: Expr, args: Vec<Expr>) -> Parsed {
        self.parser.node(
            self.pos,
            ExprKind::Call {
                function: name.to_owned(),
                target: Some(Box::new(target)),
                args,
            },
        )
    }

    fn ident(&mut self, name: &str) -> Parsed {
        self.parser.node(self.pos, ExprKind::Ident(name.to_owned()))
    }

    fn literal(&mut self, value: Literal) -> Parsed {
        self.parser.node(self.pos, ExprKind::Literal(value))
    }

    fn call(&mut self, name: &str, args: Vec<Expr>) -> Parsed {
        self.parser.call(self.pos, name, args)
    }

    fn accu(&mut self) -> Parsed {
        self.ident(ACCU)
    }

    fn list_of(&mut self, items: Vec<Expr>) -> Parsed {
        let items = items.into_iter().map(|item| (item, false)).collect();
        self.parser.node(self.pos, ExprKind::List(items))
    }

    fn fold(&mut self, range: Expr, vars: Vars, init: Expr, cond: Expr, step: Expr) -> Parsed {
        let result = self.accu()?;
        self.fold_to(range, vars, init, cond, step, result)
    }

    fn fold_to(
        &mut self,
        range: Expr,
        vars: Vars,
        init: Expr,
        cond: Expr,
        step: Expr,
        result: Expr,
    ) -> Parsed {
        self.parser.node(
            self.pos,
            ExprKind::Fold(Box::new(Fold {
                range,
                var: vars.first,
                var2: vars.second,
                accu: ACCU.to_owned(),
                init,
                cond,
                step,
                result,
            })),
        )
    }

    /// Gives `name` the value of `init` while `result` is evaluated.
    fn bind(&mut self, name: &str, init: Expr, result: Expr) -> Parsed {
        let range = self.list_of(Vec::new())?;
        let cond = self.literal(Literal::Bool(false))?;
        let step = self.ident(name)?;
        self.parser.node(
            self.pos,
            ExprKind::Fold(Box::new(Fold {
                range,
                var: UNUSED.to_owned(),
                var2: None,
                accu: name.to_owned(),
                init,
                cond,
                step,
                result,
            })),
        )
    }

    fn quantifier(&mut self, name: &str, target: Expr, args: Vec<Expr>) -> Parsed {
        let (vars, mut rest) = split(args, 1)?;
        let Some(test) = rest.pop() else {
            return Err(issue(self.pos, "argument must be a simple name"));
        };
        let accu = self.accu()?;
        match name {
            "all" => {
                let init = self.literal(Literal::Bool(true))?;
                let cond = self.call("@not_strictly_false", vec![accu])?;
                let accu = self.accu()?;
                let step = self.call("_&&_", vec![accu, test])?;
                self.fold(target, vars, init, cond, step)
            }
            "exists" => {
                let init = self.literal(Literal::Bool(false))?;
                let not = self.call("!_", vec![accu])?;
                let cond = self.call("@not_strictly_false", vec![not])?;
                let accu = self.accu()?;
                let step = self.call("_||_", vec![accu, test])?;
                self.fold(target, vars, init, cond, step)
            }
            _ => {
                let init = self.literal(Literal::Int(0))?;
                let cond = self.literal(Literal::Bool(true))?;
                let one = self.literal(Literal::Int(1))?;
                let more = self.call("_+_", vec![accu, one])?;
                let accu = self.accu()?;
                let step = self.call("_?_:_", vec![test, more, accu])?;
                let accu = self.accu()?;
                let one = self.literal(Literal::Int(1))?;
                let result = self.call("_==_", vec![accu, one])?;
                self.fold_to(target, vars, init, cond, step, result)
            }
        }
    }

    /// `filter ? step : @result`, or `step` alone.
    fn only_if(&mut self, filter: Option<Expr>, step: Expr) -> Parsed {
        let Some(filter) = filter else {
            return Ok(step);
        };
        let accu = self.accu()?;
        self.call("_?_:_", vec![filter, step, accu])
    }

    fn list(&mut self, name: &str, target: Expr, args: Vec<Expr>) -> Parsed {
        let two_vars = name == "transformList";
        let filtered = args.len() == if two_vars { 4 } else { 3 };
        let (vars, mut rest) = split(args, if filtered { 2 } else { 1 })?;
        let Some(transform) = rest.pop() else {
            return Err(issue(self.pos, "argument must be a simple name"));
        };
        let init = self.list_of(Vec::new())?;
        let cond = self.literal(Literal::Bool(true))?;
        let accu = self.accu()?;
        let item = self.list_of(vec![transform])?;
        let step = self.call("_+_", vec![accu, item])?;
        let step = self.only_if(rest.pop(), step)?;
        self.fold(target, vars, init, cond, step)
    }

    fn filter(&mut self, target: Expr, args: Vec<Expr>) -> Parsed {
        let (vars, mut rest) = split(args, 1)?;
        let init = self.list_of(Vec::new())?;
        let cond = self.literal(Literal::Bool(true))?;
        let accu = self.accu()?;
        let item = self.ident(&vars.first)?;
        let item = self.list_of(vec![item])?;
        let step = self.call("_+_", vec![accu, item])?;
        let step = self.only_if(rest.pop(), step)?;
        self.fold(target, vars, init, cond, step)
    }

    fn map(&mut self, name: &str, target: Expr, args: Vec<Expr>) -> Parsed {
        let filtered = args.len() == 4;
        let (vars, mut rest) = split(args, if filtered { 2 } else { 1 })?;
        let Some(transform) = rest.pop() else {
            return Err(issue(self.pos, "argument must be a simple name"));
        };
        let init = self.parser.node(self.pos, ExprKind::Map(Vec::new()))?;
        let cond = self.literal(Literal::Bool(true))?;
        let mut insert = vec![self.accu()?];
        if name == "transformMap" {
            insert.push(self.ident(&vars.first)?);
        }
        insert.push(transform);
        let step = self.call("cel.@mapInsert", insert)?;
        let step = self.only_if(rest.pop(), step)?;
        self.fold(target, vars, init, cond, step)
    }

    fn optional(&mut self, name: &str, target: Expr, args: Vec<Expr>) -> Parsed {
        let mut args = args.into_iter();
        let (Some(var), Some(body)) = (args.next(), args.next()) else {
            return Err(issue(self.pos, "argument must be a simple name"));
        };
        let ExprKind::Ident(var) = var.kind else {
            return Err(issue(
                var.pos,
                format!("{name}() variable name must be a simple identifier"),
            ));
        };
        let copy = self.parser.copy(&target)?;
        let value = self.receiver("value", copy, Vec::new())?;
        let mut some = self.bind(&var, value, body)?;
        if name == "optMap" {
            some = self.call("optional.of", vec![some])?;
        }
        let has = self.receiver("hasValue", target, Vec::new())?;
        let none = self.call("optional.none", Vec::new())?;
        self.call("_?_:_", vec![has, some, none])
    }

    fn sort_by(&mut self, target: Expr, args: Vec<Expr>) -> Parsed {
        const INPUT: &str = "@__sortBy_input__";
        if !matches!(
            target.kind,
            ExprKind::List(_)
                | ExprKind::Select { .. }
                | ExprKind::Ident(_)
                | ExprKind::Fold(_)
                | ExprKind::Call { .. }
        ) {
            return Err(issue(
                target.pos,
                "sortBy can only be applied to a list, identifier, comprehension, call or select \
                 expression",
            ));
        }
        let range = self.ident(INPUT)?;
        let keys = self.list("map", range, args)?;
        let input = self.ident(INPUT)?;
        let sorted = self.receiver("@sortByAssociatedKeys", input, vec![keys])?;
        self.bind(INPUT, target, sorted)
    }
}

/// Splits the variables of a loop off its arguments; `rest` arguments follow them.
fn split(mut args: Vec<Expr>, rest: usize) -> Result<(Vars, Vec<Expr>), Issue> {
    let rest = args.split_off(args.len().saturating_sub(rest));
    let mut names: Vec<String> = Vec::new();
    for arg in args {
        match arg.kind {
            ExprKind::Ident(name) if names.contains(&name) => {
                return Err(issue(arg.pos, format!("duplicate variable name: {name}")));
            }
            ExprKind::Ident(name) if name == "__result__" => {
                return Err(issue(
                    arg.pos,
                    "iteration variable overwrites accumulator variable",
                ));
            }
            ExprKind::Ident(name) => names.push(name),
            _ => return Err(issue(arg.pos, "argument must be a simple name")),
        }
    }
    let mut names = names.into_iter();
    let first = names.next().unwrap_or_default();
    let second = names.next();
    Ok((Vars { first, second }, rest))
}
