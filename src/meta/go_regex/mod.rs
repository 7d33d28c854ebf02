//! Regular expressions as Go's `regexp` reads them, run by the crate `regex` in linear time:
//! patterns of schemas and of CEL. Must not know what they are matched with.

mod syntax;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use regex::{Regex, RegexBuilder};

/// Largest compiled pattern (bytes).
const MAX_COMPILED: usize = 2 << 20;
/// Longest pattern (bytes).
const MAX_PATTERN: usize = 100_000;
/// Deepest nesting of a pattern.
const MAX_NESTING: u32 = 200;
/// Most compiled patterns that are kept; rules are few and use the same ones again and again.
const MAX_KEPT: usize = 256;

static KEPT: LazyLock<Mutex<HashMap<String, Arc<Regex>>>> = LazyLock::new(Mutex::default);

/// Compiles a pattern, or takes it from those kept. The error is what Go says of the pattern.
pub fn compile(pattern: &str) -> Result<Arc<Regex>, String> {
    if let Some(kept) = KEPT.lock().get(pattern) {
        return Ok(Arc::clone(kept));
    }
    let bad = |why: &str, part: &str| format!("error parsing regexp: {why}: `{part}`");
    if pattern.len() > MAX_PATTERN {
        return Err(bad("expression too large", pattern));
    }
    let translated = syntax::translate(pattern).map_err(|(why, part)| bad(why, &part))?;
    let compiled = RegexBuilder::new(&translated)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .nest_limit(MAX_NESTING)
        .build();
    match compiled {
        Ok(regex) => {
            let regex = Arc::new(regex);
            let mut kept = KEPT.lock();
            if kept.len() >= MAX_KEPT {
                kept.clear();
            }
            kept.insert(pattern.to_owned(), Arc::clone(&regex));
            Ok(regex)
        }
        Err(regex::Error::CompiledTooBig(_)) => Err(bad("expression too large", pattern)),
        Err(_) => Err(bad("expression nests too deeply", pattern)),
    }
}
