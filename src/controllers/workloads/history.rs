//! The history of a StatefulSet or a DaemonSet: a ControllerRevision for each template it had. What
//! is to be done with them is decided purely; below it is carried out. Must not know pods.
//! Kubernetes: `pkg/controller/history`, `pkg/controller/statefulset` getStatefulSetRevisions,
//! `pkg/controller/daemon/update.go` constructHistory.

use super::claim::claim;
use super::{Flavor, template};
use crate::client::ClientError;
use crate::controllers::def::Context;
use crate::controllers::members::selector_of;
use crate::meta::{ApiError, GroupVersionResource, Object, Reason};
use serde_json::{Map, Value, json};

/// The label by which a pod says of which revision it is, and a DaemonSet's revision which it is.
pub(super) const REVISION_LABEL: &str = "controller-revision-hash";
/// The label of a StatefulSet's revision.
pub(super) const HASH_LABEL: &str = "controller.kubernetes.io/hash";
/// Names that are tried for one revision in one turn.
const NAMES_MAX: usize = 16;
/// Revisions that are kept when the workload does not say: the default of the API.
const LIMIT: i64 = 10;

/// One of the templates that a workload had.
#[derive(Clone, Debug)]
pub(super) struct Revision(Object);

impl Revision {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.0.name()
    }

    /// Its number: the greatest is the newest.
    pub(super) fn number(&self) -> i64 {
        super::number(&self.0, &["revision"])
    }

    /// What a DaemonSet's pods of this revision bear.
    pub(super) fn hash(&self) -> &str {
        self.0.label(REVISION_LABEL).unwrap_or_else(|| self.name())
    }

    fn data(&self) -> &Value {
        self.0.get(&["data"]).unwrap_or(&Value::Null)
    }

    /// The template.
    pub(super) fn template(&self) -> Value {
        let template = self.data().pointer("/spec/template");
        let mut template = template.cloned().unwrap_or_default();
        if let Some(fields) = template.as_object_mut() {
            fields.remove("$patch");
        }
        template
    }

    fn created(&self) -> &str {
        self.0.str_at(&["metadata", "creationTimestamp"])
    }
}

/// The revisions of a workload.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// By number.
    pub(super) revisions: Vec<Revision>,
    /// How often a name was taken by another one.
    pub(super) collisions: i64,
}

impl History {
    /// The revision of the workload's template.
    pub(super) fn newest(&self) -> Option<&Revision> {
        self.revisions.last()
    }
}

/// What is kept of a workload: a strategic merge patch that brings its template back.
pub(super) fn data_of(workload: &Object) -> Value {
    let template = workload.get(&["spec", "template"]);
    let mut template = template.cloned().unwrap_or_else(|| json!({}));
    if let Some(fields) = template.as_object_mut() {
        fields.insert("$patch".to_owned(), json!("replace"));
    }
    json!({ "spec": { "template": template } })
}

/// What is to be done so that the last of the revisions is that of the workload's template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is.
    Keep,
    /// An older one is it again, with this number.
    Renumber(usize, i64),
    /// There is none; it gets this number.
    Create(i64),
}

fn step(revisions: &[Revision], data: &Value) -> Step {
    let next = revisions.last().map_or(1, |last| last.number() + 1);
    let equal = revisions.iter().rposition(|one| one.data() == data);
    match equal {
        Some(at) if at + 1 == revisions.len() => Step::Keep,
        Some(at) => Step::Renumber(at, next),
        None => Step::Create(next),
    }
}

/// The oldest first; of one number the one that was first made.
fn sort(revisions: &mut [Revision]) {
    revisions.sort_by(|a, b| {
        let by_age = || a.created().cmp(b.created());
        let by_number = a.number().cmp(&b.number());
        by_number
            .then_with(by_age)
            .then_with(|| a.name().cmp(b.name()))
    });
}

/// The revision of a workload's template. `label` is where it bears its hash.
fn build(
    (flavor, workload): (&Flavor, &Object),
    label: &str,
    number: i64,
    collisions: i64,
) -> Value {
    let data = data_of(workload);
    let hash = template::hash(&data, Some(collisions));
    let labels = workload.get(&["spec", "template", "metadata", "labels"]);
    let mut labels: Map<String, Value> = labels
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    labels.insert(label.to_owned(), json!(hash));
    let mut metadata = json!({
        "name": format!("{}-{hash}", workload.name()),
        "namespace": workload.namespace(),
        "labels": labels,
        "ownerReferences": [flavor.owner_reference(workload)],
    });
    if let (Some(annotations), Some(fields)) = (
        workload.get(&["metadata", "annotations"]),
        metadata.as_object_mut(),
    ) {
        fields.insert("annotations".to_owned(), annotations.clone());
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "data": data,
        "revision": number,
    })
}

/// How many older revisions a workload keeps.
pub(super) fn limit(workload: &Object) -> usize {
    let limit = workload.get(&["spec", "revisionHistoryLimit"]);
    let limit = limit.and_then(Value::as_i64).unwrap_or(LIMIT);
    usize::try_from(limit).unwrap_or(0)
}

/// The revisions.
pub(super) fn resource() -> GroupVersionResource {
    GroupVersionResource::new("apps", "v1", "controllerrevisions")
}

/// Adopts, makes or renumbers, so that the newest revision is that of the workload's template.
/// `label` is where its revisions bear their hash.
pub(super) async fn sync(
    context: &Context,
    (flavor, workload): (&Flavor, &Object),
    label: &str,
) -> Result<History, ClientError> {
    let collisions = super::number(workload, &["status", "collisionCount"]);
    let mut history = History {
        revisions: read(context, (flavor, workload)).await?,
        collisions,
    };
    let newest = match step(&history.revisions, &data_of(workload)) {
        Step::Keep => return Ok(history),
        Step::Renumber(at, number) => {
            let mut object = history.revisions.remove(at).0;
            object.set(&["revision"], json!(number));
            let (gvr, key) = (resource(), object.key());
            let body = object.into_value();
            let (client, (namespace, name)) = (&context.client, (&key.namespace, &key.name));
            let written = client.update::<Value>(&gvr, namespace, name, "", &body);
            written.await?
        }
        Step::Create(number) => {
            create(
                context,
                (flavor, workload),
                label,
                number,
                &mut history.collisions,
            )
            .await?
        }
    };
    if let Some(newest) = Object::from_value(newest) {
        let revision = newest.resource_version().parse().unwrap_or(0);
        let members = &context.caches.revisions;
        members.progress().reached(revision).await;
        history.revisions.push(Revision(newest));
    }
    Ok(history)
}

/// The workload's revisions as they stand, after adoption and release.
async fn read(
    context: &Context,
    (flavor, workload): (&Flavor, &Object),
) -> Result<Vec<Revision>, ClientError> {
    let Some(selector) = selector_of(workload) else {
        return Ok(Vec::new());
    };
    let gvr = resource();
    let members = (&context.caches.revisions, &gvr);
    let own = claim(context, (flavor, workload), members, &selector, |_| true).await?;
    let mut revisions = Vec::with_capacity(own.len());
    for member in own.iter().filter(|member| !member.deleting) {
        let (namespace, name) = (&member.key.namespace, &member.key.name);
        match context.client.get::<Value>(&gvr, namespace, name).await {
            Ok(value) => revisions.extend(Object::from_value(value).map(Revision)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    sort(&mut revisions);
    Ok(revisions)
}

async fn create(
    context: &Context,
    (flavor, workload): (&Flavor, &Object),
    label: &str,
    number: i64,
    collisions: &mut i64,
) -> Result<Value, ClientError> {
    let (client, namespace, gvr) = (&context.client, workload.namespace(), resource());
    for _ in 0..NAMES_MAX {
        let body = build((flavor, workload), label, number, *collisions);
        let error = match client.create::<Value>(&gvr, namespace, None, &body).await {
            Err(error) if error.is_already_exists() => error,
            made => return made,
        };
        let name = body.pointer("/metadata/name").and_then(Value::as_str);
        let found = client.get::<Value>(&gvr, namespace, name.unwrap_or_default());
        let found = found.await?;
        if found.get("data") == body.get("data") {
            let owner = found.pointer("/metadata/ownerReferences/0/uid");
            return match owner.and_then(Value::as_str) {
                // Of a workload of the same name that is gone: it goes too, then this turn comes again.
                Some(uid) if uid != workload.uid() => Err(error),
                _ => Ok(found),
            };
        }
        *collisions += 1;
    }
    let message = format!("no name is left for a revision of {}", workload.name());
    Err(ClientError::Api(ApiError::new(
        Reason::AlreadyExists,
        message,
    )))
}

/// Deletes revisions. Answers when the members know it.
pub(super) async fn delete(context: &Context, doomed: &[&Revision]) -> Result<(), ClientError> {
    let gvr = resource();
    let mut going = Vec::new();
    for Revision(object) in doomed {
        let key = object.key();
        let deleted = context
            .client
            .delete(&gvr, &key.namespace, &key.name, &Value::Null);
        match deleted.await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => going.extend(context.caches.revisions.get(&key)),
        }
    }
    context.caches.revisions.going(&going).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAVOR: Flavor = Flavor {
        resource: ("apps", "v1", "statefulsets"),
        api_version: "apps/v1",
        kind: "StatefulSet",
    };

    fn set(image: &str) -> Object {
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"image": image}});
        let object = json!({
            "metadata": {"name": "web", "namespace": "n", "uid": "u",
                         "annotations": {"kubernetes.io/change-cause": "because"}},
            "spec": {"template": template},
        });
        Object::from_value(object).unwrap()
    }

    fn revision(image: &str, number: i64) -> Revision {
        let built = build((&FLAVOR, &set(image)), HASH_LABEL, number, 0);
        Revision(Object::from_value(built).unwrap())
    }

    #[test]
    fn a_template_that_comes_back_is_the_newest_again() {
        let mut all = vec![revision("b", 2), revision("a", 1)];
        sort(&mut all);
        let steps = |image: &str| step(&all, &data_of(&set(image)));
        assert_eq!(steps("b"), Step::Keep);
        assert_eq!(steps("a"), Step::Renumber(0, 3));
        assert_eq!(steps("c"), Step::Create(3));
        assert_eq!(step(&[], &data_of(&set("a"))), Step::Create(1));
    }

    #[test]
    fn a_revision_says_whose_it_is_and_why() {
        let built = revision("a", 7);
        assert!(built.name().starts_with("web-"));
        assert_eq!(built.number(), 7);
        assert_eq!(built.0.label("a"), Some("b"));
        let hash = built.0.label(HASH_LABEL).unwrap();
        assert_eq!(built.name(), format!("web-{hash}"));
        assert_eq!(
            built.0.annotation("kubernetes.io/change-cause"),
            Some("because")
        );
        assert_eq!(built.data()["spec"]["template"]["$patch"], "replace");
        assert_eq!(Some(&built.template()), set("a").get(&["spec", "template"]));
        let other = build((&FLAVOR, &set("a")), HASH_LABEL, 7, 1);
        assert_ne!(other["metadata"]["name"], built.name());
    }
}
