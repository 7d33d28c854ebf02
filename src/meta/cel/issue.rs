//! Errors of reading and checking an expression, printed with the line and a caret below it.
//! Must not know what is checked.

use std::fmt;

/// Most errors of one expression that are printed.
const MAX_PRINTED: usize = 100;
/// Longest source line (bytes) that is printed with an error.
const MAX_SNIPPET: usize = 16384;

/// One error and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Place in the source, in code points.
    pub pos: u32,
    /// What is wrong.
    pub message: String,
    /// Whether the place means nothing (limits on the whole expression).
    pub placeless: bool,
}

/// Why an expression cannot be used; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issues {
    source: String,
    issues: Vec<Issue>,
}

impl Issues {
    /// The errors of a source.
    pub fn new(source: &str, mut issues: Vec<Issue>) -> Self {
        issues.sort_by_key(|issue| if issue.placeless { 0 } else { issue.pos });
        Self {
            source: source.to_owned(),
            issues,
        }
    }

    /// The errors in order of place.
    pub fn list(&self) -> &[Issue] {
        &self.issues
    }

    /// Line (from 1), column (from 0, in code points) and text of the line.
    fn place(&self, pos: u32) -> (usize, usize, &str) {
        let mut left = usize::try_from(pos).unwrap_or(usize::MAX);
        let mut number = 0;
        let mut last = "";
        for line in self.source.split('\n') {
            number += 1;
            last = line;
            let length = line.chars().count();
            if left <= length {
                return (number, left, line);
            }
            left -= length + 1;
        }
        (number.max(1), last.chars().count(), last)
    }

    fn print(&self, issue: &Issue) -> String {
        if issue.placeless {
            return format!("ERROR: <input>:-1:0: {}", issue.message);
        }
        let (line, column, text) = self.place(issue.pos);
        let mut out = format!("ERROR: <input>:{line}:{}: {}", column + 1, issue.message);
        if text.len() > MAX_SNIPPET {
            return out;
        }
        out.push_str("\n | ");
        out.push_str(&text.replace('\t', " "));
        out.push_str("\n | ");
        for character in text.chars().take(column) {
            out.push(if character.len_utf8() > 1 { '．' } else { '.' });
        }
        let wide = text.chars().nth(column).is_some_and(|c| c.len_utf8() > 1);
        out.push(if wide { '＾' } else { '^' });
        out
    }
}

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self
            .issues
            .iter()
            .take(MAX_PRINTED)
            .map(|issue| self.print(issue))
            .collect();
        f.write_str(&shown.join("\n"))?;
        if self.issues.len() > MAX_PRINTED {
            let rest = self.issues.len() - MAX_PRINTED;
            write!(f, "\n{rest} more errors were truncated")?;
        }
        Ok(())
    }
}

impl std::error::Error for Issues {}
