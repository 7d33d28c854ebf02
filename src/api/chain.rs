//! The way of every request, whoever sends it: the filters in the order in which they act stand in
//! [`run`] and in [`FILTERS`], and nowhere else. Must not know what verbs do.

use crate::api::authentication::{self, UserInfo};
use crate::api::authorization;
use crate::api::context::Context;
use crate::api::request_info::RequestInfo;
use crate::api::{ApiServer, Body, Limits, compress, impersonation, respond, route};
use crate::meta::{ApiError, Reason};
use crate::resources::DefRef;
use crate::stdx::Samples;
use futures::FutureExt;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::json;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A filter: lets the request pass, changed or not, or refuses it.
type Filter = fn(&ApiServer, &mut Context, &Parts) -> Result<(), ApiError>;

/// What a request passes before it is served, in order. Audit comes after the second when it comes.
const FILTERS: &[Filter] = &[authenticate, impersonate, authorize];

/// Serves one request.
pub(crate) async fn run(server: &Arc<ApiServer>, request: Request<Body>) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    // 1. what is asked (with it, the request's id)
    let (info, malformed) = match RequestInfo::of(&parts.method, parts.uri.path(), query) {
        Ok(info) => (info, None),
        Err(why) => (RequestInfo::default(), Some(ApiError::bad_request(why))),
    };
    let mut context = Context::new(&parts, info);
    let started = server.clock.instant();
    // 2. who asks, and whether he may
    let passed = match malformed {
        Some(error) => Err(error),
        None => FILTERS
            .iter()
            .try_for_each(|filter| filter(server, &mut context, &parts)),
    };
    impersonation::strip(&mut parts.headers);
    let context = Arc::new(context);
    let result = match passed {
        Err(error) => Err(error),
        Ok(()) => guarded(server, &context, Request::from_parts(parts, body)).await,
    };
    let mut response = result.unwrap_or_else(|error| respond::error(&context, &error));
    respond::finish(&context, &mut response);
    let response = compress::compress(&context, response);
    // last: count it
    let row = served_row(server, &context.info);
    server
        .metrics
        .request(&context, row, response.status(), started.elapsed());
    if !context.is_long_running() {
        return response;
    }
    let running = server.metrics.running(&context, row.is_some());
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _ = &running;
            frame
        }))
    })
}

/// The row whose resource the path names: other paths share one line of the metrics.
fn served_row<'a>(server: &'a ApiServer, info: &RequestInfo) -> Option<&'a DefRef> {
    let scheme = &server.registry.scheme;
    scheme
        .resource(&info.group, &info.version, &info.resource)
        .filter(|def| info.subresource.is_empty() || def.subresource(&info.subresource).is_some())
}

/// 3. a turn, 4. a deadline, 5. panics caught, 6. the verb.
async fn guarded(
    server: &Arc<ApiServer>,
    context: &Arc<Context>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let serve = AssertUnwindSafe(route::route(server, context, request)).catch_unwind();
    let caught = if context.is_long_running() {
        serve.await
    } else {
        let _turn = server.gate.enter(context).await?;
        let limit = Duration::from_secs(server.limits.request_seconds_max);
        let asked = asked_time(context)?.unwrap_or(limit);
        tokio::select! {
            caught = serve => caught,
            () = server.clock.sleep(asked.min(limit)) => return Err(timed_out()),
        }
    };
    caught.unwrap_or_else(|_| {
        tracing::error!(
            id = context.id,
            path = context.info.path,
            "a request panicked"
        );
        let text = "This request caused apiserver to panic. Look in the logs for details.";
        Err(ApiError::new(Reason::InternalError, text))
    })
}

/// How long the client is ready to wait: `timeout=32s`. Kubernetes: `filters/request_deadline`.
fn asked_time(context: &Context) -> Result<Option<Duration>, ApiError> {
    let Some(text) = context.parameter("timeout").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let seconds = units.iter().find_map(|(unit, scale)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(number * scale)
    });
    match seconds.map(Duration::try_from_secs_f64) {
        // Zero is no limit of the client's own.
        Some(Ok(Duration::ZERO)) => Ok(None),
        Some(Ok(time)) => Ok(Some(time)),
        _ => Err(ApiError::bad_request(format!(
            "invalid timeout specified in the request URL - timeout={text}"
        ))),
    }
}

fn timed_out() -> ApiError {
    ApiError::new(
        Reason::Timeout,
        "Timeout: request did not complete within the allotted timeout",
    )
}

fn authenticate(server: &ApiServer, context: &mut Context, parts: &Parts) -> Result<(), ApiError> {
    let found = authentication::authenticate(server, &parts.headers, &parts.extensions)?;
    context.user = found.unwrap_or_else(UserInfo::anonymous);
    Ok(())
}

fn impersonate(server: &ApiServer, context: &mut Context, _: &Parts) -> Result<(), ApiError> {
    let wanted = impersonation::impersonate(&*server.authorization.all, context)?;
    if let Some(user) = wanted {
        context.user = user;
    }
    impersonation::strip(&mut context.headers);
    Ok(())
}

fn authorize(server: &ApiServer, context: &mut Context, _: &Parts) -> Result<(), ApiError> {
    authorization::check(&*server.authorization.all, context)
}

/// How many requests are served at once. Those beyond wait in order; beyond those, 429.
pub(crate) struct Gate {
    mutating: Arc<Semaphore>,
    reading: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            mutating: Arc::new(Semaphore::new(limits.mutating_in_flight_max)),
            reading: Arc::new(Semaphore::new(limits.reading_in_flight_max)),
            waiting: AtomicUsize::new(0),
            waiting_max: limits.waiting_max,
        }
    }

    /// How many requests are being served, by whether they change anything.
    pub(crate) fn in_flight(&self, limits: &Limits) -> impl Fn() -> Samples + Send + Sync + use<> {
        let kinds = [
            (
                "mutating",
                self.mutating.clone(),
                limits.mutating_in_flight_max,
            ),
            (
                "readOnly",
                self.reading.clone(),
                limits.reading_in_flight_max,
            ),
        ];
        move || {
            let kinds = kinds.iter();
            kinds
                .map(|(kind, gate, max)| {
                    let served = max.saturating_sub(gate.available_permits());
                    (vec![("request_kind", (*kind).to_owned())], served as f64)
                })
                .collect()
        }
    }

    async fn enter(&self, context: &Context) -> Result<OwnedSemaphorePermit, ApiError> {
        let gate = if context.info.is_read_only() {
            &self.reading
        } else {
            &self.mutating
        };
        if let Ok(turn) = gate.clone().try_acquire_owned() {
            return Ok(turn);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.waiting_max {
            return Err(too_many());
        }
        gate.clone().acquire_owned().await.map_err(|_| too_many())
    }
}

fn too_many() -> ApiError {
    let text = "Too many requests, please try again later.";
    let mut error = ApiError::new(Reason::TooManyRequests, text);
    error.details = json!({ "retryAfterSeconds": 1 });
    error
}
