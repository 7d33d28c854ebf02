//! Go's syntax of regular expressions in that of the crate `regex`, or why it is none. Classes of
//! letters are ASCII and brackets do not nest. Must not run anything.
//!
//! Kubernetes: Go's `regexp/syntax`, with the flags of Perl.

/// What is wrong, and the part of the pattern that is.
pub(super) type Wrong = (&'static str, String);

/// Most times that counted repetitions, taken together, repeat something.
const MAX_REPEAT: u32 = 1000;
const BAD_ESCAPE: &str = "invalid escape sequence";
const BAD_RANGE: &str = "invalid character class range";
const BAD_NAME: &str = "invalid named capture";
const NO_ARGUMENT: &str = "missing argument to repetition operator";
const NESTED: &str = "invalid nested repetition operator";
const BAD_COUNT: &str = "invalid repeat count";

/// The same pattern for the crate.
pub(super) fn translate(pattern: &str) -> Result<String, Wrong> {
    let mut reader = Reader {
        whole: pattern,
        rest: pattern,
        out: String::new(),
        groups: Vec::new(),
        level: Level::default(),
        last_repeat: None,
    };
    while !reader.rest.is_empty() {
        let repeat = reader.step()?;
        reader.last_repeat = repeat;
    }
    if !reader.groups.is_empty() {
        return Err(("missing closing )", pattern.to_owned()));
    }
    Ok(reader.out)
}

/// One group that is open.
#[derive(Default)]
struct Level {
    /// Whether something stands that a repetition can repeat.
    operand: bool,
    /// How often the last operand repeats what is in it.
    last: u32,
    /// The most of all operands so far.
    most: u32,
}

struct Reader<'a> {
    whole: &'a str,
    rest: &'a str,
    out: String,
    groups: Vec<Level>,
    level: Level,
    /// Where the repetition right before this place began.
    last_repeat: Option<&'a str>,
}

/// What stands in a class or alone.
enum Item {
    Char(char),
    Class(String),
}

impl<'a> Reader<'a> {
    fn operand(&mut self, weight: u32) {
        self.level.operand = true;
        self.level.most = self.level.most.max(self.level.last);
        self.level.last = weight;
    }

    fn literal(&mut self, c: char) {
        self.out
            .push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        self.operand(1);
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// The text from a place that was read up to where the reader is now.
    fn since(&self, from: &'a str) -> String {
        let read = from.len().saturating_sub(self.rest.len());
        from.get(..read).unwrap_or_default().to_owned()
    }

    /// Reads one element; tells where a repetition began.
    fn step(&mut self) -> Result<Option<&'a str>, Wrong> {
        let from = self.rest;
        let Some(c) = from.chars().next() else {
            return Ok(None);
        };
        match c {
            '(' if from.starts_with("(?") => self.flags()?,
            '(' => {
                self.advance(1);
                self.out.push('(');
                self.open();
            }
            '|' => {
                self.advance(1);
                self.out.push('|');
                self.level.most = self.level.most.max(self.level.last);
                self.level.last = 1;
                self.level.operand = false;
            }
            ')' => self.close()?,
            '^' | '$' | '.' => {
                self.advance(1);
                self.out.push(c);
                self.operand(1);
            }
            '[' => self.class()?,
            '*' | '+' | '?' => {
                self.advance(1);
                self.repeat(from, &c.to_string(), None)?;
                return Ok(Some(from));
            }
            '{' => return self.braces(from),
            '\\' => self.escaped(from)?,
            _ => {
                self.advance(c.len_utf8());
                self.literal(c);
            }
        }
        Ok(None)
    }

    fn open(&mut self) {
        self.groups.push(std::mem::take(&mut self.level));
    }

    fn close(&mut self) -> Result<(), Wrong> {
        let Some(outer) = self.groups.pop() else {
            return Err(("unexpected )", self.whole.to_owned()));
        };
        self.advance(1);
        self.out.push(')');
        let weight = self.level.most.max(self.level.last).max(1);
        self.level = outer;
        self.operand(weight);
        Ok(())
    }

    /// `(?i)`, `(?i-s:`, `(?P<name>` and `(?<name>`.
    fn flags(&mut self) -> Result<(), Wrong> {
        let from = self.rest;
        let named = ["(?P<", "(?<"]
            .into_iter()
            .find(|start| from.starts_with(start) && from.len() > start.len());
        if let Some(start) = named {
            let Some(end) = from.find('>') else {
                return Err((BAD_NAME, from.to_owned()));
            };
            let name = from.get(start.len()..end).unwrap_or_default();
            if name.is_empty() || name.contains(|c: char| c != '_' && !c.is_ascii_alphanumeric()) {
                return Err((BAD_NAME, from.get(..=end).unwrap_or_default().to_owned()));
            }
            self.advance(end + 1);
            // Nobody asks for groups by name here, and the crate takes fewer names.
            self.out.push('(');
            self.open();
            return Ok(());
        }
        self.advance(2);
        let (mut negative, mut any) = (false, false);
        let mut flags = String::new();
        while let Some(c) = self.rest.chars().next() {
            self.advance(c.len_utf8());
            match c {
                'i' | 'm' | 's' | 'U' => {
                    any = true;
                    flags.push(c);
                }
                '-' if !negative => {
                    negative = true;
                    any = false;
                    flags.push(c);
                }
                ':' | ')' if !negative || any => {
                    if !(flags.is_empty() && c == ')') {
                        self.out.push_str(&format!("(?{flags}{c}"));
                    }
                    if c == ':' {
                        self.open();
                    }
                    return Ok(());
                }
                _ => break,
            }
        }
        Err(("invalid or unsupported Perl syntax", self.since(from)))
    }

    /// `{2}`, `{2,}`, `{2,3}`; anything else is a brace.
    fn braces(&mut self, from: &'a str) -> Result<Option<&'a str>, Wrong> {
        let Some((min, max, length)) = counts(from) else {
            self.advance(1);
            self.literal('{');
            return Ok(None);
        };
        self.advance(length);
        let most = i64::from(MAX_REPEAT);
        if min > most || max.is_some_and(|max| max > most || min > max) {
            return Err((BAD_COUNT, self.since(from)));
        }
        let operator = self.since(from);
        let times = u32::try_from(max.unwrap_or(min)).unwrap_or(0);
        self.repeat(from, &operator, Some(times))?;
        Ok(Some(from))
    }

    fn repeat(&mut self, from: &'a str, operator: &str, times: Option<u32>) -> Result<(), Wrong> {
        let lazy = self.rest.starts_with('?');
        if lazy {
            self.advance(1);
        }
        if let Some(last) = self.last_repeat {
            return Err((NESTED, self.since(last)));
        }
        if !self.level.operand {
            return Err((NO_ARGUMENT, self.since(from)));
        }
        if let Some(times) = times.filter(|times| *times > 0) {
            self.level.last = self.level.last.max(1).saturating_mul(times);
            if times >= 2 && self.level.last > MAX_REPEAT {
                return Err((BAD_COUNT, self.since(from)));
            }
        }
        self.out.push_str(operator);
        if lazy {
            self.out.push('?');
        }
        Ok(())
    }

    fn escaped(&mut self, from: &'a str) -> Result<(), Wrong> {
        let simple = match from.get(..2) {
            Some("\\A") => "\\A",
            Some("\\z") => "\\z",
            Some("\\b") => "(?-u:\\b)",
            Some("\\B") => "(?-u:\\B)",
            Some("\\C") => return Err((BAD_ESCAPE, "\\C".to_owned())),
            Some("\\Q") => {
                let text = from.get(2..).unwrap_or_default();
                let (literal, rest) = text.split_once("\\E").unwrap_or((text, ""));
                literal.chars().for_each(|c| self.literal(c));
                self.rest = rest;
                return Ok(());
            }
            _ => "",
        };
        if !simple.is_empty() {
            self.advance(2);
            self.out.push_str(simple);
            self.operand(1);
            return Ok(());
        }
        match self.item()? {
            Item::Char(c) => self.literal(c),
            Item::Class(class) => {
                self.out.push_str(&format!("[{class}]"));
                self.operand(1);
            }
        }
        Ok(())
    }

    /// `\pL`, `\d`, or one character that is escaped.
    fn item(&mut self) -> Result<Item, Wrong> {
        if let Some(class) = self.unicode()? {
            return Ok(Item::Class(class));
        }
        if let Some(class) = self.perl() {
            return Ok(Item::Class(class.to_owned()));
        }
        self.escape().map(Item::Char)
    }

    fn perl(&mut self) -> Option<&'static str> {
        let class = match self.rest.get(..2)? {
            "\\d" => "0-9",
            "\\D" => "[^0-9]",
            "\\s" => "\\t\\n\\x0c\\r\\x20",
            "\\S" => "[^\\t\\n\\x0c\\r\\x20]",
            "\\w" => "0-9A-Za-z_",
            "\\W" => "[^0-9A-Za-z_]",
            _ => return None,
        };
        self.advance(2);
        Some(class)
    }

    fn unicode(&mut self) -> Result<Option<String>, Wrong> {
        let from = self.rest;
        let mut negative = from.starts_with("\\P");
        if !negative && !from.starts_with("\\p") {
            return Ok(None);
        }
        let Some(first) = from.get(2..).and_then(|rest| rest.chars().next()) else {
            return Err((BAD_RANGE, from.to_owned()));
        };
        let (mut name, length) = if first == '{' {
            let end = from.find('}').ok_or((BAD_RANGE, from.to_owned()))?;
            (from.get(3..end).unwrap_or_default(), end + 1)
        } else {
            let end = 2 + first.len_utf8();
            (from.get(2..end).unwrap_or_default(), end)
        };
        let shown = from.get(..length).unwrap_or_default();
        if let Some(rest) = name.strip_prefix('^') {
            negative = !negative;
            name = rest;
        }
        let class = format!("\\{}{{{name}}}", if negative { 'P' } else { 'p' });
        let known = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_- ".contains(&b));
        if !known || regex::Regex::new(&class).is_err() {
            return Err((BAD_RANGE, shown.to_owned()));
        }
        self.advance(length);
        Ok(Some(class))
    }

    /// One escaped character.
    fn escape(&mut self) -> Result<char, Wrong> {
        let from = self.rest;
        self.advance(1);
        let Some(c) = self.rest.chars().next() else {
            return Err(("trailing backslash at end of expression", String::new()));
        };
        self.advance(c.len_utf8());
        let octal = |rest: &str| rest.starts_with(|c| matches!(c, '0'..='7'));
        let found = match c {
            'a' => Some('\x07'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            'x' => self.hex(),
            '0'..='7' if c == '0' || octal(self.rest) => {
                let mut code = c.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    if !octal(self.rest) {
                        break;
                    }
                    let next = self.rest.chars().next().and_then(|c| c.to_digit(8));
                    code = code * 8 + next.unwrap_or(0);
                    self.advance(1);
                }
                char::from_u32(code)
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        };
        found.ok_or_else(|| (BAD_ESCAPE, self.since(from)))
    }

    /// `\x41`, `\x{1F600}`; where it ends badly, the reader stands behind what is bad.
    fn hex(&mut self) -> Option<char> {
        let mut next = || {
            let c = self.rest.chars().next()?;
            self.rest = self.rest.get(c.len_utf8()..)?;
            Some(c)
        };
        let first = next()?;
        if first != '{' {
            let second = next()?;
            return char::from_u32(first.to_digit(16)? * 16 + second.to_digit(16)?);
        }
        let (mut code, mut any) = (0_u32, false);
        loop {
            match next()? {
                '}' => return char::from_u32(code).filter(|_| any),
                c => {
                    code = code * 16 + c.to_digit(16)?;
                    any = true;
                    if code > u32::from(char::MAX) {
                        return None;
                    }
                }
            }
        }
    }

    fn class(&mut self) -> Result<(), Wrong> {
        let from = self.rest;
        self.advance(1);
        let mut out = String::from("[");
        if self.rest.starts_with('^') {
            self.advance(1);
            out.push('^');
        }
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            if let Some(named) = self.named_class()? {
                out.push_str(&named);
                continue;
            }
            if let Some(class) = self.unicode()? {
                out.push_str(&class);
                continue;
            }
            if let Some(class) = self.perl() {
                out.push_str(class);
                continue;
            }
            let begin = self.rest;
            let low = self.class_char(from)?;
            let mut high = low;
            if self.rest.len() >= 2 && self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.advance(1);
                high = self.class_char(from)?;
                if high < low {
                    return Err((BAD_RANGE, self.since(begin)));
                }
            }
            let code = |c: char| format!("\\x{{{:x}}}", u32::from(c));
            out.push_str(&format!("{}-{}", code(low), code(high)));
        }
        self.advance(1);
        out.push(']');
        self.out.push_str(&out);
        self.operand(1);
        Ok(())
    }

    fn class_char(&mut self, class: &str) -> Result<char, Wrong> {
        let Some(c) = self.rest.chars().next() else {
            return Err(("missing closing ]", class.to_owned()));
        };
        if c == '\\' {
            return self.escape();
        }
        self.advance(c.len_utf8());
        Ok(c)
    }

    /// `[:alpha:]` inside a class.
    fn named_class(&mut self) -> Result<Option<String>, Wrong> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print",
            "punct", "space", "upper", "word", "xdigit",
        ];
        let Some(inside) = self.rest.strip_prefix("[:").filter(|rest| !rest.is_empty()) else {
            return Ok(None);
        };
        let Some(end) = inside.find(":]") else {
            return Ok(None);
        };
        let written = self.rest.get(..end + 4).unwrap_or_default().to_owned();
        let name = inside.get(..end).unwrap_or_default();
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err((BAD_RANGE, written));
        }
        self.advance(end + 4);
        Ok(Some(written))
    }
}

/// The numbers in braces, and how long they are with the braces.
fn counts(text: &str) -> Option<(i64, Option<i64>, usize)> {
    let inside = text.strip_prefix('{')?;
    let end = inside.find('}')?;
    let inside = inside.get(..end)?;
    let number = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let leading = text.len() > 1 && text.starts_with('0');
        // Too large a number is no error of reading.
        (plain && !leading).then(|| text.parse().unwrap_or(i64::MAX))
    };
    let (min, max) = match inside.split_once(',') {
        None => (number(inside)?, Some(number(inside)?)),
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
    };
    Some((min, max, end + 2))
}
