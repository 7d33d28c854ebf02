//! `patch`: a change to an object, in one of four forms, applied to what is there and tried again
//! when that has changed. Must not know how a form works: `meta` does.

use super::options;
use super::update::answer;
use super::write::{Change, decode, read, strict_words, take_namespace};
use super::{Target, ownership, read_body};
use crate::api::codec::{self, Strict};
use crate::api::context::Context;
use crate::api::{ApiServer, Body};
use crate::meta::go_json;
use crate::meta::options::{FieldValidation, WriteOptions};
use crate::meta::patch::{json, merge, strategic};
use crate::meta::{ApiError, FieldError, Object, Reason};
use crate::resources::{Part, ResourceDef};
use http::{Request, Response};
use serde_json::Value;

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// A patch as it was sent.
pub(crate) struct Patch {
    form: Form,
    /// Names that stood twice in it.
    duplicates: Vec<String>,
    /// What the reader of YAML says of names that stand twice.
    lines: Vec<String>,
}

enum Form {
    Json(Value),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

impl Patch {
    /// Reads a patch and its options from a request.
    pub(crate) async fn of(
        server: &ApiServer,
        context: &Context,
        def: &ResourceDef,
        request: Request<Body>,
    ) -> Result<(Self, WriteOptions), ApiError> {
        let content_type = codec::content_type(&context.headers);
        let mut forms = vec![JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH];
        if !def.schema.is_typed() {
            forms.retain(|form| *form != STRATEGIC_PATCH);
        }
        if !forms.contains(&content_type.as_str()) {
            let forms = forms.join(", ");
            return Err(ApiError::new(
                Reason::UnsupportedMediaType,
                format!(
                    "the body of the request was in an unknown format - accepted media types \
                     include: {forms}"
                ),
            ));
        }
        let options = options::patch(context, content_type == APPLY_PATCH)?;
        let body = read_body(server, request.into_body()).await?;
        Ok((Self::read(&content_type, &body)?, options))
    }

    fn read(content_type: &str, body: &[u8]) -> Result<Self, ApiError> {
        let (head, strict) = match content_type {
            APPLY_PATCH => ("error decoding YAML: ", codec::decode_yaml(body)),
            _ => {
                let parsed = codec::parse_json(body);
                let parsed =
                    parsed.map_err(|error| ApiError::bad_request(go_json::words(body, &error)));
                // Kubernetes says no more of a strategic merge patch than what is wrong.
                let head = match content_type {
                    STRATEGIC_PATCH => "",
                    _ => "error decoding patch: ",
                };
                (head, parsed)
            }
        };
        let Strict {
            value,
            duplicates,
            lines,
        } = strict.map_err(|error| ApiError::bad_request(format!("{head}{}", error.message)))?;
        let form = match content_type {
            JSON_PATCH => Form::Json(value),
            MERGE_PATCH => Form::Merge(value),
            APPLY_PATCH => Form::Apply(value),
            _ => Form::Strategic(value),
        };
        Ok(Self {
            form,
            duplicates,
            lines,
        })
    }

    /// What is to be applied, if this is an apply.
    pub(crate) fn applied(&self) -> Option<Strict> {
        match &self.form {
            Form::Apply(config) => Some(self.strict(config.clone())),
            _ => None,
        }
    }

    /// A value that came of the patch, with what a strict reader objects to in the patch.
    pub(crate) fn strict(&self, value: Value) -> Strict {
        Strict {
            value,
            duplicates: self.duplicates.clone(),
            lines: self.lines.clone(),
        }
    }

    /// Decodes what has come of the patch. Kubernetes tells what is wrong with it as an invalid
    /// field `patch` of nothing.
    pub(crate) fn decode(
        &self,
        context: &Context,
        def: &ResourceDef,
        value: Value,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        let shown = match (&self.form, options.field_validation) {
            (Form::Strategic(patch), _) => strategic::go_text(patch),
            _ => value.to_string(),
        };
        let invalid = |why: &str| {
            let error = FieldError::invalid("patch", shown.as_str(), why);
            ApiError::invalid("", "", "", &[error])
        };
        let strict = Strict {
            value,
            ..Strict::default()
        };
        let (object, unknown) = read(def, strict).map_err(|error| {
            let head = format!("cannot be handled as a {}: ", def.kind);
            let why = error.message.split_once(&head).map(|(_, why)| why);
            let why = why.unwrap_or(&error.message);
            match self.form {
                Form::Strategic(_) => invalid(&converter_words(why)),
                _ => invalid(why),
            }
        })?;
        let mut objections = self.objections();
        objections.extend(unknown);
        match options.field_validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => objections.into_iter().for_each(|text| context.warn(text)),
            FieldValidation::Strict if objections.is_empty() => {}
            FieldValidation::Strict => return Err(invalid(&strict_words(&objections))),
        }
        Ok(object)
    }

    /// What a strict reader objects to in the patch itself.
    fn objections(&self) -> Vec<String> {
        let duplicate = |path: &String| format!("duplicate field {path:?}");
        let duplicates = self.duplicates.iter().map(duplicate);
        match &self.form {
            Form::Json(operations) => json::unknown_names(operations)
                .into_iter()
                .chain(duplicates)
                .map(|text| format!("json patch {text}"))
                .collect(),
            _ => duplicates.collect(),
        }
    }

    /// What a patch that is no apply makes of a document of the kind `def`.
    pub(crate) fn apply(&self, document: Value, def: &ResourceDef) -> Result<Value, ApiError> {
        let patched = match &self.form {
            Form::Json(operations) => json::apply(document, operations),
            Form::Merge(patch) => merge::apply(document, patch),
            Form::Strategic(patch) => {
                let schema = def.schema.get();
                strategic::apply(document, patch, Some(schema.root()))
            }
            Form::Apply(_) => return Ok(document),
        };
        Ok(patched?)
    }
}

/// Serves a patch of an object or of the part that `part` names.
pub(crate) async fn patch(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    part: Part,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept(context)?;
    let (patch, options) = Patch::of(server, context, &target.def, request).await?;
    let config = patch.applied();
    let change = Change {
        server,
        context,
        target,
        part,
        options: &options,
        owned: config.is_some(),
    };
    let written = change
        .update(|old| {
            if let Some(config) = &config {
                return applied(&change, config, old);
            }
            let Some(old) = old else {
                let of = target.def.group_resource();
                return Err(ApiError::not_found(&of, &target.name));
            };
            let value = patch.apply(old.clone().into_value(), &target.def)?;
            let mut new = patch.decode(context, &target.def, value, &options)?;
            take_namespace(target, &mut new)?;
            check_name(target, &new)?;
            Ok(new)
        })
        .await?;
    answer(server, context, target, &accepted, written)
}

/// What the decoder says of a value of the wrong type, in the words of the converter that Kubernetes
/// uses after a strategic merge. Kubernetes: apimachinery `runtime.fromUnstructured`.
fn converter_words(why: &str) -> String {
    let types = why
        .strip_prefix("json: cannot unmarshal ")
        .and_then(|rest| rest.split_once(" into "))
        .and_then(|(from, rest)| Some((from, rest.rsplit_once(" of type ")?.1)));
    let Some((from, to)) = types else {
        return why.to_owned();
    };
    let (kind, whole) = match from {
        "array" => ("slice", "[]interface {}"),
        "object" => ("map", "map[string]interface {}"),
        "number" => ("int64", "int64"),
        other => (other, other),
    };
    if to.starts_with("[]") {
        format!("cannot restore slice from {kind}")
    } else if to.starts_with("map[") {
        format!("cannot restore map from {kind}")
    } else if to.contains('.') {
        format!("cannot restore struct from: {kind}")
    } else {
        format!("cannot convert {whole} to {to}")
    }
}

/// An object keeps its name.
fn check_name(target: &Target, object: &Object) -> Result<(), ApiError> {
    if object.name() == target.name {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "the name of the object ({}) does not match the name on the URL ({})",
        object.name(),
        target.name
    )))
}

/// The object that an apply makes of the present one, or makes anew.
fn applied(change: &Change<'_>, config: &Strict, old: Option<&Object>) -> Result<Object, ApiError> {
    let target = change.target;
    if old.is_none() && !target.subresource.is_empty() {
        let of = target.def.group_resource();
        return Err(ApiError::not_found(&of, &target.name));
    }
    let Some(sent) = Object::from_value(config.value.clone()) else {
        return Err(ApiError::bad_request(
            "error decoding YAML: the configuration is no object",
        ));
    };
    ownership::check(change, &sent)?;
    let mut config = decode(change.context, &target.def, config.clone(), change.options)?;
    if config.name().is_empty() {
        config.set(&["metadata", "name"], target.name.as_str().into());
    }
    check_name(target, &config)?;
    take_namespace(target, &mut config)?;
    let uid = config.uid();
    if old.is_none() && !uid.is_empty() {
        return Err(change.conflict(&format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was \
             found"
        )));
    }
    ownership::apply(change, &config, old)
}
