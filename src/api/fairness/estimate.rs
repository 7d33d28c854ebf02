//! What a request is worth: one seat, and more for a list of many or large objects.
//! Kubernetes: apiserver `util/flowcontrol/request` list_work_estimator, as of cached lists.

use crate::api::ApiServer;
use crate::api::context::Context;
use crate::api::request_info::is_true;

/// Bytes of a list that are worth a seat. Kubernetes: bytesPerSeat.
const SEAT_BYTES: usize = 100_000;
/// Bytes that a list from the cache is taken to hold at once, however long it is.
const LIST_BYTES_MAX: usize = 1_000_000;
/// Objects that are looked at to guess the size of all.
const SAMPLE: usize = 8;

/// The seats of a request.
pub(crate) fn list_seats(server: &ApiServer, context: &Context) -> u32 {
    let info = &context.info;
    let lists = match info.verb.as_str() {
        "list" => true,
        // A watch that begins with what is there is a list as well.
        "watch" => {
            let initial = context.parameter("sendInitialEvents");
            let from = context.parameter("resourceVersion").unwrap_or_default();
            initial.is_some_and(|value| is_true(&value)) || matches!(from.as_str(), "" | "0")
        }
        _ => false,
    };
    if !lists || !info.name.is_empty() {
        return 1;
    }
    let scheme = &server.registry.scheme();
    let def = scheme.resource(&info.group, &info.version, &info.resource);
    let kind = def.and_then(|def| server.registry.kind(def).ok());
    let Some(kind) = kind else { return 1 };
    let (objects, _) = kind.all();
    let sample: Vec<usize> = objects.values().take(SAMPLE).map(|one| one.len()).collect();
    let average = sample.iter().sum::<usize>() / sample.len().max(1);
    let limit = context.parameter("limit");
    let limit = limit.and_then(|text| text.parse().ok());
    let count = match limit {
        Some(limit) if limit > 0 => objects.len().min(limit),
        _ => objects.len(),
    };
    let bytes = count.saturating_mul(average).min(LIST_BYTES_MAX);
    u32::try_from(bytes.div_ceil(SEAT_BYTES))
        .unwrap_or(1)
        .max(1)
}
