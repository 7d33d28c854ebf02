//! The objects of a definition that is being deleted go first; then it is let go. Must not know names
//! or conditions of definitions that stay.
//! Kubernetes: apiextensions-apiserver `pkg/controller/finalizer`.

use super::{server_user, write_status};
use crate::api::ApiServer;
use crate::api::context::Context;
use crate::api::registry::{Filter, Next, WatchFrom, Watcher};
use crate::api::request_info::RequestInfo;
use crate::api::verbs::Target;
use crate::api::verbs::delete::delete_one;
use crate::meta::options::DeleteOptions;
use crate::meta::{ApiError, Object, Reason};
use crate::resources::DefRef;
use crate::resources::apiextensions::conditions::{self, Condition};
use crate::resources::apiextensions::custom_resource_definition as definition;
use crate::resources::apiextensions::rows;
use futures::{StreamExt, stream};
use http::{Method, Request};
use serde_json::json;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Deletions that run at the same time, so that they share commits of the store.
const DELETES_AT_ONCE: usize = 64;
/// After how long it is told that objects remain, and looked again.
const REMAINING_TOLD_AFTER: Duration = Duration::from_secs(60);
/// When what has failed is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Begins to clean up after a definition, beside everything else.
pub(super) fn start(server: &Arc<ApiServer>, definition: &Object) {
    let cleanup = Cleanup {
        server: Arc::downgrade(server),
        name: definition.name().to_owned(),
        uid: definition.uid().to_owned(),
    };
    server.shutdown.spawn_until_stopped(async move {
        cleanup.run().await;
    });
}

struct Cleanup {
    server: Weak<ApiServer>,
    name: String,
    uid: String,
}

impl Cleanup {
    /// `None` when the server or the definition is gone.
    async fn run(&self) -> Option<()> {
        self.tell(
            "True",
            "InstanceDeletionInProgress",
            "CustomResource deletion is in progress",
        )
        .await?;
        let object = self.current()?;
        if rows::condition(&object, "Established") != "True" {
            let message = "resource was never established";
            return self.release("NeverEstablished", message).await;
        }
        let mut watcher = self.watch()?;
        loop {
            loop {
                match watcher.next() {
                    Next::Seen(_) => {}
                    Next::Empty => break,
                    // The kind has changed its form meanwhile.
                    Next::CutOff => {
                        watcher = self.watch()?;
                        break;
                    }
                }
            }
            let (left, failed) = self.delete_all().await?;
            if left == 0 {
                break;
            }
            if let Some(error) = failed {
                let text = format!("could not issue all deletes: {error}");
                self.tell("True", "InstanceDeletionFailed", &text).await?;
                self.server.upgrade()?.clock.clone().sleep(TRY_AGAIN).await;
                continue;
            }
            let clock = self.server.upgrade()?.clock.clone();
            tokio::select! {
                () = watcher.ready() => {}
                () = clock.sleep(REMAINING_TOLD_AFTER) => {
                    let text = "could not confirm zero CustomResources remaining: context deadline \
                                exceeded";
                    self.tell("True", "InstanceDeletionCheck", text).await?;
                }
            }
        }
        let message = "removed all instances";
        self.release("InstanceDeletionCompleted", message).await
    }

    /// The definition as it is now, if it is still the one.
    fn current(&self) -> Option<Object> {
        let server = self.server.upgrade()?;
        let found = server
            .registry
            .find(&definition::DEF, "", &self.name)
            .ok()?;
        let (object, _) = found?;
        (object.uid() == self.uid).then_some(object)
    }

    fn watch(&self) -> Option<Arc<Watcher>> {
        let server = self.server.upgrade()?;
        let cache = &server.registry.cache;
        let kind = cache.kind(&self.name)?;
        let begun = cache.watch(&kind, Filter::default(), &WatchFrom::Now);
        begun.ok().map(|(watcher, _)| watcher)
    }

    /// Deletes what is not being deleted yet; answers how many objects there are still, and what went
    /// wrong.
    async fn delete_all(&self) -> Option<(usize, Option<ApiError>)> {
        let server = self.server.upgrade()?;
        let kind = server.registry.cache.kind(&self.name)?;
        let snapshot = server.registry.cache.snapshot(&kind);
        let waiting = snapshot
            .objects
            .iter()
            .filter(|(_, cached)| !cached.encoded.is_deleting());
        let targets: Vec<Target> = waiting
            .map(|(key, _)| {
                let (namespace, name) = key.rsplit_once('/').unwrap_or(("", key));
                Target {
                    def: kind.def.clone(),
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    subresource: String::new(),
                }
            })
            .collect();
        let context = context(&kind.def)?;
        let options = DeleteOptions::default();
        let (server_, context, options) = (&*server, &context, &options);
        let results: Vec<_> = stream::iter(targets)
            .map(|target| async move { delete_one(server_, context, &target, options).await })
            .buffered(DELETES_AT_ONCE)
            .collect()
            .await;
        let failed = results.into_iter().find_map(|result| match result {
            Err(error) if error.reason != Reason::NotFound => Some(error),
            _ => None,
        });
        let left = server.registry.cache.snapshot(&kind).objects.len();
        Some((left, failed))
    }

    /// Says how far it is.
    async fn tell(&self, status: &'static str, reason: &'static str, message: &str) -> Option<()> {
        self.write(status, reason, message, false).await
    }

    /// Says that it is done, and lets the definition go.
    async fn release(&self, reason: &'static str, message: &str) -> Option<()> {
        self.write("False", reason, message, true).await
    }

    async fn write(
        &self,
        status: &'static str,
        reason: &'static str,
        message: &str,
        release: bool,
    ) -> Option<()> {
        loop {
            let mut object = self.current()?;
            let server = self.server.upgrade()?;
            let wanted = Condition {
                name: "Terminating",
                status,
                reason,
                message: message.to_owned(),
            };
            let mut changed = conditions::set_if_new(&mut object, &wanted, server.clock.now());
            let others: Vec<&str> = object
                .finalizers()
                .filter(|own| *own != definition::CLEANUP)
                .collect();
            if release {
                let others = json!(others);
                changed |= object.get(&["metadata", "finalizers"]) != Some(&others);
                object.set(&["metadata", "finalizers"], others);
            }
            if !changed {
                return Some(());
            }
            if !write_status(&server, object).await {
                let clock = server.clock.clone();
                drop(server);
                clock.sleep(TRY_AGAIN).await;
            }
            // Read again: who was overtaken writes once more.
        }
    }
}

/// A request by which the server deletes objects of a kind.
fn context(def: &DefRef) -> Option<Context> {
    let path = format!("/apis/{}/{}/{}", def.group, def.version, def.plural);
    let request = Request::delete(&path).body(()).ok()?;
    let info = RequestInfo::of(&Method::DELETE, &path, "").ok()?;
    let mut context = Context::new(&request.into_parts().0, info);
    context.user = server_user();
    Some(context)
}
