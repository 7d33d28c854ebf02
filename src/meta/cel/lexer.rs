//! Cuts a CEL expression into tokens. Must not know what they mean together.

use super::ast::Literal;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// The end of the source.
    End,
    /// A name, or a reserved word.
    Ident(String),
    /// A name in backquotes, allowed after a dot.
    Quoted(String),
    /// A number, string or bytes.
    Literal(Literal),
    /// An operator or a bracket, or one of the words `in`, `true`, `false`, `null`.
    Op(&'static str),
}

/// A token and where it stands, in code points.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    /// The token.
    pub token: Token,
    /// Its first code point.
    pub pos: u32,
    /// As it was written.
    pub text: String,
}

/// Why a source cannot be cut, and where.
pub(super) type LexError = (u32, String);

const OPERATORS: [&str; 28] = [
    "==", "!=", "<=", ">=", "&&", "||", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":",
    "+", "*", "/", "%", "<", ">", "in", "true", "false", "null",
];

/// Cuts the whole source. Comments and space are dropped, and what is no token is told and left
/// out.
pub(super) fn tokens(source: &[char]) -> (Vec<Placed>, Vec<LexError>) {
    let mut lexer = Lexer { source, at: 0 };
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    loop {
        lexer.skip_space();
        let start = lexer.at;
        let token = match lexer.token() {
            Ok(token) => token,
            Err(why) => {
                // A literal that cannot be read is still a literal.
                let is_literal = !why.1.starts_with(UNRECOGNIZED);
                errors.push(why);
                if errors.len() > MAX_ERRORS {
                    // The source is as good as over; a parser waits for its end.
                    Token::End
                } else if is_literal {
                    lexer.at = lexer.at.max(start + 1);
                    Token::Literal(Literal::Null)
                } else {
                    continue;
                }
            }
        };
        let end = token == Token::End;
        out.push(Placed {
            token,
            pos: place(start),
            text: lexer.text(start),
        });
        if end {
            return (out, errors);
        }
    }
}

/// Most errors of cutting that are told.
const MAX_ERRORS: usize = 100;
/// How the errors begin after which the text is left out.
const UNRECOGNIZED: &str = "Syntax error: token recognition error at: ";

fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

struct Lexer<'a> {
    source: &'a [char],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.source.get(self.at + ahead).copied()
    }

    fn text(&self, start: usize) -> String {
        self.source
            .get(start..self.at)
            .unwrap_or_default()
            .iter()
            .collect()
    }

    fn skip_space(&mut self) {
        while let Some(c) = self.peek(0) {
            if matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{c}') {
                self.at += 1;
            } else if c == '/' && self.peek(1) == Some('/') {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            } else {
                return;
            }
        }
    }

    fn token(&mut self) -> Result<Token, LexError> {
        let Some(first) = self.peek(0) else {
            return Ok(Token::End);
        };
        if let Some(token) = self.string()? {
            return Ok(token);
        }
        if first.is_ascii_digit()
            || (first == '.' && self.peek(1).is_some_and(|c| c.is_ascii_digit()))
        {
            return self.number();
        }
        if first.is_ascii_alphabetic() || first == '_' {
            return Ok(self.word());
        }
        if first == '`' {
            return self.quoted();
        }
        for op in OPERATORS {
            let mut chars = op.chars();
            if chars.next() == Some(first) && chars.next().is_none_or(|c| self.peek(1) == Some(c)) {
                self.at += op.len();
                return Ok(Token::Op(op));
            }
        }
        // The first half of an operator takes the next character with it.
        let half = usize::from(matches!(first, '=' | '&' | '|'));
        Err(self.unrecognized(self.at, self.at + 1 + half))
    }

    /// Leaves out what is no token.
    fn unrecognized(&mut self, start: usize, end: usize) -> LexError {
        let end = end.min(self.source.len());
        self.at = end;
        let text: String = self
            .source
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .collect();
        let text = text.replace('\n', "\\n");
        (place(start), format!("{UNRECOGNIZED}'{text}'"))
    }

    fn word(&mut self) -> Token {
        let start = self.at;
        while self
            .peek(0)
            .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            self.at += 1;
        }
        let text = self.text(start);
        match OPERATORS.iter().find(|op| **op == text) {
            Some(op) => Token::Op(op),
            None => Token::Ident(text),
        }
    }

    fn quoted(&mut self) -> Result<Token, LexError> {
        let start = self.at;
        self.at += 1;
        while self
            .peek(0)
            .is_some_and(|c| c.is_ascii_alphanumeric() || "_.-/ ".contains(c))
        {
            self.at += 1;
        }
        if self.peek(0) != Some('`') || self.at == start + 1 {
            return Err(self.unrecognized(start, self.at + 1));
        }
        let name: String = self
            .source
            .get(start + 1..self.at)
            .unwrap_or_default()
            .iter()
            .collect();
        self.at += 1;
        Ok(Token::Quoted(name))
    }

    fn digits(&mut self, hex: bool) -> usize {
        let start = self.at;
        while self
            .peek(0)
            .is_some_and(|c| c.is_ascii_digit() || (hex && c.is_ascii_hexdigit()))
        {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Token, LexError> {
        let start = self.at;
        if self.peek(0) == Some('0')
            && self.peek(1) == Some('x')
            && self.peek(2).is_some_and(|c| c.is_ascii_hexdigit())
        {
            self.at += 2;
            let from = self.at;
            self.digits(true);
            let text = self.text(from);
            return self.integer(start, &text, 16);
        }
        self.digits(false);
        let mut float = false;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
            self.digits(false);
            float = true;
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self.peek(1 + sign).is_some_and(|c| c.is_ascii_digit()) {
                self.at += 1 + sign;
                self.digits(false);
                float = true;
            }
        }
        let text = self.text(start);
        if !float {
            return self.integer(start, &text, 10);
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Token::Literal(Literal::Double(value))),
            _ => Err((place(start), "invalid double literal".to_owned())),
        }
    }

    /// An integer; one that is one too large for `int` is kept as `uint` without its mark, for
    /// the parser to negate (`-9223372036854775808`).
    fn integer(&mut self, start: usize, digits: &str, base: u32) -> Result<Token, LexError> {
        let value = u64::from_str_radix(digits, base);
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            return match value {
                Ok(value) => Ok(Token::Literal(Literal::Uint(value))),
                Err(_) => Err((place(start), "invalid uint literal".to_owned())),
            };
        }
        let bad = || (place(start), "invalid int literal".to_owned());
        let value = value.map_err(|_| bad())?;
        if value == i64::MIN.unsigned_abs() {
            return Ok(Token::Op("int64_min"));
        }
        i64::try_from(value)
            .map(|value| Token::Literal(Literal::Int(value)))
            .map_err(|_| bad())
    }

    /// A string or bytes literal with its prefixes, if one stands here.
    fn string(&mut self) -> Result<Option<Token>, LexError> {
        let start = self.at;
        let (mut raw, mut bytes, mut ahead) = (false, false, 0);
        while let Some(c) = self.peek(ahead) {
            match c {
                'r' | 'R' if !raw => raw = true,
                'b' | 'B' if !bytes && !raw => bytes = true,
                _ => break,
            }
            ahead += 1;
        }
        let Some(quote @ ('"' | '\'')) = self.peek(ahead) else {
            return Ok(None);
        };
        let triple = self.peek(ahead + 1) == Some(quote) && self.peek(ahead + 2) == Some(quote);
        let opened = start + ahead;
        self.at += ahead + if triple { 3 } else { 1 };
        let from = self.at;
        loop {
            let Some(c) = self.peek(0) else {
                return self.unclosed(start, opened, triple, bytes);
            };
            let closes = c == quote
                && (!triple || (self.peek(1) == Some(quote) && self.peek(2) == Some(quote)));
            if closes {
                break;
            }
            if c == '\n' && !triple {
                return Err(self.unrecognized(opened, self.at + 1));
            }
            if c == '\\' && !raw {
                if let Err(end) = self.escape() {
                    return Err(self.unrecognized(opened, end + 1));
                }
            } else {
                self.at += 1;
            }
        }
        let body = self.source.get(from..self.at).unwrap_or_default();
        let read = if raw {
            Ok(body.iter().collect::<String>().into_bytes())
        } else {
            unescape(body, bytes)
        };
        let read = read.map_err(|why| (place(start), why))?;
        self.at += if triple { 3 } else { 1 };
        if bytes {
            return Ok(Some(Token::Literal(Literal::Bytes(read))));
        }
        String::from_utf8(read)
            .map(|text| Some(Token::Literal(Literal::String(text))))
            .map_err(|_| (place(start), "invalid unicode code point".to_owned()))
    }
}

impl Lexer<'_> {
    /// Passes an escape; where it is none, tells which character makes it none.
    fn escape(&mut self) -> Result<(), usize> {
        let digits = match self.peek(1) {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '"' | '\'' | '\\' | '?' | '`') => {
                (0, 16)
            }
            Some('x' | 'X') => (2, 16),
            Some('u') => (4, 16),
            Some('U') => (8, 16),
            Some('0'..='3') => (2, 8),
            _ => return Err(self.at + 1),
        };
        self.at += 2;
        for _ in 0..digits.0 {
            if !self.peek(0).is_some_and(|c| c.is_digit(digits.1)) {
                return Err(self.at);
            }
            self.at += 1;
        }
        Ok(())
    }

    /// A string that does not end: its prefix is a name, three quotes are an empty string and the
    /// beginning of another.
    fn unclosed(
        &mut self,
        start: usize,
        opened: usize,
        triple: bool,
        bytes: bool,
    ) -> Result<Option<Token>, LexError> {
        if triple {
            self.at = opened + 2;
            let empty = if bytes {
                Literal::Bytes(Vec::new())
            } else {
                Literal::String(String::new())
            };
            return Ok(Some(Token::Literal(empty)));
        }
        if opened > start {
            self.at = opened;
            let prefix = self.source.get(start..opened).unwrap_or_default();
            return Ok(Some(Token::Ident(prefix.iter().collect())));
        }
        Err(self.unrecognized(opened, self.source.len()))
    }
}

/// Resolves the escapes of a literal's inside.
fn unescape(body: &[char], bytes: bool) -> Result<Vec<u8>, String> {
    const BAD: &str = "unable to unescape string";
    let mut out = Vec::new();
    let mut at = body.iter().copied();
    let push = |out: &mut Vec<u8>, c: char| {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    };
    while let Some(c) = at.next() {
        if c != '\\' {
            push(&mut out, c);
            continue;
        }
        let escape = at.next().ok_or(BAD)?;
        let (digits, base, mut value) = match escape {
            'a' => (0, 0, 7),
            'b' => (0, 0, 8),
            'f' => (0, 0, 12),
            'n' => (0, 0, 10),
            'r' => (0, 0, 13),
            't' => (0, 0, 9),
            'v' => (0, 0, 11),
            '\\' | '\'' | '"' | '`' | '?' => (0, 0, escape as u32),
            'x' | 'X' => (2, 16, 0),
            'u' if !bytes => (4, 16, 0),
            'U' if !bytes => (8, 16, 0),
            '0'..='3' => (2, 8, escape.to_digit(8).unwrap_or_default()),
            _ => return Err(BAD.to_owned()),
        };
        for _ in 0..digits {
            let digit = at.next().and_then(|c| c.to_digit(base)).ok_or(BAD)?;
            value = value.wrapping_mul(base).wrapping_add(digit);
        }
        match u8::try_from(value) {
            Ok(byte) if bytes => out.push(byte),
            _ => push(
                &mut out,
                char::from_u32(value).ok_or("invalid unicode code point")?,
            ),
        }
    }
    Ok(out)
}
