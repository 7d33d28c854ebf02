//! Keeps the FlowSchemas and PriorityLevelConfigurations in order: what must be there comes back,
//! what follows the table is put right, and every schema says whether its level is there. Woken by
//! what changes; polls nothing. Must not decide on requests.
//! Kubernetes: apiserver `util/flowcontrol/apf_controller.go`, `pkg/registry/flowcontrol/ensurer`.

use super::{GROUP, mandatory};
use crate::api::ApiServer;
use crate::api::registry::{Filter, Next, WatchFrom, Watcher, WriteError};
use crate::api::verbs::rules;
use crate::meta::{ApiError, Object};
use crate::resources::DefRef;
use serde_json::{Value, json};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The wait after something could not be written.
const RETRY: Duration = Duration::from_secs(5);

/// Keeps order until the server is gone. All that happens from this call on is seen; until then all
/// is in order, as [`crate::api::bootstrap`] has seen to it.
pub(crate) fn keep(server: &Arc<ApiServer>) -> impl Future<Output = ()> + Send + use<> {
    let first = watch(server);
    let server = Arc::downgrade(server);
    async move {
        let mut watchers = first;
        while let Some([schemas, levels]) = watchers {
            loop {
                tokio::select! {
                    () = schemas.ready() => {}
                    () = levels.ready() => {}
                }
                // What comes from here on wakes the keeper again.
                if !(drained(&schemas) && drained(&levels)) {
                    break;
                }
                if !settled(&server).await {
                    return;
                }
            }
            watchers = server.upgrade().and_then(|server| watch(&server));
            if !settled(&server).await {
                return;
            }
        }
    }
}

/// Puts all in order, however often it takes; `false` if the server is gone.
async fn settled(server: &Weak<ApiServer>) -> bool {
    while let Some(own) = server.upgrade() {
        let Err(error) = settle(&own).await else {
            return true;
        };
        tracing::warn!(%error, "flow schemas and priority levels are not in order");
        own.clock.sleep(RETRY).await;
    }
    false
}

fn watch(server: &ApiServer) -> Option<[Arc<Watcher>; 2]> {
    let open = |plural: &str| {
        let scheme = server.registry.scheme();
        let def = scheme.resource(GROUP, "v1", plural)?;
        let kind = server.registry.kind(def).ok()?;
        let watched = server
            .registry
            .cache
            .watch(&kind, Filter::default(), &WatchFrom::Now);
        watched.ok().map(|(watcher, _)| watcher)
    };
    Some([open("flowschemas")?, open("prioritylevelconfigurations")?])
}

/// Empties a queue; `false` if it was cut off.
fn drained(watcher: &Watcher) -> bool {
    loop {
        match watcher.next() {
            Next::Seen(_) => {}
            Next::Empty => return true,
            Next::CutOff => return false,
        }
    }
}

/// Puts all in order, once. What somebody else has written meanwhile wakes the keeper again.
async fn settle(server: &ApiServer) -> Result<(), ApiError> {
    for wanted in mandatory::objects(&server.clock) {
        let scheme = &server.registry.scheme();
        let Some(def) = scheme.by_api_version(wanted.api_version(), wanted.kind()) else {
            continue;
        };
        let written = match server.registry.find(def, "", wanted.name())? {
            None => {
                let object = begun(server, def, wanted);
                server.registry.insert(def, &object).await.map(|_| ())
            }
            Some((found, revision)) => match corrected(&wanted, &found) {
                None => Ok(()),
                Some(object) => {
                    let replaced = server.registry.replace(def, &object, revision).await;
                    replaced.map(|_| ())
                }
            },
        };
        accept(written)?;
    }
    statuses(server).await
}

fn accept(written: Result<(), WriteError>) -> Result<(), ApiError> {
    match written {
        Ok(()) | Err(WriteError::Changed) => Ok(()),
        Err(WriteError::Api(error)) => Err(error),
    }
}

/// A new object, with the status that it has from the beginning.
fn begun(server: &ApiServer, def: &DefRef, mut wanted: Object) -> Object {
    let status = wanted.get(&["status"]).cloned();
    def.strategy.default(&mut wanted);
    rules::begin_create(def, &mut wanted, &server.clock);
    if let Some(status) = status {
        wanted.set(&["status"], status);
    }
    wanted
}

/// An object that follows the table and differs from it, put right.
pub(crate) fn corrected(wanted: &Object, found: &Object) -> Option<Object> {
    let follows = match found.annotation(mandatory::AUTOUPDATE) {
        Some(told) => told == "true",
        // Whoever has not touched it has not said no.
        None => found.generation() <= 1,
    };
    let spec = wanted.get(&["spec"])?;
    if !follows || found.get(&["spec"]) == Some(spec) || found.deletion_timestamp().is_some() {
        return None;
    }
    let mut object = found.clone();
    object.set(&["spec"], spec.clone());
    object.set(
        &["metadata", "generation"],
        json!(found.generation().saturating_add(1)),
    );
    Some(object)
}

async fn statuses(server: &ApiServer) -> Result<(), ApiError> {
    let registry = &server.registry;
    let def = |plural: &str| registry.scheme().resource(GROUP, "v1", plural).cloned();
    let (Some(schemas), Some(levels)) = (def("flowschemas"), def("prioritylevelconfigurations"))
    else {
        return Ok(());
    };
    let (all, _) = registry.kind(&schemas)?.all();
    for cached in all.values() {
        let mut schema = cached.object().map_err(ApiError::internal)?;
        let level = schema.str_at(&["spec", "priorityLevelConfiguration", "name"]);
        let found = registry.find_cached(&levels, "", level)?.is_some();
        let wanted = mandatory::dangling(level, found, &server.clock);
        let conditions = schema.get(&["status", "conditions"]);
        let mut conditions: Vec<Value> = conditions
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let of = |one: &Value, name: &str| one.get(name).cloned();
        let own = |one: &Value| of(one, "type") == Some(json!("Dangling"));
        let same = |one: &Value| {
            let mut names = ["status", "reason", "message"].iter();
            own(one) && names.all(|name| of(one, name) == of(&wanted, name))
        };
        if conditions.iter().any(same) {
            continue;
        }
        conditions.retain(|one| !own(one));
        conditions.push(wanted);
        schema.set(&["status", "conditions"], Value::Array(conditions));
        let replaced = registry.replace(&schemas, &schema, cached.revision).await;
        accept(replaced.map(|_| ()))?;
    }
    Ok(())
}
