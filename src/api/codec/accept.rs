//! What the answer is to look like: media type and shape (the object, a Table, its metadata), from
//! the `Accept` header. The first clause that can be served wins, by quality, as in Kubernetes.
//! Must not know how a shape is made.

use crate::api::context::Context;
use crate::api::request_info::is_true;
use crate::meta::protobuf;
use crate::meta::{ApiError, Reason};
use crate::resources::wire;
use http::HeaderMap;
use http::header::ACCEPT;

/// Clauses of an `Accept` header that are looked at.
const CLAUSES_MAX: usize = 64;

/// A wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Yaml,
    Protobuf,
}

impl Format {
    /// Its media type.
    fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => protobuf::MEDIA_TYPE,
        }
    }
}

/// What stands in the answer in place of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The objects.
    Object,
    /// A Table of this version of meta.k8s.io.
    Table(&'static str),
    /// Only the metadata of one object, in this version of meta.k8s.io.
    Partial(&'static str),
    /// Only the metadata of a list's objects.
    Partials(&'static str),
}

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) format: Format,
    pub(crate) shape: Shape,
    pub(crate) pretty: bool,
}

impl Accepted {
    /// `Content-Type` of the answer.
    pub(crate) fn content_type(&self) -> &'static str {
        self.format.media_type()
    }

    /// `Content-Type` of a watch.
    pub(crate) fn watch_content_type(&self) -> &'static str {
        match self.format {
            Format::Protobuf => protobuf::WATCH_MEDIA_TYPE,
            Format::Json | Format::Yaml => "application/json",
        }
    }

    /// Plain JSON.
    pub(crate) fn json() -> Self {
        Self {
            format: Format::Json,
            shape: Shape::Object,
            pretty: false,
        }
    }
}

struct Clause<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl Clause<'_> {
    fn parameter(&self, name: &str) -> &str {
        self.parameters
            .iter()
            .find(|(own, _)| *own == name)
            .map_or("", |(_, value)| value)
    }

    fn format(&self) -> Option<Format> {
        match self.media {
            "application/json" | "application/*" | "*/*" => Some(Format::Json),
            "application/yaml" => Some(Format::Yaml),
            protobuf::MEDIA_TYPE => Some(Format::Protobuf),
            _ => None,
        }
    }

    fn shape(&self) -> Option<Shape> {
        let version = match self.parameter("v") {
            "v1" => "v1",
            "v1beta1" => "v1beta1",
            _ => "",
        };
        let meta = self.parameter("g") == "meta.k8s.io" && !version.is_empty();
        match self.parameter("as") {
            "" => Some(Shape::Object),
            "Table" if meta => Some(Shape::Table(version)),
            "PartialObjectMetadata" if meta => Some(Shape::Partial(version)),
            "PartialObjectMetadataList" if meta => Some(Shape::Partials(version)),
            _ => None,
        }
    }
}

/// The clauses, best first; an absent header accepts anything.
fn clauses(headers: &HeaderMap) -> Vec<Clause<'_>> {
    let texts = headers.get_all(ACCEPT).into_iter();
    let texts: Vec<&str> = texts.filter_map(|value| value.to_str().ok()).collect();
    let mut clauses: Vec<Clause<'_>> = texts
        .iter()
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .take(CLAUSES_MAX)
        .map(clause)
        .collect();
    if clauses.is_empty() {
        clauses.push(clause("*/*"));
    }
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses
}

fn clause(text: &str) -> Clause<'_> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let parameters: Vec<(&str, &str)> = parts
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
        .collect();
    let quality = parameters
        .iter()
        .find(|(name, _)| *name == "q")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(1.0);
    Clause {
        media,
        parameters,
        quality,
    }
}

/// Whether what a request asks for has this form: custom resources do not.
pub(super) fn has_protobuf(context: &Context) -> bool {
    let info = &context.info;
    !info.is_resource || wire::table().has_group(&info.api_version())
}

/// The media types of the wire forms that a request may use, as errors list them.
pub(super) fn media_types(context: &Context) -> String {
    let mut types = vec![Format::Json.media_type(), Format::Yaml.media_type()];
    if has_protobuf(context) {
        types.push(protobuf::MEDIA_TYPE);
    }
    types.join(", ")
}

fn not_acceptable(context: &Context) -> ApiError {
    let types = media_types(context);
    ApiError::new(
        Reason::NotAcceptable,
        format!("only the following media types are accepted: {types}"),
    )
}

/// What an answer with objects is to look like.
pub(crate) fn accept(context: &Context) -> Result<Accepted, ApiError> {
    accept_of(context, true)
}

/// Likewise for what Kubernetes has no Table of: reviews and the subresources that do something.
pub(crate) fn accept_untabled(context: &Context) -> Result<Accepted, ApiError> {
    accept_of(context, false)
}

fn accept_of(context: &Context, tabled: bool) -> Result<Accepted, ApiError> {
    clauses(&context.headers)
        .iter()
        .find_map(|clause| {
            let (format, shape) = (clause.format()?, clause.shape()?);
            // A Table has no protobuf form, metadata has one whatever it is of.
            let written = format != Format::Protobuf
                || match shape {
                    Shape::Object => has_protobuf(context),
                    Shape::Partial(_) | Shape::Partials(_) => true,
                    Shape::Table(_) => false,
                };
            let shown = tabled || !matches!(shape, Shape::Table(_));
            (written && shown).then(|| Accepted {
                format,
                shape,
                pretty: is_pretty(context),
            })
        })
        .ok_or_else(|| not_acceptable(context))
}

/// What discovery is to look like: the version of apidiscovery.k8s.io if the aggregated form is
/// asked for.
pub(crate) fn accept_discovery(
    context: &Context,
) -> Result<(Accepted, Option<&'static str>), ApiError> {
    for clause in clauses(&context.headers) {
        let Some(format) = clause.format() else {
            continue;
        };
        let accepted = Accepted {
            format,
            shape: Shape::Object,
            pretty: is_pretty(context),
        };
        let aggregated = clause.parameter("as") == "APIGroupDiscoveryList"
            && clause.parameter("g") == "apidiscovery.k8s.io";
        match clause.parameter("v") {
            "v2" if aggregated => return Ok((accepted, Some("v2"))),
            "v2beta1" if aggregated => return Ok((accepted, Some("v2beta1"))),
            _ if clause.parameter("as").is_empty() => return Ok((accepted, None)),
            _ => {}
        }
    }
    Err(not_acceptable(context))
}

/// What has no other form than JSON, such as `/version`.
pub(crate) fn accept_json(context: &Context) -> Accepted {
    Accepted {
        pretty: is_pretty(context),
        ..Accepted::json()
    }
}

/// People with curl or a browser want to read it.
fn is_pretty(context: &Context) -> bool {
    if let Some(value) = context.parameter("pretty") {
        return is_true(&value);
    }
    let agent = context.user_agent();
    ["curl", "Wget", "Mozilla/5.0"]
        .iter()
        .any(|prefix| agent.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::request_info::RequestInfo;

    fn accepted(text: &str) -> Result<Accepted, ApiError> {
        accept(&context("/api/v1/pods", text))
    }

    fn context(path: &str, text: &str) -> Context {
        let request = http::Request::get(path).header(ACCEPT, text);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let info = RequestInfo::of(&parts.method, path, "").unwrap();
        Context::new(&parts, info)
    }

    #[test]
    fn takes_the_first_that_can_be_served() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                       application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let shape = |text: &str| accepted(text).map(|accepted| accepted.shape);
        assert_eq!(shape(kubectl), Ok(Shape::Table("v1")));
        assert_eq!(shape("text/html, */*;q=0.1"), Ok(Shape::Object));
        let wrong = shape("application/json;as=Nonsense;v=v1;g=x").unwrap_err();
        assert_eq!(wrong.code, 406);
        assert_eq!(
            wrong.message,
            "only the following media types are accepted: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf"
        );
    }

    #[test]
    fn protobuf_is_for_kinds_that_have_it() {
        let typed = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(accepted(typed).unwrap().format, Format::Protobuf);
        let custom = context("/apis/example.com/v1/widgets", typed);
        assert_eq!(accept(&custom).unwrap().format, Format::Json);
        let only = context("/apis/example.com/v1/widgets", protobuf::MEDIA_TYPE);
        assert_eq!(
            accept(&only).unwrap_err().message,
            "only the following media types are accepted: application/json, application/yaml"
        );
        let table = "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io";
        assert_eq!(accepted(table).unwrap_err().code, 406);
        let both = format!("{table},application/json;as=Table;v=v1;g=meta.k8s.io");
        assert_eq!(accepted(&both).unwrap().format, Format::Json);
    }

    #[test]
    fn discovery_knows_its_aggregated_form() {
        let text = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
                    application/json";
        let (_, version) = accept_discovery(&context("/apis", text)).unwrap();
        assert_eq!(version, Some("v2"));
        let (_, version) = accept_discovery(&context("/apis", "application/json")).unwrap();
        assert_eq!(version, None);
    }
}
