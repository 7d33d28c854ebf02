//! What `-f` names, as objects: files, folders, URLs, standard input, several documents each. A
//! mistake is told with file, document and line, and nothing of that file is used. Must not know
//! verbs.

use crate::cli::context::CliError;
use crate::meta::Object;
use crate::meta::yaml::{self, Document};
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest manifest that is read.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Objects of all manifests of one call at most.
const OBJECTS_MAX: usize = 100_000;
/// The endings of files that a folder's manifests have. Kubernetes: kubectl's own list.
const ENDINGS: [&str; 3] = ["json", "yaml", "yml"];

/// An object with where it stands.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// `file.yaml`, or `file.yaml document 2`.
    pub(crate) place: String,
    /// The object.
    pub(crate) object: Object,
}

/// The flags that name manifests.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct FileArgs {
    /// Files, folders, URLs or `-` that contain the configuration.
    #[arg(
        long = "filename",
        short = 'f',
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub(crate) filename: Vec<String>,
    /// Process the folders of -f recursively.
    #[arg(long, short = 'R')]
    pub(crate) recursive: bool,
}

/// Reads all that `args` name. Lists are taken apart.
pub(crate) async fn read(args: &FileArgs) -> Result<Vec<Manifest>, CliError> {
    let mut manifests = Vec::new();
    for name in &args.filename {
        for (place, bytes) in sources(name, args.recursive).await? {
            parse(&place, &bytes, &mut manifests)?;
        }
    }
    Ok(manifests)
}

async fn sources(name: &str, recursive: bool) -> Result<Vec<(String, Vec<u8>)>, CliError> {
    if name == "-" {
        return Ok(vec![(
            "STDIN".to_owned(),
            bounded("STDIN", std::io::stdin())?,
        )]);
    }
    if name.starts_with("http://") || name.starts_with("https://") {
        return Ok(vec![(name.to_owned(), fetch(name).await?)]);
    }
    let path = Path::new(name);
    let files = if path.is_dir() {
        folder(path, recursive)?
    } else {
        vec![path.to_owned()]
    };
    let mut read = Vec::new();
    for file in files {
        let place = file.display().to_string();
        let opened = std::fs::File::open(&file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                CliError::new(format!("the path {place:?} does not exist"))
            }
            _ => CliError::new(format!("{place}: {error}")),
        })?;
        let bytes = bounded(&place, opened)?;
        read.push((place, bytes));
    }
    Ok(read)
}

fn folder(path: &Path, recursive: bool) -> Result<Vec<PathBuf>, CliError> {
    let unreadable = |error: std::io::Error| CliError::new(format!("{}: {error}", path.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let ending = path
            .extension()
            .and_then(|ending| ending.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            if recursive {
                found.extend(folder(&path, true)?);
            }
        } else if ENDINGS.contains(&ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn bounded(place: &str, from: impl Read) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = from.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| CliError::new(format!("{place}: {error}")))?;
    check_size(place, bytes)
}

fn check_size(place: &str, bytes: Vec<u8>) -> Result<Vec<u8>, CliError> {
    if bytes.len() as u64 > MANIFEST_BYTES_MAX {
        let what = format!("{place}: larger than {MANIFEST_BYTES_MAX} bytes");
        return Err(CliError::new(what));
    }
    Ok(bytes)
}

async fn fetch(url: &str) -> Result<Vec<u8>, CliError> {
    let failed =
        |error: reqwest::Error| CliError::new(format!("unable to read URL {url:?}: {error}"));
    let mut response = reqwest::get(url).await.map_err(failed)?;
    if !response.status().is_success() {
        let status = response.status();
        let what = format!("unable to read URL {url:?}, server reported {status}");
        return Err(CliError::new(what));
    }
    let mut bytes = Vec::new();
    while let Some(part) = response.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&part);
        bytes = check_size(url, bytes)?;
    }
    Ok(bytes)
}

/// Adds the objects of a text, read as kubectl's parser reads YAML.
fn parse(place: &str, bytes: &[u8], out: &mut Vec<Manifest>) -> Result<(), CliError> {
    for document in yaml::documents(bytes) {
        let Document { index, line, value } =
            document.map_err(|error| CliError::new(format!("error parsing {place}: {error}")))?;
        let place = match index {
            1 => place.to_owned(),
            index => format!("{place} document {index} (line {line})"),
        };
        add(&place, value, out)?;
    }
    Ok(())
}

fn add(place: &str, value: Value, out: &mut Vec<Manifest>) -> Result<(), CliError> {
    let Some(mut object) = Object::from_value(value) else {
        return Err(CliError::new(format!(
            "{place}: not an object with apiVersion and kind"
        )));
    };
    let missing = [
        ("apiVersion", object.api_version()),
        ("kind", object.kind()),
    ]
    .into_iter()
    .find(|(_, value)| value.is_empty());
    if let Some((field, _)) = missing {
        // Kubernetes: kubectl's words for a manifest without a kind.
        let what = format!(
            "unable to decode {place:?}: Object '{}' is missing in '{}'",
            if field == "kind" { "Kind" } else { field },
            object.into_value()
        );
        return Err(CliError::new(what));
    }
    if object.kind().ends_with("List") && object.fields().contains_key("items") {
        if let Some(Value::Array(items)) = object.remove(&["items"]) {
            for item in items {
                add(place, item, out)?;
            }
        }
        return Ok(());
    }
    if out.len() >= OBJECTS_MAX {
        return Err(CliError::new(format!(
            "{place}: more than {OBJECTS_MAX} objects at once"
        )));
    }
    out.push(Manifest {
        place: place.to_owned(),
        object,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Manifest>, CliError> {
        let mut out = Vec::new();
        parse("x.yaml", text.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn documents_and_lists_are_taken_apart() {
        let text = "apiVersion: v1\nkind: A\n---\n---\napiVersion: v1\nkind: List\nitems:\n\
                    - {apiVersion: v1, kind: B}\n- {apiVersion: v1, kind: C}\n";
        let kinds: Vec<String> = parsed(text)
            .unwrap()
            .iter()
            .map(|m| m.object.kind().to_owned())
            .collect();
        assert_eq!(kinds, ["A", "B", "C"]);
    }

    #[test]
    fn mistakes_name_file_document_and_line() {
        let error = parsed("apiVersion: v1\nkind: A\n---\na: b\n  c: d\n")
            .unwrap_err()
            .text;
        assert!(
            error.contains("x.yaml: document 2") && error.contains("line 5"),
            "{error}"
        );
        assert!(parsed("kind: A\n").unwrap_err().text.contains("apiVersion"));
        assert!(parsed("- 1\n").unwrap_err().text.contains("not an object"));
    }
}
