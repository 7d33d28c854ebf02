//! `pods/log`: asked of the agent of the pod's node, streamed through. Options are checked here, so
//! that every client sees the same words whatever runs the node.
//! Kubernetes: registry `core/pod/rest` LogREST, kubelet `/containerLogs`.

use super::pod;
use crate::api::context::Context;
use crate::api::request_info::{is_true, query_pairs};
use crate::api::streams::node;
use crate::api::verbs::Target;
use crate::api::{ApiServer, Body, respond};
use crate::meta::{ApiError, FieldError, time};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use std::fmt::Write as _;

/// What may be said of a log, and passed on.
#[derive(Debug, Default)]
struct LogOptions {
    container: String,
    query: String,
    insecure_backend: bool,
}

/// Serves a log.
pub(super) async fn log(
    server: &ApiServer,
    context: &Context,
    target: &Target,
) -> Result<Response<Body>, ApiError> {
    let options = read(context)?;
    let pod = pod::find(server, target, &target.name)?;
    let container = pod::container(&pod, &options.container)?;
    let node_name = pod::node(&pod);
    if node_name.is_empty() {
        // Nothing runs yet, so nothing has been said.
        return Ok(respond::text(StatusCode::OK, ""));
    }
    let path = format!(
        "/containerLogs/{}/{}/{container}?{}",
        target.namespace, target.name, options.query
    );
    let answer = node::get(server, node_name, &path).await?;
    let status = answer.status();
    if status != StatusCode::OK {
        let body = node::small_body(answer.into_body()).await;
        return Err(refused(status, &body));
    }
    let mut response = respond::bytes_of("text/plain", StatusCode::OK, Bytes::new());
    *response.body_mut() = Body::new(answer.into_body().map_err(axum::Error::new));
    Ok(response)
}

/// What the node said, as it would be said by Kubernetes' own.
fn refused(status: StatusCode, body: &str) -> ApiError {
    let mut error = ApiError::bad_request(body.trim_end());
    if status == StatusCode::NOT_FOUND {
        error = ApiError::new(
            crate::meta::Reason::NotFound,
            format!("the server could not find the requested resource ( pods/log ): {body}"),
        );
    } else if !status.is_client_error() {
        error = ApiError::internal(body.trim_end());
    }
    error
}

fn read(context: &Context) -> Result<LogOptions, ApiError> {
    let mut options = LogOptions::default();
    let mut errors = Vec::new();
    let mut since = Vec::new();
    for (name, value) in query_pairs(&context.query) {
        let pass = match name.as_str() {
            "container" => {
                options.container = value;
                continue;
            }
            "insecureSkipTLSVerifyBackend" => {
                options.insecure_backend = is_true(&value);
                continue;
            }
            "follow" | "previous" | "timestamps" => is_true(&value).then(|| "true".to_owned()),
            "tailLines" | "limitBytes" | "sinceSeconds" => {
                let smallest = i64::from(name != "tailLines");
                let number: Result<i64, _> = value.parse();
                match number {
                    Ok(number) if number >= smallest => {
                        if name == "sinceSeconds" {
                            since.push(name.clone());
                        }
                    }
                    Ok(number) if name == "tailLines" => {
                        let detail = "must be greater than or equal to 0";
                        errors.push(FieldError::invalid(&*name, number, detail));
                    }
                    Ok(number) => {
                        errors.push(FieldError::invalid(
                            &*name,
                            number,
                            "must be greater than 0",
                        ));
                    }
                    Err(_) => {
                        return Err(ApiError::bad_request(format!(
                            "strconv.ParseInt: parsing {value:?}: invalid syntax"
                        )));
                    }
                }
                Some(value)
            }
            "sinceTime" => {
                if time::parse(&value).is_none() {
                    return Err(ApiError::bad_request(format!(
                        "parsing time {value:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse"
                    )));
                }
                since.push(name.clone());
                Some(value)
            }
            "stream" => {
                if !matches!(value.as_str(), "All" | "Stdout" | "Stderr") {
                    let all = &["All", "Stderr", "Stdout"];
                    errors.push(FieldError::not_supported("stream", &value, all));
                }
                Some(value)
            }
            _ => None,
        };
        if let Some(value) = pass {
            let _ = write!(options.query, "{name}={}&", encoded(&value));
        }
    }
    if since.len() > 1 {
        let detail = "at most one of `sinceTime` or `sinceSeconds` may be specified";
        errors.push(FieldError::forbidden("", detail));
    }
    options
        .query
        .truncate(options.query.trim_end_matches('&').len());
    if errors.is_empty() {
        return Ok(options);
    }
    Err(ApiError::invalid("", "PodLogOptions", "", &errors))
}

/// For a query: a time has a plus and colons.
pub(super) fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
