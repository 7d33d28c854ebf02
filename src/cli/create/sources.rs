//! Where the data of config maps and secrets comes from: literals, files, folders, env files. Must
//! not know which of the two it is for. Kubernetes: kubectl's `create configmap|secret generic`.

use crate::cli::context::CliError;
use std::collections::BTreeMap;
use std::path::Path;

/// The largest file that is taken; the server takes no object that is larger.
const FILE_BYTES_MAX: u64 = 3 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Sources {
    /// [KEY=]PATH of a file, or of a folder whose files are taken by their names
    #[arg(long, value_name = "[KEY=]PATH")]
    from_file: Vec<String>,
    /// KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    from_literal: Vec<String>,
    /// A file of lines KEY=VALUE
    #[arg(long, value_name = "PATH")]
    from_env_file: Vec<String>,
}

/// Keys and what stands at them.
pub(super) type Data = BTreeMap<String, Vec<u8>>;

impl Sources {
    /// Reads all of them.
    pub(super) fn read(&self, what: &str) -> Result<Data, CliError> {
        let mut data = Data::new();
        let simple = !self.from_file.is_empty() || !self.from_literal.is_empty();
        if simple && !self.from_env_file.is_empty() {
            let words = "from-env-file cannot be combined with from-file or from-literal";
            return Err(CliError::new(words));
        }
        for source in &self.from_file {
            file(source, what, &mut data)?;
        }
        for source in &self.from_literal {
            let (key, value) = literal(source)?;
            add(&mut data, what, key, value.as_bytes().to_vec())?;
        }
        for path in &self.from_env_file {
            env_file(path, what, &mut data)?;
        }
        Ok(data)
    }
}

fn literal(source: &str) -> Result<(&str, &str), CliError> {
    let wrong = || format!("invalid literal source {source}, expected key=value");
    let (key, value) = source
        .split_once('=')
        .ok_or_else(|| CliError::new(wrong()))?;
    if key.is_empty() {
        return Err(CliError::new(wrong()));
    }
    Ok((key, value))
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |error: std::io::Error| {
        CliError::new(match error.kind() {
            std::io::ErrorKind::NotFound => {
                format!(
                    "error reading {}: no such file or directory",
                    path.display()
                )
            }
            _ => format!("error reading {}: {error}", path.display()),
        })
    };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > FILE_BYTES_MAX {
        let what = format!("{} is larger than {FILE_BYTES_MAX} bytes", path.display());
        return Err(CliError::new(what));
    }
    std::fs::read(path).map_err(failed)
}

fn file(source: &str, what: &str, data: &mut Data) -> Result<(), CliError> {
    let (key, path) = match source.split_once('=') {
        Some((key, path)) if key.is_empty() || path.is_empty() || path.contains('=') => {
            let what = "key names or file paths cannot contain '='";
            return Err(CliError::new(what));
        }
        Some((key, path)) => (Some(key), Path::new(path)),
        None => (None, Path::new(source)),
    };
    if !path.is_dir() {
        let name = path.file_name().and_then(|name| name.to_str());
        let bytes = read(path)?;
        return add(data, what, key.or(name).unwrap_or_default(), bytes);
    }
    if key.is_some() {
        let what = "cannot give a key name for a directory path";
        return Err(CliError::new(what));
    }
    let unreadable = |error| CliError::new(format!("error listing files in {source}: {error}"));
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.filter(|name| path.is_file() && is_key(name)) else {
            continue;
        };
        add(data, what, name, read(&path)?)?;
    }
    Ok(())
}

fn env_file(path: &str, what: &str, data: &mut Data) -> Result<(), CliError> {
    let text = String::from_utf8(read(Path::new(path))?)
        .map_err(|_| CliError::new(format!("env file {path} contains invalid utf8 bytes")))?;
    for line in text.lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // Kubernetes: a key alone takes its value from the environment, if there is one.
        match line.split_once('=') {
            Some((key, value)) => add(data, what, key, value.as_bytes().to_vec())?,
            None => {
                if let Ok(value) = std::env::var(line) {
                    add(data, what, line, value.into_bytes())?;
                }
            }
        }
    }
    Ok(())
}

fn is_key(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty()
        && name.len() <= 253
        && name != "."
        && !name.starts_with("..")
        && name.chars().all(fits)
}

fn add(data: &mut Data, what: &str, key: &str, value: Vec<u8>) -> Result<(), CliError> {
    if !is_key(key) {
        let words = format!(
            "{key:?} is not a valid key name for a {what}: a valid config key must consist of \
             alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or \
             'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
        );
        return Err(CliError::new(words));
    }
    if data.contains_key(key) {
        let words =
            format!("cannot add key {key:?}, another key by that name already exists in Data");
        return Err(CliError::new(words));
    }
    data.insert(key.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_keys() {
        assert_eq!(literal("a='b=c'").unwrap(), ("a", "'b=c'"));
        assert_eq!(literal("a=").unwrap(), ("a", ""));
        assert!(literal("a").is_err() && literal("=b").is_err());
        let mut data = Data::new();
        add(&mut data, "ConfigMap", "a.b_c-1", Vec::new()).unwrap();
        let again = add(&mut data, "ConfigMap", "a.b_c-1", Vec::new());
        assert!(
            again
                .unwrap_err()
                .to_string()
                .contains("already exists in Data")
        );
        assert!(add(&mut data, "ConfigMap", "a/b", Vec::new()).is_err());
    }
}
