//! The words after a subcommand: `--name value`, plain words, and what follows `--`.

use crate::Failure;
use std::collections::BTreeMap;
use std::str::FromStr;

/// The words, told apart.
pub(crate) struct Args {
    named: BTreeMap<String, String>,
    plain: Vec<String>,
    /// What follows `--`.
    pub(crate) rest: Vec<String>,
}

impl Args {
    pub(crate) fn parse(words: &[String]) -> Result<Self, Failure> {
        let mut args = Self {
            named: BTreeMap::new(),
            plain: Vec::new(),
            rest: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                args.rest = words.cloned().collect();
                break;
            }
            match word.strip_prefix("--") {
                Some(name) => {
                    let value = words.next().ok_or(format!("--{name} needs a value"))?;
                    args.named.insert(name.to_owned(), value.clone());
                }
                None => args.plain.push(word.clone()),
            }
        }
        Ok(args)
    }

    /// The plain word at `index`, which `what` names.
    pub(crate) fn plain(&self, index: usize, what: &str) -> Result<&str, Failure> {
        let word = self.plain.get(index);
        Ok(word.ok_or(format!("{what} is missing"))?)
    }

    /// The value of `--name`.
    pub(crate) fn get<T>(&self, name: &str) -> Result<T, Failure>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let value = self.named.get(name);
        let value = value.ok_or(format!("--{name} is missing"))?;
        let parsed = value.parse();
        parsed.map_err(|error| format!("--{name} {value}: {error}").into())
    }

    /// The value of `--name`, or `default`.
    pub(crate) fn get_or<T>(&self, name: &str, default: T) -> Result<T, Failure>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        if self.named.contains_key(name) {
            self.get(name)
        } else {
            Ok(default)
        }
    }
}
