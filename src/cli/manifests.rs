//! What `-f` names, as objects: files, folders, URLs, standard input, several documents each. A
//! mistake is told with file, document, line and field. What comes before a mistake in a file is
//! used, what comes after it is not, and other files are: as kubectl does. Must not know verbs.

use crate::cli::context::CliError;
use crate::client::ClientError;
use crate::meta::Object;
use crate::meta::yaml::{self, Document};
use serde_json::Value;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest manifest that is read.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// All manifests of one call at most.
const ALL_BYTES_MAX: usize = 256 << 20;
/// Objects of all manifests of one call at most.
const OBJECTS_MAX: usize = 100_000;
/// The endings of files that a folder's manifests have. Kubernetes: kubectl's own list.
const ENDINGS: [&str; 3] = ["json", "yaml", "yml"];

/// Where an object stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    source: Arc<Source>,
    /// Which document of the file, from 1.
    document: usize,
    /// The line on which it begins.
    line: usize,
    /// `items[2]` in a List, else empty.
    within: String,
}

#[derive(Debug)]
struct Source {
    name: String,
    bytes: Vec<u8>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source.name)
    }
}

impl Place {
    /// The line that tells people where to look: `at pod.yaml:12 (document 2): spec.containers`.
    fn at(&self, field: &str) -> String {
        let path = match (self.within.as_str(), field) {
            (within, "") => within.to_owned(),
            ("", field) => field.to_owned(),
            (within, field) => format!("{within}.{field}"),
        };
        let line = match path.as_str() {
            "" => self.line,
            path => yaml::line_of(&self.source.bytes, self.document, path).unwrap_or(self.line),
        };
        let mut text = format!("at {self}:{line} (document {})", self.document);
        if !path.is_empty() {
            text.push_str(": ");
            text.push_str(&path);
        }
        text
    }

    /// An error about the object as a whole.
    pub(crate) fn locate(&self, error: CliError, field: &str) -> CliError {
        error.with_line(&self.at(field))
    }

    /// An error of the server about the object, with the lines of the fields that it names.
    pub(crate) fn refused(&self, error: ClientError, doing: &str) -> CliError {
        let ClientError::Api(mut api) = error else {
            return CliError::about_place(error, doing, &self.source.name);
        };
        api.message = format!("error when {doing} {:?}: {}", self.source.name, api.message);
        self.refused_plainly(ClientError::Api(api))
    }

    /// Like `refused`, where kubectl does not say what was done. What is wrong with the manifest is
    /// told with its line; what stands in its way on the server is not.
    pub(crate) fn refused_plainly(&self, error: ClientError) -> CliError {
        let fields = match &error {
            ClientError::Api(api) if matches!(api.code, 400 | 422) => {
                wrong_fields(&api.message, &api.details)
            }
            _ => return error.into(),
        };
        let told = CliError::from(error);
        if fields.is_empty() {
            return self.locate(told, "");
        }
        fields
            .iter()
            .fold(told, |told, field| self.locate(told, field))
    }

    /// A kind that the server does not have.
    pub(crate) fn unrecognized(&self, object: &Object, error: &CliError) -> CliError {
        let what = format!(
            "resource mapping not found for name: {:?} namespace: {:?} from {:?}: {}\nensure CRDs \
             are installed first",
            object.name(),
            object.namespace(),
            self.source.name,
            error.sentence()
        );
        self.locate(CliError::new(what), "kind")
    }
}

/// The most fields of one error whose lines are told.
const FIELDS_MAX: usize = 20;

/// The fields that an error of the server names: in its causes, or in its words.
fn wrong_fields(message: &str, details: &Value) -> Vec<String> {
    let causes = details.get("causes").and_then(Value::as_array);
    let mut fields: Vec<String> = causes
        .into_iter()
        .flatten()
        .filter_map(|cause| cause.get("field")?.as_str().map(str::to_owned))
        .filter(|field| !field.is_empty() && !field.starts_with('<'))
        .collect();
    if fields.is_empty() {
        let quoted = message.split(" field \"").skip(1);
        fields.extend(quoted.filter_map(|rest| rest.split_once('"').map(|(f, _)| f.to_owned())));
    }
    // Go names the type first: `ContainerPort.spec.containers.ports.containerPort`.
    if let Some((_, rest)) = message.split_once("Go struct field ") {
        let path = rest.split(' ').next().and_then(|path| path.split_once('.'));
        fields.extend(path.map(|(_, path)| path.to_owned()));
    }
    fields.truncate(FIELDS_MAX);
    fields
}

/// An object with where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) place: Place,
    /// The object.
    pub(crate) object: Object,
}

impl Manifest {
    /// An object of the program's own making.
    pub(crate) fn own(name: &str, object: Object) -> Self {
        let source = Source {
            name: name.to_owned(),
            bytes: Vec::new(),
        };
        Self {
            place: Place {
                source: Arc::new(source),
                document: 1,
                line: 1,
                within: String::new(),
            },
            object,
        }
    }
}

/// What manifests say, and what is wrong with some of them.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    pub(crate) manifests: Vec<Manifest>,
    pub(crate) errors: Vec<CliError>,
}

impl Manifests {
    /// All, or what is wrong.
    pub(crate) fn whole(self) -> Result<Vec<Manifest>, CliError> {
        CliError::all(self.errors)?;
        Ok(self.manifests)
    }
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
    /// Process a kustomization directory (not supported: build it with `kustomize`, pipe it to -f -).
    #[arg(long, short = 'k', value_name = "FOLDER")]
    kustomize: Option<String>,
}

impl FileArgs {
    /// Whether any manifests are named. An error for what cannot be read.
    pub(crate) fn given(&self) -> Result<bool, CliError> {
        match &self.kustomize {
            Some(folder) => Err(CliError::new(format!(
                "-k is not supported by wkube: run `kustomize build {folder} | wkube apply -f -`"
            ))),
            None => Ok(!self.filename.is_empty()),
        }
    }

    /// Whether one file is named, and nothing else.
    pub(crate) fn names_one_file(&self) -> bool {
        match self.filename.as_slice() {
            [only] => only == "-" || Path::new(only).is_file(),
            _ => false,
        }
    }
}

/// Reads all that `args` name. Lists are taken apart. What cannot be found or opened is an error of
/// the whole; what cannot be understood is one among `errors`.
pub(crate) async fn read(args: &FileArgs) -> Result<Manifests, CliError> {
    args.given()?;
    let mut found = Manifests::default();
    let mut all_bytes = 0;
    // Kubernetes: kubectl looks whether all paths are there before it reads any.
    for name in &args.filename {
        if !is_url(name) && name != "-" && !Path::new(name).exists() {
            return Err(CliError::new(format!("the path {name:?} does not exist")));
        }
    }
    for name in &args.filename {
        for (name, bytes) in sources(name, args.recursive).await? {
            all_bytes += bytes.len();
            if all_bytes > ALL_BYTES_MAX {
                let what = format!("{name}: all manifests are larger than {ALL_BYTES_MAX} bytes");
                return Err(CliError::new(what));
            }
            if let Err(error) = parse(Source { name, bytes }, &mut found.manifests) {
                found.errors.push(error);
            }
        }
    }
    Ok(found)
}

fn is_url(name: &str) -> bool {
    name.starts_with("http://") || name.starts_with("https://")
}

async fn sources(name: &str, recursive: bool) -> Result<Vec<(String, Vec<u8>)>, CliError> {
    if name == "-" {
        return Ok(vec![(
            "STDIN".to_owned(),
            bounded("STDIN", std::io::stdin())?,
        )]);
    }
    if is_url(name) {
        return Ok(vec![(name.to_owned(), fetch(name).await?)]);
    }
    let path = Path::new(name);
    let files = if path.is_dir() {
        let files = folder(path, recursive)?;
        if files.is_empty() {
            let what = format!(
                "error reading [{name}]: recognized file extensions are [.json .yaml .yml]"
            );
            return Err(CliError::new(what));
        }
        files
    } else {
        vec![path.to_owned()]
    };
    let mut read = Vec::new();
    for file in files {
        let place = file.display().to_string();
        let opened = std::fs::File::open(&file)
            .map_err(|error| CliError::new(format!("{place}: {error}")))?;
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
            // A link to a folder could lead round in circles; kubectl follows none either.
            if recursive && !path.is_symlink() {
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
        let what = format!(
            "unable to read URL {url:?}, server reported {status}, status code={}",
            status.as_u16()
        );
        return Err(CliError::new(what));
    }
    let mut bytes = Vec::new();
    while let Some(part) = response.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&part);
        bytes = check_size(url, bytes)?;
    }
    Ok(bytes)
}

/// Adds the objects of a text, read as kubectl's parser reads YAML, up to the first mistake.
fn parse(source: Source, out: &mut Vec<Manifest>) -> Result<(), CliError> {
    let source = Arc::new(source);
    for document in yaml::documents(&source.bytes) {
        let Document { index, line, value } = document
            .map_err(|error| CliError::new(format!("error parsing {}: {error}", source.name)))?;
        let mut place = Place {
            source: source.clone(),
            document: index,
            line,
            within: String::new(),
        };
        // The first line of a document is often a comment.
        if let Some(line) = yaml::line_of(&source.bytes, index, "") {
            place.line = line;
        }
        add(&place, value, out)?;
    }
    Ok(())
}

/// Kubernetes: what kubectl says of a document that is no object, or does not say which.
fn check(place: &Place, value: Value) -> Result<Object, CliError> {
    let failed = |what: &str| {
        CliError::new(format!(
            "error validating {:?}: error validating data: {what}; if you choose to ignore these \
             errors, turn validation off with --validate=false",
            place.source.name
        ))
    };
    let Some(object) = Object::from_value(value) else {
        return Err(place.locate(failed("invalid object to validate"), ""));
    };
    let what = match (object.api_version(), object.kind()) {
        ("", "") => "[apiVersion not set, kind not set]",
        ("", _) => "apiVersion not set",
        (_, "") => "kind not set",
        _ => return Ok(object),
    };
    Err(place.locate(failed(what), ""))
}

fn add(place: &Place, value: Value, out: &mut Vec<Manifest>) -> Result<(), CliError> {
    let mut object = check(place, value)?;
    if object.kind().ends_with("List") && object.fields().contains_key("items") {
        if let Some(Value::Array(items)) = object.remove(&["items"]) {
            for (number, item) in items.into_iter().enumerate() {
                let mut place = place.clone();
                let dot = if place.within.is_empty() { "" } else { "." };
                place.within = format!("{}{dot}items[{number}]", place.within);
                add(&place, item, out)?;
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
        place: place.clone(),
        object,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(text: &str) -> (Vec<Manifest>, String) {
        let mut out = Vec::new();
        let source = Source {
            name: "x.yaml".to_owned(),
            bytes: text.as_bytes().to_vec(),
        };
        let error = parse(source, &mut out).err();
        (
            out,
            error.map(|error| error.to_string()).unwrap_or_default(),
        )
    }

    #[test]
    fn documents_and_lists_are_taken_apart() {
        let text = "apiVersion: v1\nkind: A\n---\n---\napiVersion: v1\nkind: List\nitems:\n\
                    - {apiVersion: v1, kind: B}\n- {apiVersion: v1, kind: C}\n";
        let (found, error) = parsed(text);
        let kinds: Vec<&str> = found.iter().map(|m| m.object.kind()).collect();
        assert_eq!((kinds, error.as_str()), (vec!["A", "B", "C"], ""));
        assert_eq!(
            found[2].place.at("kind"),
            "at x.yaml:9 (document 2): items[1].kind"
        );
    }

    #[test]
    fn mistakes_name_file_document_and_line() {
        let (found, error) = parsed("apiVersion: v1\nkind: A\n---\na: b\n  c: d\n");
        assert_eq!(found.len(), 1);
        assert!(
            error.contains("x.yaml: document 2") && error.contains("line 5"),
            "{error}"
        );
        assert!(parsed("kind: A\n").1.contains("apiVersion not set"));
        assert!(parsed("- 1\n").1.ends_with("at x.yaml:1 (document 1)"));
    }

    #[test]
    fn fields_that_servers_name() {
        let of = |message: &str| wrong_fields(message, &Value::Null);
        assert_eq!(
            of("strict decoding error: unknown field \"a.b\", duplicate field \"c\""),
            ["a.b", "c"]
        );
        assert_eq!(
            of("cannot unmarshal string into Go struct field Port.spec.ports.port of type int32"),
            ["spec.ports.port"]
        );
        let causes = json!({"causes": [{"field": "spec.x"}, {"field": "<nil>"}]});
        assert_eq!(wrong_fields("", &causes), ["spec.x"]);
    }
}
