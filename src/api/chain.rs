//! The way of every request, whoever sends it: the filters in the order in which they act stand in
//! [`run`] and in [`FILTERS`], and nowhere else. Must not know what verbs do.

use crate::api::authentication::{self, UserInfo};
use crate::api::authorization;
use crate::api::context::Context;
use crate::api::request_info::RequestInfo;
use crate::api::{ApiServer, Body, compress, fairness, impersonation, respond, route};
use crate::meta::{ApiError, Reason, go_duration};
use crate::resources::DefRef;
use futures::FutureExt;
use http::header::{HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// A filter: lets the request pass, changed or not, or refuses it.
type Filter = fn(&ApiServer, &mut Context, &Parts) -> Result<(), ApiError>;

/// What a request passes before it waits for its turn, in order. Then it is asked whether it may.
const FILTERS: &[Filter] = &[authenticate, audit, impersonate];

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
    // 2. who asks
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
        Ok(()) => {
            let body = match &context.audit {
                Some(record) => record.follow_body(&context, body),
                None => body,
            };
            guarded(server, &context, Request::from_parts(parts, body)).await
        }
    };
    let error = match (&result, &context.audit) {
        (Err(error), Some(_)) => Some(error.clone()),
        _ => None,
    };
    let mut response = result.unwrap_or_else(|error| respond::error(&context, &error));
    if let Some(record) = &context.audit {
        response = record.answered(&context, error.as_ref(), response).await;
    }
    respond::finish(&context, &mut response);
    let response = compress::compress(&context, response);
    // last: count it
    let row = served_row(server, &context.info);
    server
        .metrics
        .request(&context, row.as_ref(), response.status(), started.elapsed());
    if !context.is_long_running() {
        return response;
    }
    let life = context.life.clone();
    life.keep(server.metrics.running(&context, row.is_some()));
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _ = &life;
            frame
        }))
    })
}

/// The row whose resource the path names: other paths share one line of the metrics.
fn served_row(server: &ApiServer, info: &RequestInfo) -> Option<DefRef> {
    let scheme = server.registry.scheme();
    scheme
        .resource(&info.group, &info.version, &info.resource)
        .filter(|def| info.subresource.is_empty() || def.subresource(&info.subresource).is_some())
        .cloned()
}

/// 3. a turn, 4. whether he may, 5. a deadline, 6. panics caught, 7. the verb.
async fn guarded(
    server: &Arc<ApiServer>,
    context: &Arc<Context>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let serve = AssertUnwindSafe(route::route(server, context, request)).catch_unwind();
    // Streams take no turn; a watch gives its own back as soon as it has begun.
    let watches = context.info.verb == "watch";
    let turn = if context.is_long_running() && !watches {
        None
    } else {
        let seats = || fairness::list_seats(server, context);
        match server.fairness.enter(context, seats).await {
            Ok(turn) => Some(turn),
            Err(refused) => return Ok(too_many(refused.0)),
        }
    };
    authorization::check(&*server.authorization.all, context)?;
    let caught = if turn.is_none() || watches {
        serve.await
    } else {
        let limit = Duration::from_secs(server.limits.request_seconds_max);
        let asked = asked_time(context)?.unwrap_or(limit);
        tokio::select! {
            caught = serve => caught,
            () = server.clock.sleep(asked.min(limit)) => return Err(timed_out()),
        }
    };
    drop(turn);
    caught.unwrap_or_else(|_| {
        tracing::error!(
            id = context.id,
            path = context.info.path,
            "a request panicked"
        );
        Err(ApiError::new(Reason::InternalError, respond::PANICKED))
    })
}

/// How long the client is ready to wait: `timeout=32s`. Kubernetes: `filters/request_deadline`.
fn asked_time(context: &Context) -> Result<Option<Duration>, ApiError> {
    let Some(text) = context.parameter("timeout").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let nanoseconds = go_duration::nanoseconds(&text).map_err(|why| {
        let what = "invalid timeout specified in the request URL";
        ApiError::bad_request(format!("{what} - {why}"))
    })?;
    // Zero is no limit of the client's own.
    let time = u64::try_from(nanoseconds).ok().filter(|time| *time > 0);
    Ok(time.map(Duration::from_nanos))
}

fn timed_out() -> ApiError {
    ApiError::new(
        Reason::Timeout,
        "Timeout: request did not complete within the allotted timeout",
    )
}

fn authenticate(server: &ApiServer, context: &mut Context, parts: &Parts) -> Result<(), ApiError> {
    let found = authentication::authenticate(server, &parts.headers, &parts.extensions);
    if let (Err(_), Some(audit)) = (&found, &server.audit) {
        audit.refused(context, parts);
    }
    context.user = found?.unwrap_or_else(UserInfo::anonymous);
    Ok(())
}

fn audit(server: &ApiServer, context: &mut Context, parts: &Parts) -> Result<(), ApiError> {
    if let Some(audit) = &server.audit {
        context.audit = audit.begin(context, parts)?.map(Arc::new);
    }
    Ok(())
}

fn impersonate(server: &ApiServer, context: &mut Context, _: &Parts) -> Result<(), ApiError> {
    let wanted = impersonation::impersonate(&*server.authorization.all, context)?;
    if let Some(user) = wanted {
        if let Some(record) = &context.audit {
            record.impersonated(&user);
        }
        context.user = user;
    }
    impersonation::strip(&mut context.headers);
    Ok(())
}

/// 429, in Kubernetes' words; no Status, as there.
fn too_many(retry_seconds: u64) -> Response<Body> {
    let text = "Too many requests, please try again later.\n";
    let mut response = respond::text(StatusCode::TOO_MANY_REQUESTS, text);
    let after = HeaderValue::from(retry_seconds);
    response.headers_mut().insert(RETRY_AFTER, after);
    response
}
