//! What the answer is to look like: media type and shape (the object, a Table, its metadata), from
//! the `Accept` header. The first clause that can be served wins, by quality, as in Kubernetes.
//! Must not know how a shape is made.

use crate::api::request_info::{is_true, query_pairs};
use crate::meta::{ApiError, Reason};
use http::HeaderMap;
use http::header::{ACCEPT, USER_AGENT};

/// Clauses of an `Accept` header that are looked at.
const CLAUSES_MAX: usize = 64;
/// The media types that are written, as the 406 lists them.
const WRITTEN: &str = "application/json, application/yaml";

/// A wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Yaml,
}

/// What stands in the answer in place of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The objects.
    Object,
    /// A Table of this version of meta.k8s.io.
    Table(&'static str),
    /// Only their metadata, in this version of meta.k8s.io.
    Partial(&'static str),
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
        match self.format {
            Format::Json => "application/json",
            Format::Yaml => "application/yaml",
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
            "PartialObjectMetadata" | "PartialObjectMetadataList" if meta => {
                Some(Shape::Partial(version))
            }
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

fn not_acceptable(written: &str) -> ApiError {
    ApiError::new(
        Reason::NotAcceptable,
        format!("only the following media types are accepted: {written}"),
    )
}

/// What an answer with objects is to look like.
pub(crate) fn accept(headers: &HeaderMap, query: &str) -> Result<Accepted, ApiError> {
    clauses(headers)
        .iter()
        .find_map(|clause| {
            Some(Accepted {
                format: clause.format()?,
                shape: clause.shape()?,
                pretty: is_pretty(headers, query),
            })
        })
        .ok_or_else(|| not_acceptable(WRITTEN))
}

/// What discovery is to look like: the version of apidiscovery.k8s.io if the aggregated form is
/// asked for.
pub(crate) fn accept_discovery(
    headers: &HeaderMap,
    query: &str,
) -> Result<(Accepted, Option<&'static str>), ApiError> {
    for clause in clauses(headers) {
        let Some(format) = clause.format() else {
            continue;
        };
        let accepted = Accepted {
            format,
            shape: Shape::Object,
            pretty: is_pretty(headers, query),
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
    Err(not_acceptable(WRITTEN))
}

/// People with curl or a browser want to read it.
fn is_pretty(headers: &HeaderMap, query: &str) -> bool {
    if let Some((_, value)) = query_pairs(query).find(|(name, _)| name == "pretty") {
        return is_true(&value);
    }
    let agent = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"]
        .iter()
        .any(|prefix| agent.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, text.parse().unwrap());
        headers
    }

    #[test]
    fn takes_the_first_that_can_be_served() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                       application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let shape = |text: &str| accept(&headers(text), "").map(|accepted| accepted.shape);
        assert_eq!(shape(kubectl), Ok(Shape::Table("v1")));
        let typed = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(shape(typed), Ok(Shape::Object));
        assert_eq!(shape("text/html, */*;q=0.1"), Ok(Shape::Object));
        let only = shape("application/vnd.kubernetes.protobuf").unwrap_err();
        assert_eq!(only.code, 406);
        assert_eq!(
            shape("application/json;as=Nonsense;v=v1;g=x")
                .unwrap_err()
                .code,
            406
        );
    }

    #[test]
    fn discovery_knows_its_aggregated_form() {
        let text = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
                    application/json";
        let (_, version) = accept_discovery(&headers(text), "").unwrap();
        assert_eq!(version, Some("v2"));
        let (_, version) = accept_discovery(&headers("application/json"), "").unwrap();
        assert_eq!(version, None);
    }
}
