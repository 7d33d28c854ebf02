//! `/version`: which Kubernetes this is. Open to everyone.

use crate::api::codec;
use crate::api::context::Context;
use crate::api::{Body, respond};
use crate::meta::ApiError;
use http::{Response, StatusCode};
use serde_json::json;

/// The Kubernetes version whose API is served.
pub(crate) const GIT_VERSION: &str = "v1.36.2+wkube";

/// Serves it.
pub(crate) fn serve(context: &Context) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept_json(context);
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let version = json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{arch}", std::env::consts::OS),
    });
    respond::value(&accepted, StatusCode::OK, &version)
}
