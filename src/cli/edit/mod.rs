//! `wkube edit`: objects in the user's editor, and a patch of what has become of them. Must not
//! lose what the user has written.
//! Kubernetes: kubectl's `editor.EditOptions`.

mod launch;

use crate::cli::apply::with_memory;
use crate::cli::change::{Found, found, send_patch, two_way};
use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::manifests::FileArgs;
use crate::cli::patch::shown;
use crate::cli::printers::go_json;
use crate::cli::resource_args::{ObjectArgs, SelectorArgs};
use crate::client::{ClientError, Query};
use crate::meta::{Object, Reason, yaml};
use http::Method;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Kubernetes: what stands above the object; JSON has no comments, and so no head.
const HEAD: &str = "\
# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TYPE NAME, or TYPE/NAME...
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    /// Edit and print as yaml or json.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<String>,
    /// Keep the managedFields when printing objects in JSON or YAML format.
    #[arg(long)]
    show_managed_fields: bool,
    /// Output the patch if the resource is edited.
    #[arg(long)]
    output_patch: bool,
    /// Remember the object in its annotation, for a later apply.
    #[arg(long)]
    save_config: bool,
    /// If specified, edit will operate on the subresource of the requested object.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    subresource: String,
    /// How the server takes unknown and duplicate fields: strict (or true), warn, ignore (or false).
    #[arg(long, default_value = "strict", num_args = 0..=1, require_equals = true,
          default_missing_value = "strict", value_name = "HOW")]
    validate: String,
    /// End the lines of the file as Windows does.
    #[arg(long)]
    windows_line_endings: bool,
    /// Name of the manager that owns what is edited.
    #[arg(long, value_name = "NAME", default_value = "kubectl-edit")]
    field_manager: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Yaml,
    Json,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let asked = args.format()?;
    let query = args.query()?;
    let context = global.connect().await?;
    let objects = ObjectArgs {
        words: args.words.clone(),
        files: args.files.clone(),
        selectors: SelectorArgs::default(),
    };
    let (mut list, errors) = found(&context, &objects, false).await?;
    CliError::all(errors)?;
    if list.is_empty() {
        return Err(CliError::new("edit cancelled, no objects found"));
    }
    for found in &mut list {
        if !args.subresource.is_empty() {
            let path = found.path(&args.subresource);
            let bytes = context.client.call(Method::GET, &path, None).await?;
            let part: Value = serde_json::from_slice(&bytes).map_err(CliError::new)?;
            found.object = Object::from_value(part).unwrap_or_default();
        }
        // They are of no use to people; the server keeps them.
        found.object.remove(&["metadata", "managedFields"]);
    }
    let mut session = Session {
        args: &args,
        context: &context,
        asked,
        query,
        list,
        file: None,
        complaints: Vec::new(),
    };
    session.run().await
}

impl Args {
    fn format(&self) -> Result<Option<Format>, CliError> {
        match self.output.as_deref().unwrap_or_default() {
            "" => Ok(None),
            "yaml" => Ok(Some(Format::Yaml)),
            "json" => Ok(Some(Format::Json)),
            other => Err(CliError::new(format!(
                "unable to match a printer suitable for the output format {other:?}, allowed \
                 formats are: json,yaml"
            ))),
        }
    }

    fn query(&self) -> Result<Query, CliError> {
        let validation = match self.validate.as_str() {
            "true" | "strict" => "Strict",
            "warn" => "Warn",
            "false" | "ignore" => "Ignore",
            other => {
                let what = format!(
                    "invalid - validate option {other:?}; must be one of: strict (or true), warn, \
                     ignore (or false)"
                );
                return Err(CliError::new(what));
            }
        };
        Ok(Query::new()
            .with("fieldManager", &self.field_manager)
            .with("fieldValidation", validation))
    }
}

/// Why the file is opened again.
#[derive(Debug, PartialEq)]
struct Complaint {
    head: String,
    details: Vec<String>,
}

/// What came of the objects of one file.
#[derive(Debug, Default)]
struct Tally {
    retryable: bool,
    not_found: bool,
    complaints: Vec<Complaint>,
}

/// An edit, from the first look to the last.
struct Session<'a> {
    args: &'a Args,
    context: &'a Context,
    /// The form of the result, if one was asked for.
    asked: Option<Format>,
    query: Query,
    list: Vec<Found>,
    /// Where the user's text is kept.
    file: Option<PathBuf>,
    complaints: Vec<Complaint>,
}

impl Session<'_> {
    async fn run(&mut self) -> Result<ExitCode, CliError> {
        let original = self.original();
        // What the user has written that could not be taken.
        let mut refused: Option<String> = None;
        loop {
            let text = match &refused {
                Some(text) => without_comments(text),
                None => original.clone(),
            };
            let ending = match self.format() {
                Format::Yaml => ".yaml",
                Format::Json => ".json",
            };
            let launched = launch::edit(&(self.head() + &text), ending);
            let (edited, file) = launched.map_err(|error| self.kept(error))?;
            let before = refused.as_deref();
            if before.is_some_and(|before| content(before) == content(&edited)) {
                self.file = Some(file);
                let what = "Edit cancelled, no valid changes were saved.";
                return Err(self.kept(CliError::new(what)));
            }
            self.forget();
            self.file = Some(file);
            let nothing = if content(&original) == content(&edited) {
                Some("Edit cancelled, no changes made.")
            } else if !has_lines(&edited) {
                Some("Edit cancelled, saved file was empty.")
            } else {
                None
            };
            if let Some(what) = nothing {
                self.forget();
                eprintln!("{what}");
                return Ok(ExitCode::SUCCESS);
            }
            if let Some(code) = self.pass(&edited).await? {
                return Ok(code);
            }
            refused = Some(edited);
        }
    }

    fn format(&self) -> Format {
        self.asked.unwrap_or(Format::Yaml)
    }

    /// The objects as the user is to see them: one as it is, several as a list.
    fn original(&self) -> String {
        let value = match self.list.as_slice() {
            [only] => only.value(),
            several => {
                let items: Vec<Value> = several.iter().map(Found::value).collect();
                json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items})
            }
        };
        let text = written(self.format(), &value);
        if self.args.windows_line_endings {
            return text.replace('\n', "\r\n");
        }
        text
    }

    fn head(&self) -> String {
        match self.format() {
            Format::Yaml => head(&self.complaints),
            Format::Json => String::new(),
        }
    }

    /// Changes the objects of a file; answers the exit code, or nothing where the file is to be
    /// opened again.
    async fn pass(&mut self, text: &str) -> Result<Option<ExitCode>, CliError> {
        let objects = match objects(text) {
            Ok(objects) => objects,
            Err(why) => {
                self.complaints = vec![Complaint {
                    head: format!("The edited file had a syntax error: {why}"),
                    details: Vec::new(),
                }];
                return Ok(None);
            }
        };
        let mut tally = Tally::default();
        for object in objects {
            let changed = self.change(object, &mut tally).await;
            changed.map_err(|error| self.kept(error))?;
        }
        let file = self.file.clone().unwrap_or_default();
        if tally.retryable {
            let file = file.display();
            eprintln!("You can run `wkube replace -f {file}` to try this update again.");
            return Ok(Some(ExitCode::FAILURE));
        }
        if tally.not_found {
            eprintln!("The edits you made on deleted resources have been saved to {file:?}");
            return Ok(Some(ExitCode::FAILURE));
        }
        self.complaints = tally.complaints;
        if self.complaints.is_empty() {
            self.forget();
            return Ok(Some(ExitCode::SUCCESS));
        }
        Ok(None)
    }

    async fn change(&self, mut object: Object, tally: &mut Tally) -> Result<(), CliError> {
        let mut all = self.list.iter();
        let Some(found) = all.find(|found| found.object.uid() == object.uid()) else {
            let what = format!(
                "no original object found for {} {:?}",
                object.kind(),
                object.name()
            );
            return Err(CliError::new(what));
        };
        object.remove(&["metadata", "managedFields"]);
        self.check(found, &mut object)?;
        if self.args.save_config {
            object = with_memory(&object);
        }
        let (old, new) = (found.value(), object.into_value());
        let patch = two_way(&self.context.client, &found.row, &old, &new).await?;
        let Some((kind, patch)) = patch else {
            self.tell(found, &new, "skipped");
            return Ok(());
        };
        if self.args.output_patch {
            println!("Patch: {}", go_json::compact(&patch));
        }
        let part = &self.args.subresource;
        match send_patch(self.context, found, part, kind, &patch, &self.query).await {
            Ok(after) => self.tell(found, &after, "edited"),
            Err(error) => eprintln!("{}", tally.add(found, &error)),
        }
        Ok(())
    }

    /// What may not be edited.
    fn check(&self, found: &Found, object: &mut Object) -> Result<(), CliError> {
        let old = &found.object;
        if object.namespace().is_empty() && !old.namespace().is_empty() {
            object.set(&["metadata", "namespace"], json!(old.namespace()));
        }
        let own = object.namespace();
        if own != old.namespace() {
            return Err(CliError::new(format!(
                "the namespace from the provided object {own:?} does not match the namespace \
                 {:?}. You must pass '--namespace={own}' to perform this operation.",
                old.namespace()
            )));
        }
        let is_same = object.api_version() == old.api_version()
            && object.kind() == old.kind()
            && object.name() == old.name();
        if !is_same {
            let what = "At least one of apiVersion, kind and name was changed";
            return Err(CliError::new(what));
        }
        Ok(())
    }

    fn tell(&self, found: &Found, after: &Value, done: &str) {
        let Some(format) = self.asked else {
            println!("{} {done}", shown(found, after));
            return;
        };
        let mut object = Object::from_value(after.clone()).unwrap_or_default();
        if !self.args.show_managed_fields {
            object.remove(&["metadata", "managedFields"]);
        }
        print!("{}", written(format, &object.into_value()));
    }

    /// Takes away the file of an edit that is done with.
    fn forget(&mut self) {
        if let Some(file) = self.file.take() {
            // A file that stays is no harm.
            let _ = std::fs::remove_file(file);
        }
    }

    /// Tells where the user's text is, before the error.
    fn kept(&self, error: CliError) -> CliError {
        if let Some(file) = self.file.as_ref().filter(|file| file.exists()) {
            eprintln!("A copy of your changes has been stored to {file:?}");
        }
        error
    }
}

impl Tally {
    /// Counts what the server has refused; answers what is said of it.
    fn add(&mut self, found: &Found, error: &ClientError) -> String {
        let of = found.row.resource.group_resource();
        let name = found.object.name();
        match (error, error.reason()) {
            (ClientError::Api(api), Some(Reason::Invalid)) => {
                let text = |cause: &Value, name: &str| {
                    let text = cause.get(name).and_then(Value::as_str);
                    text.unwrap_or_default().to_owned()
                };
                let causes = api.details.get("causes").and_then(Value::as_array);
                let causes = causes.into_iter().flatten();
                let details = causes
                    .map(|cause| format!("{}: {}", text(cause, "field"), text(cause, "message")));
                self.complaints.push(Complaint {
                    head: format!("{of} {name:?} was not valid"),
                    details: details.collect(),
                });
                format!("error: {of} {name:?} is invalid")
            }
            (_, Some(Reason::NotFound)) => {
                self.not_found = true;
                format!("error: {of} {name:?} could not be found on the server")
            }
            _ => {
                self.retryable = true;
                format!("error: {of} {name:?} could not be patched: {error}")
            }
        }
    }
}

fn written(format: Format, value: &Value) -> String {
    match format {
        Format::Yaml => yaml::text(value),
        Format::Json => go_json::pretty(value) + "\n",
    }
}

/// The comment above the object, with why the file is opened again.
fn head(complaints: &[Complaint]) -> String {
    let mut head = HEAD.to_owned();
    for complaint in complaints {
        let colon = if complaint.details.is_empty() {
            ""
        } else {
            ":"
        };
        head.push_str(&format!("# {}{colon}\n", commented(&complaint.head)));
        for detail in &complaint.details {
            head.push_str(&format!("# * {}\n", commented(detail)));
        }
        head.push_str("#\n");
    }
    head
}

/// Lines below the first are comments too.
fn commented(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '\n' && chars.peek().is_some_and(|next| *next != '#') {
            out.push_str("# ");
        }
    }
    out
}

/// What a text says, so that two can be compared: comments say nothing.
fn content(text: &str) -> String {
    match yaml::value(text.as_bytes()) {
        Ok(value) => go_json::compact(&value),
        Err(_) => without_comments(text),
    }
}

fn without_comments(text: &str) -> String {
    let is_comment = |line: &str| line.starts_with('#') && !line.starts_with("#!");
    text.split_inclusive('\n')
        .filter(|line| !is_comment(line.trim()))
        .collect()
}

fn has_lines(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    lines.any(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The objects of an edited text; lists are taken apart.
fn objects(text: &str) -> Result<Vec<Object>, String> {
    let mut found = Vec::new();
    for document in yaml::documents(text.as_bytes()) {
        let document = document.map_err(|error| format!("error parsing edited-file: {error}"))?;
        let mut object = object(document.value)?;
        let is_list = object.kind().ends_with("List");
        match object.fields_mut().remove("items") {
            Some(Value::Array(items)) if is_list => {
                for item in items {
                    found.push(self::object(item)?);
                }
            }
            Some(items) => {
                object.fields_mut().insert("items".to_owned(), items);
                found.push(object);
            }
            None => found.push(object),
        }
    }
    Ok(found)
}

fn object(value: Value) -> Result<Object, String> {
    let text = go_json::compact(&value);
    let missing = |what: &str| {
        format!("unable to decode \"edited-file\": Object '{what}' is missing in '{text}'")
    };
    match Object::from_value(value) {
        Some(object) if !object.kind().is_empty() && !object.api_version().is_empty() => Ok(object),
        Some(object) if !object.kind().is_empty() => Err(missing("apiVersion")),
        _ => Err(missing("Kind")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_say_nothing() {
        assert_eq!(content("# a\nb: 1 # c\n"), content("b: 1\n"));
        assert_ne!(content("b: 1\n"), content("b: 2\n"));
        // What cannot be read is compared line by line.
        assert_eq!(content("# a\nb: [\n"), content("b: [\n"));
        assert!(!has_lines("# a\n\n  # b\n") && has_lines("# a\nb\n"));
    }

    #[test]
    fn the_head_tells_why_the_file_is_opened_again() {
        let complaint = Complaint {
            head: "pods \"x\" was not valid".to_owned(),
            details: vec!["spec: a\nb".to_owned()],
        };
        assert_eq!(
            head(&[complaint]),
            format!("{HEAD}# pods \"x\" was not valid:\n# * spec: a\n# b\n#\n")
        );
    }

    #[test]
    fn edited_texts_are_objects() {
        let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A}\n";
        let kinds = |text: &str| {
            objects(text).map(|all| all.iter().map(|o| o.kind().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(kinds(list), Ok(vec!["A".to_owned()]));
        assert_eq!(kinds("apiVersion: v1\nkind: B\n"), Ok(vec!["B".to_owned()]));
        assert!(
            kinds("a: 1")
                .unwrap_err()
                .contains("Object 'Kind' is missing")
        );
        assert!(
            kinds("a: [")
                .unwrap_err()
                .starts_with("error parsing edited-file: ")
        );
    }
}
