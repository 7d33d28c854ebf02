//! The string form of label selectors: words to requirements. Must not know how they match.
//! Kubernetes: apimachinery `labels.Parser`, whose order of complaints is kept.

use super::{Operator, Requirement, SelectorError, key_error};
use std::collections::BTreeSet;

/// Reads `a=b,c!=d,x in (1,2),!y`.
pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    Parser {
        tokens: lex(text),
        at: 0,
    }
    .selector()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Identifier(&'a str),
    In(&'a str),
    NotIn(&'a str),
    Symbol(&'a str),
    End,
}

impl<'a> Token<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::Identifier(t) | Self::In(t) | Self::NotIn(t) | Self::Symbol(t) => t,
            Self::End => "",
        }
    }

    /// Where a value stands, `in` and `notin` are words like any other.
    fn as_value(self) -> Self {
        match self {
            Self::In(t) | Self::NotIn(t) => Self::Identifier(t),
            other => other,
        }
    }
}

fn lex(text: &str) -> Vec<Token<'_>> {
    let symbol = |c: char| matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<');
    let space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(space);
    while !rest.is_empty() {
        let length = if let Some(two) = ["==", "!="].iter().find(|s| rest.starts_with(**s)) {
            two.len()
        } else if rest.starts_with(symbol) {
            1
        } else {
            rest.find(|c| symbol(c) || space(c)).unwrap_or(rest.len())
        };
        let (word, after) = rest.split_at(length);
        tokens.push(match word {
            "in" => Token::In(word),
            "notin" => Token::NotIn(word),
            _ if word.starts_with(symbol) => Token::Symbol(word),
            _ => Token::Identifier(word),
        });
        rest = after.trim_start_matches(space);
    }
    tokens
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek_raw(&self) -> Token<'a> {
        self.tokens.get(self.at).copied().unwrap_or(Token::End)
    }

    fn peek(&self) -> Token<'a> {
        self.peek_raw().as_value()
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn selector(&mut self) -> Result<Vec<Requirement>, SelectorError> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                Token::Identifier(_) | Token::Symbol("!") => {
                    let one = self.requirement().map_err(|e| {
                        SelectorError(format!("unable to parse requirement: {}", e.0))
                    })?;
                    requirements.push(one);
                    match self.next() {
                        Token::End => return Ok(requirements),
                        Token::Symbol(",") => match self.peek() {
                            Token::Identifier(_) | Token::Symbol("!") => {}
                            other => return Err(found(other, "identifier after ','")),
                        },
                        other => return Err(found(other, "',' or 'end of string'")),
                    }
                }
                Token::End => return Ok(requirements),
                other => return Err(found(other, "!, identifier, or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let mut token = self.next();
        let negated = token == Token::Symbol("!");
        if negated {
            token = self.next();
        }
        let Token::Identifier(key) = token else {
            return Err(found(token, "identifier"));
        };
        // Kubernetes prints the missing path of a selector in a URL so.
        if let Some(error) = key_error(key, "<nil>") {
            return Err(SelectorError(error));
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, []);
        }
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Requirement::new(key, Operator::Exists, []);
        }
        let token = self.peek_raw();
        self.at += 1;
        let operator = match token {
            Token::In(_) => Operator::In,
            Token::NotIn(_) => Operator::NotIn,
            Token::Symbol("=") => Operator::Equals,
            Token::Symbol("==") => Operator::DoubleEquals,
            Token::Symbol("!=") => Operator::NotEquals,
            Token::Symbol(">") => Operator::GreaterThan,
            Token::Symbol("<") => Operator::LessThan,
            other => return Err(found(other, "in, notin, =, ==, !=, gt, lt")),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => BTreeSet::from([self.exact_value()?]),
        };
        Requirement::new(key, operator, values)
    }

    fn exact_value(&mut self) -> Result<String, SelectorError> {
        match self.peek() {
            Token::End | Token::Symbol(",") => Ok(String::new()),
            Token::Identifier(value) => {
                self.at += 1;
                Ok(value.to_owned())
            }
            other => Err(found(other, "identifier")),
        }
    }

    fn values(&mut self) -> Result<BTreeSet<String>, SelectorError> {
        let open = self.next();
        if open != Token::Symbol("(") {
            return Err(SelectorError(format!(
                "found '{}' expected: '('",
                open.text()
            )));
        }
        match self.peek() {
            Token::Symbol(")") => {
                self.at += 1;
                return Ok(BTreeSet::new());
            }
            Token::Identifier(_) | Token::Symbol(",") => {}
            other => return Err(found(other, "',', ')' or identifier")),
        }
        let mut values = BTreeSet::new();
        loop {
            match self.next() {
                Token::Identifier(value) => {
                    values.insert(value.to_owned());
                    match self.peek() {
                        Token::Symbol(",") => {}
                        Token::Symbol(")") => break,
                        other => return Err(found(other, "',' or ')'")),
                    }
                }
                Token::Symbol(",") => {
                    if values.is_empty() {
                        values.insert(String::new());
                    }
                    match self.peek() {
                        Token::Symbol(")") => {
                            values.insert(String::new());
                            break;
                        }
                        Token::Symbol(",") => {
                            self.at += 1;
                            values.insert(String::new());
                        }
                        _ => {}
                    }
                }
                other => return Err(found(other, "',', or identifier")),
            }
        }
        self.at += 1;
        Ok(values)
    }
}

fn found(token: Token<'_>, expected: &str) -> SelectorError {
    SelectorError(format!("found '{}', expected: {expected}", token.text()))
}
