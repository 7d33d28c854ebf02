//! Field selectors: `metadata.name=x,status.phase!=Running`. Must not know which fields a kind
//! can be selected by: `resources` says that, the caller checks it with `requirements`.
//! Kubernetes: apimachinery `fields`; words are its own.

use crate::meta::labels::{MAX_SELECTOR_BYTES, SelectorError};
use std::fmt;

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// The field's path, for example `metadata.name`.
    pub field: String,
    /// Whether it must differ from `value` (else be equal).
    pub negated: bool,
    /// What it is compared with, unescaped.
    pub value: String,
}

/// Comparisons that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Matches all.
    pub fn everything() -> Self {
        Self::default()
    }

    /// `field=value`.
    pub fn equals(field: &str, value: &str) -> Self {
        Self {
            requirements: vec![FieldRequirement {
                field: field.to_owned(),
                negated: false,
                value: value.to_owned(),
            }],
        }
    }

    /// Reads the string form. Empty matches all.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.len() > MAX_SELECTOR_BYTES {
            return Err(SelectorError::new(format!(
                "selector is longer than {MAX_SELECTOR_BYTES} bytes"
            )));
        }
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms.into_iter().filter(|t| !t.is_empty()) {
            let Some((field, operator, value)) = split_term(term) else {
                return Err(SelectorError::new(format!(
                    "invalid selector: '{text}'; can't understand '{term}'"
                )));
            };
            requirements.push(FieldRequirement {
                field: field.to_owned(),
                negated: operator == "!=",
                value: unescape(value)?,
            });
        }
        Ok(Self { requirements })
    }

    /// The comparisons.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// Whether every object matches.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether fields looked up by `field` match; a field that is absent counts as empty.
    pub fn matches(&self, field: impl Fn(&str) -> Option<String>) -> bool {
        self.requirements.iter().all(|r| {
            let value = field(&r.field).unwrap_or_default();
            (value == r.value) != r.negated
        })
    }

    /// The value that `field` must be equal to, if the selector says so.
    pub fn requires_exact(&self, field: &str) -> Option<&str> {
        self.requirements
            .iter()
            .find(|r| !r.negated && r.field == field)
            .map(|r| r.value.as_str())
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, r) in self.requirements.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let operator = if r.negated { "!=" } else { "=" };
            write!(f, "{comma}{}{operator}{}", r.field, escape(&r.value))?;
        }
        Ok(())
    }
}

/// Writes `value` so that `FieldSelector::parse` reads it back.
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | ',' | '=') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                terms.push(text.get(start..index).unwrap_or_default());
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(text.get(start..).unwrap_or_default());
    terms
}

fn split_term(term: &str) -> Option<(&str, &str, &str)> {
    for (index, _) in term.char_indices() {
        let (field, rest) = term.split_at(index);
        for operator in ["!=", "==", "="] {
            if let Some(value) = rest.strip_prefix(operator) {
                return Some((field, operator, value));
            }
        }
    }
    None
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let bad = |sequence: &str| {
        SelectorError::new(format!(
            "invalid field selector: invalid escape sequence: {sequence}"
        ))
    };
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => out.push(next),
                Some(other) => return Err(bad(&format!("\\{other}"))),
                None => return Err(bad("\\")),
            },
            // Kubernetes prints the character's number.
            ',' | '=' => {
                return Err(SelectorError::new(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(c)
                )));
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> String {
        FieldSelector::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn reads_matches_and_refuses_as_kubernetes_does() {
        let selector = FieldSelector::parse("status.phase!=Running,metadata.name==x").unwrap();
        assert_eq!(
            selector.to_string(),
            "metadata.name=x,status.phase!=Running"
        );
        assert_eq!(selector.requires_exact("metadata.name"), Some("x"));
        let field = |name: &str| (name == "metadata.name").then(|| "x".to_owned());
        assert!(selector.matches(field));
        assert!(!selector.matches(|_| Some("Running".to_owned())));
        assert!(FieldSelector::parse("").unwrap().is_everything());
        assert!(FieldSelector::equals("spec.nodeName", "").matches(|_| None));
        assert_eq!(
            words("metadata.name"),
            "invalid selector: 'metadata.name'; can't understand 'metadata.name'"
        );
        assert_eq!(
            words("a=b\\x"),
            "invalid field selector: invalid escape sequence: \\x"
        );
        assert_eq!(
            words("a=b=c"),
            "invalid field selector: unescaped character in value: 61"
        );
        let odd = FieldSelector::parse("a=x\\,y\\=z\\\\").unwrap();
        assert_eq!(odd.requires_exact("a"), Some("x,y=z\\"));
    }

    proptest! {
        #[test]
        fn never_panics_and_reads_back(text in "[a.=!,\\\\é]{0,30}") {
            if let Ok(selector) = FieldSelector::parse(&text) {
                let mut again = FieldSelector::parse(&selector.to_string()).unwrap();
                let mut selector = selector;
                let order = |r: &FieldRequirement| (r.field.clone(), r.negated, r.value.clone());
                again.requirements.sort_by_key(order);
                selector.requirements.sort_by_key(order);
                prop_assert_eq!(again, selector);
            }
        }
    }
}
