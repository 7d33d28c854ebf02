//! The life of a CustomResourceDefinition: its names are accepted or conflict, it is established, and
//! when it goes, its objects go first. Follows the definitions in the cache and writes their status
//! through the door that everybody uses. What is served follows from what is written, in
//! `registry/cache.rs`. Must not know schemas.
//! Kubernetes: apiextensions-apiserver `pkg/controller/{status,establish,finalizer,apiapproval}`.

mod cleanup;

use crate::api::registry::{EventKind, Filter, Next, WatchFrom, Watcher};
use crate::api::{ApiServer, Body, InProcessIdentity, UserInfo};
use crate::meta::Object;
use crate::resources::apiextensions::conditions::{self, Taken};
use crate::resources::apiextensions::custom_resource_definition as definition;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, StatusCode};
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// As who the server writes to itself.
const USER: &str = "system:apiserver";
/// What it calls itself; the owner of the fields that it writes.
const AGENT: &str = "kube-apiserver";
/// When a group is looked at again whose definitions could not be written.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Follows the definitions until the server stops.
pub(crate) fn start(server: &Arc<ApiServer>) {
    let follower = Follower {
        server: Arc::downgrade(server),
        cleaning: HashSet::new(),
    };
    server.shutdown.spawn_until_stopped(follower.run());
}

pub(super) fn server_user() -> UserInfo {
    UserInfo::new(USER, &[crate::api::GROUP_MASTERS])
}

struct Follower {
    /// The server is not kept alive by its own tasks.
    server: Weak<ApiServer>,
    /// Unique ids of definitions whose objects are being deleted.
    cleaning: HashSet<String>,
}

impl Follower {
    async fn run(mut self) {
        let Some(watcher) = self.begin() else { return };
        let mut groups = BTreeSet::new();
        // What was there before the watch stands in its queue already.
        loop {
            let Some(server) = self.server.upgrade() else {
                return;
            };
            loop {
                match watcher.next() {
                    Next::Seen(seen) => {
                        let Ok(object) = seen.object.object() else {
                            continue;
                        };
                        if seen.kind == EventKind::Deleted {
                            self.cleaning.remove(object.uid());
                        }
                        groups.insert(object.str_at(&["spec", "group"]).to_owned());
                    }
                    Next::Empty => break,
                    // The store is closed.
                    Next::CutOff => return,
                }
            }
            let mut failed = BTreeSet::new();
            for group in std::mem::take(&mut groups) {
                if !self.look_at(&server, &group).await {
                    failed.insert(group);
                }
            }
            groups = failed;
            drop(server);
            if groups.is_empty() {
                watcher.ready().await;
            } else if let Some(clock) = self.server.upgrade().map(|s| s.clock.clone()) {
                // What has failed is tried again, whether or not something else happens.
                tokio::select! {
                    () = watcher.ready() => {}
                    () = clock.sleep(TRY_AGAIN) => {}
                }
            }
        }
    }

    fn begin(&self) -> Option<Arc<Watcher>> {
        let server = self.server.upgrade()?;
        let kind = server.registry.kind(&definition::DEF).ok()?;
        let cache = &server.registry.cache;
        let begun = cache.watch(&kind, Filter::default(), &WatchFrom::State);
        begun.ok().map(|(watcher, _)| watcher)
    }

    /// Brings all definitions of a group to where they should be; answers whether that was done.
    async fn look_at(&mut self, server: &Arc<ApiServer>, group: &str) -> bool {
        let mut all = of_group(server, group);
        // Who came first keeps the name.
        all.sort_by_key(|object| {
            let created = object.str_at(&["metadata", "creationTimestamp"]);
            (created.to_owned(), object.name().to_owned())
        });
        let mut done = true;
        for index in 0..all.len() {
            let taken = Taken::by(all.iter());
            let Some(object) = all.get_mut(index) else {
                continue;
            };
            if object.deletion_timestamp().is_some() {
                let held = object.finalizers().any(|own| own == definition::CLEANUP);
                if held && self.cleaning.insert(object.uid().to_owned()) {
                    cleanup::start(server, object);
                }
                continue;
            }
            let now = server.clock.now();
            let mut changed = conditions::accept_names(object, &taken, now);
            if let Some(approval) = conditions::approval(object) {
                changed |= conditions::set_if_new(object, &approval, now);
            }
            if changed && !write_status(server, object.clone()).await {
                done = false;
            }
        }
        done
    }
}

/// The definitions of a group: their names end with it.
fn of_group(server: &ApiServer, group: &str) -> Vec<Object> {
    let Ok(kind) = server.registry.kind(&definition::DEF) else {
        return Vec::new();
    };
    let snapshot = server.registry.cache.snapshot(&kind);
    let of_group = snapshot.objects.iter().filter(|(name, _)| {
        let rest = name.split_once('.');
        rest.is_some_and(|(_, own)| own == group)
    });
    of_group
        .filter_map(|(_, cached)| cached.object().ok())
        .collect()
}

/// Writes the status of a definition; answers whether it is to be left at that. Who was overtaken hears
/// of it by the change that was quicker.
pub(super) async fn write_status(server: &Arc<ApiServer>, object: Object) -> bool {
    let name = object.name().to_owned();
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}/status");
    let request = Request::builder()
        .method(Method::PUT)
        .uri(path)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, AGENT)
        .extension(InProcessIdentity(server_user()))
        .body(Body::from(object.into_value().to_string()));
    let Ok(request) = request else {
        return true;
    };
    // Boxed, because a request may lead here again.
    let answer = Box::pin(server.handle(request)).await;
    match answer.status() {
        status if status.is_success() => true,
        StatusCode::NOT_FOUND | StatusCode::CONFLICT => true,
        status => {
            tracing::warn!(definition = name, %status, "the status of a definition was not written");
            false
        }
    }
}
