//! A registry in the test's own process: answers what it was told, honest or not, and remembers
//! what it was asked.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use wkube::stdx::Digest;

/// What a path answers.
#[derive(Clone)]
pub(super) enum Answer {
    Bytes(Vec<u8>),
    Status(u16, String),
    Redirect(String),
    /// Announces more than comes.
    Torn(Vec<u8>, usize),
    /// Never ends.
    Endless,
}

/// How clients must say who they are.
#[derive(Clone)]
pub(super) enum Door {
    Open,
    Basic,
    /// By a token from the registry's own token server.
    Token,
}

#[derive(Default)]
struct Inner {
    answers: Mutex<HashMap<String, Answer>>,
    asked: Mutex<Vec<(String, Option<String>)>>,
    door: Mutex<Option<Door>>,
    host: Mutex<String>,
}

/// The registry; it stops with its test's runtime.
#[derive(Clone)]
pub(super) struct Registry {
    inner: Arc<Inner>,
    pub(super) host: String,
}

/// name:password of the only user, in base64.
pub(super) const BASIC: &str = "Basic bWU6c2VjcmV0";

impl Registry {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let inner = Arc::new(Inner::default());
        inner.host.lock().clone_from(&host);
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { inner, host }
    }

    pub(super) fn door(&self, door: Door) {
        *self.inner.door.lock() = Some(door);
    }

    pub(super) fn set(&self, path: &str, answer: Answer) {
        self.inner.answers.lock().insert(path.to_owned(), answer);
    }

    /// The paths that were asked for since the last call, with their Authorization.
    pub(super) fn asked(&self) -> Vec<(String, Option<String>)> {
        std::mem::take(&mut *self.inner.asked.lock())
    }

    /// Makes content available; answers its descriptor.
    pub(super) fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes).to_string();
        self.set(
            &format!("/v2/team/app/blobs/{digest}"),
            Answer::Bytes(bytes.to_vec()),
        );
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// Makes a manifest or an index available by digest, and by a tag if one is given.
    pub(super) fn manifest(&self, tag: Option<&str>, document: &Value) -> Digest {
        let bytes = document.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        for name in tag
            .map(str::to_owned)
            .into_iter()
            .chain([digest.to_string()])
        {
            self.set(
                &format!("/v2/team/app/manifests/{name}"),
                Answer::Bytes(bytes.clone()),
            );
        }
        digest
    }

    /// A wasm artifact under a tag.
    pub(super) fn artifact(&self, tag: &str, wasm: &[u8]) -> Digest {
        let config = br#"{"architecture":"wasm","os":"wasip1"}"#;
        let config = self.blob("application/vnd.wasm.config.v0+json", config);
        let layer = self.blob("application/wasm", wasm);
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        self.manifest(Some(tag), &manifest)
    }

    /// An image's name at this registry.
    pub(super) fn image(&self, tag: &str) -> wkube::oci::Reference {
        super::name(&format!("{}/team/app:{tag}", self.host))
    }
}

fn status(code: u16, body: &str) -> Response {
    Response::builder()
        .status(code)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let said = request.headers().get("authorization");
    let said = said.map(|value| value.to_str().unwrap().to_owned());
    inner.asked.lock().push((path.clone(), said.clone()));
    let door = inner.door.lock().clone().unwrap_or(Door::Open);
    let host = inner.host.lock().clone();
    if path == "/token" {
        return match said.as_deref() == Some(BASIC) {
            true => status(200, r#"{"token":"t0ken"}"#),
            false => status(401, "who are you"),
        };
    }
    let challenge = match door {
        Door::Basic if said.as_deref() != Some(BASIC) => Some("Basic realm=\"r\"".to_owned()),
        Door::Token if said.as_deref() != Some("Bearer t0ken") => Some(format!(
            "Bearer realm=\"http://{host}/token\",service=\"s\""
        )),
        _ => None,
    };
    if let Some(challenge) = challenge {
        let response = Response::builder()
            .status(401)
            .header("www-authenticate", challenge);
        return response.body(Body::from("denied")).unwrap();
    }
    if path == "/v2/" {
        return status(200, "{}");
    }
    let found = inner.answers.lock().get(&path).cloned();
    match found {
        None => status(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
        Some(Answer::Bytes(bytes)) => Response::new(Body::from(bytes)),
        Some(Answer::Status(code, body)) => status(code, &body),
        Some(Answer::Redirect(to)) => {
            let response = Response::builder().status(307).header("location", to);
            response.body(Body::empty()).unwrap()
        }
        Some(Answer::Torn(bytes, length)) => {
            let pieces = [Ok(Bytes::from(bytes)), Err(std::io::Error::other("torn"))];
            let response = Response::builder().header("content-length", length);
            response
                .body(Body::from_stream(futures::stream::iter(pieces)))
                .unwrap()
        }
        Some(Answer::Endless) => {
            let zeros = futures::stream::repeat(Bytes::from_static(&[b' '; 64 * 1024]));
            Response::new(Body::from_stream(zeros.map(Ok::<_, std::io::Error>)))
        }
    }
}
