//! Client-side apply: the manifest is remembered in an annotation of the object, and a patch of
//! three sides (remembered, wanted, current) is sent. Must not know `--server-side`.
//! Kubernetes: kubectl's `apply` and its `Patcher`.

use super::Job;
use crate::cli::context::CliError;
use crate::cli::merge_facts;
use crate::cli::printers::go_json;
use crate::cli::write_args::DryRun;
use crate::client::{Client, ClientError, PatchKind, with_query};
use crate::meta::patch::strategic::three_way;
use crate::meta::{Object, SchemaNode};
use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value};

/// Where the manifest is remembered; the same as kubectl's, so that either may go on.
pub(crate) const REMEMBERED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The manager of kubectl's client-side apply; the same, or the two would seem to disagree.
const MANAGER: &str = "kubectl-client-side-apply";
/// How often a patch is made anew because the object has changed meanwhile.
const TRIES: usize = 5;

pub(super) async fn apply(job: &Job<'_>) -> Result<(&'static str, Value), CliError> {
    let wanted = with_memory(job.object);
    for tried in 1.. {
        let Some(current) = current(job).await? else {
            let wanted = without_nulls(&wanted);
            if job.args.write.dry_run == DryRun::Client {
                return Ok(("created", wanted.into_value()));
            }
            return create(job, &wanted).await.map(|made| ("created", made));
        };
        if job.args.write.dry_run == DryRun::Client {
            return Ok(("configured", current.into_value()));
        }
        let patch = Patch::make(job, &wanted, &current).await?;
        if patch.is_empty() {
            return Ok(("unchanged", current.into_value()));
        }
        match patch.send(job).await {
            Ok(after) => return Ok(("configured", after)),
            Err(error) if error.is_conflict() && tried < TRIES => {}
            Err(error) => return Err(patch.refused(job, error)),
        }
    }
    Err(CliError::new(
        "the object changes faster than it is applied",
    ))
}

/// The object as it stands on the server.
async fn current(job: &Job<'_>) -> Result<Option<Object>, CliError> {
    let found = job
        .client
        .get::<Value>(&job.row.resource, job.namespace, job.name());
    match found.await {
        Ok(value) => Ok(Object::from_value(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => {
            let doing = format!(
                "retrieving current configuration of:\n{}\nfrom server for:",
                job.info()
            );
            Err(job.place.refused(error, &doing))
        }
    }
}

/// The manifest with itself as an annotation.
pub(crate) fn with_memory(object: &Object) -> Object {
    let mut plain = object.clone();
    plain.remove(&["metadata", "annotations", REMEMBERED]);
    if plain
        .get(&["metadata", "annotations"])
        .is_none_or(Value::is_null)
    {
        plain.set(&["metadata", "annotations"], Value::Object(Map::new()));
    }
    let mut text = go_json::compact(&Value::Object(plain.fields().clone()));
    text.push('\n');
    plain.set(
        &["metadata", "annotations", REMEMBERED],
        Value::String(text),
    );
    plain
}

/// What is created says nothing of what it does not say: to forget is for what exists.
fn without_nulls(object: &Object) -> Object {
    fn clean(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|_, value| !value.is_null());
                map.values_mut().for_each(clean);
            }
            Value::Array(items) => items.iter_mut().for_each(clean),
            _ => {}
        }
    }
    let mut value = Value::Object(object.fields().clone());
    clean(&mut value);
    Object::from_value(value).unwrap_or_default()
}

async fn create(job: &Job<'_>, wanted: &Object) -> Result<Value, CliError> {
    let query = job.args.write.query(job.manager())?;
    let path = with_query(
        Client::path(&job.row.resource, job.namespace, "", ""),
        &query,
    );
    let body = Bytes::from(Value::Object(wanted.fields().clone()).to_string());
    let made = job
        .client
        .call(Method::POST, &path, Some(("application/json", body)));
    let bytes = made
        .await
        .map_err(|error| job.place.refused(error, "creating"))?;
    serde_json::from_slice(&bytes).map_err(CliError::new)
}

impl Job<'_> {
    fn manager(&self) -> &str {
        self.args.field_manager.as_deref().unwrap_or(MANAGER)
    }
}

struct Patch {
    kind: PatchKind,
    value: Value,
}

impl Patch {
    async fn make(job: &Job<'_>, wanted: &Object, current: &Object) -> Result<Self, CliError> {
        let remembered = current.annotation(REMEMBERED);
        if remembered.is_none() {
            eprintln!(
                "Warning: resource {}/{} is missing the {REMEMBERED} annotation which is required \
                 by wkube apply. wkube apply should only be used on resources created \
                 declaratively by either wkube create --save-config or wkube apply. The missing \
                 annotation will be patched automatically.",
                job.row.resource.resource,
                job.name()
            );
        }
        // What cannot be read says nothing, as for an object that was never applied.
        let original = remembered
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or(Value::Null);
        let wanted = Value::Object(wanted.fields().clone());
        let current = Value::Object(current.fields().clone());
        let values = [&original, &wanted, &current];
        let facts = merge_facts::of(job.client, job.row, &values).await?;
        let node = facts.as_ref().map(|facts| facts.root() as &dyn SchemaNode);
        let value = three_way(&original, &wanted, &current, node)
            .map_err(|error| job.place.locate(CliError::new(error), ""))?;
        Ok(Self {
            kind: match facts {
                Some(_) => PatchKind::Strategic,
                None => PatchKind::Merge,
            },
            value,
        })
    }

    fn is_empty(&self) -> bool {
        self.value.as_object().is_some_and(Map::is_empty)
    }

    async fn send(&self, job: &Job<'_>) -> Result<Value, ClientError> {
        let query = job.args.write.query(job.manager());
        let query = query.map_err(|error| ClientError::Config(error.sentence().to_owned()))?;
        let path = Client::path(&job.row.resource, job.namespace, job.name(), "");
        let path = with_query(path, &query);
        let body = Bytes::from(self.value.to_string());
        let body = Some((self.kind.content_type(), body));
        let bytes = job.client.call(Method::PATCH, &path, body).await?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Decode(error.to_string()))
    }

    fn refused(&self, job: &Job<'_>, error: ClientError) -> CliError {
        let doing = format!(
            "applying patch:\n{}\nto:\n{}\nfor:",
            go_json::compact(&self.value),
            job.info()
        );
        let error = match error {
            ClientError::Api(mut api) => {
                api.message = format!(
                    "error when patching {:?}: {}",
                    job.place.to_string(),
                    api.message
                );
                ClientError::Api(api)
            }
            other => other,
        };
        job.place.refused(error, &doing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_manifest_remembers_itself_once() {
        let object = json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "<x>"}});
        let once = with_memory(&Object::from_value(object).unwrap());
        let text = "{\"apiVersion\":\"v1\",\"kind\":\"A\",\"metadata\":{\"annotations\":{},\
                    \"name\":\"\\u003cx\\u003e\"}}\n";
        assert_eq!(once.annotation(REMEMBERED), Some(text));
        assert_eq!(
            with_memory(&once).annotation(REMEMBERED),
            Some(text),
            "not its own memory"
        );
    }
}
