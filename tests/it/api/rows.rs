//! Every row of the table through every verb, in one loop: what holds for one kind holds for all.

use super::custom_resources::{established, gadgets};
use super::harness::{Answer, Cluster, Frames, collect};
use http::Method;
use serde_json::{Value, json};
use wkube::meta::Object;
use wkube::resources::apiextensions::rows;
use wkube::resources::{BUILTINS, ResourceDef};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const PARTIALS: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
/// The namespace that is deleted with all that is in it.
const PURGED: &str = "purged";

pub(super) fn stored<'a>() -> impl Iterator<Item = &'a ResourceDef> {
    BUILTINS
        .iter()
        .copied()
        .filter(|def| !def.storage_prefix.is_empty())
}

/// The collection's path, in a namespace where there are namespaces.
fn collection(def: &ResourceDef, namespace: &str) -> String {
    let group = if def.group.is_empty() {
        format!("/api/{}", def.version)
    } else {
        format!("/apis/{}/{}", def.group, def.version)
    };
    if def.is_namespaced() {
        format!("{group}/namespaces/{namespace}/{}", def.plural)
    } else {
        format!("{group}/{}", def.plural)
    }
}

/// The collection's path in the namespace `default`.
pub(super) fn path(def: &ResourceDef) -> String {
    collection(def, "default")
}

pub(super) fn row_name(def: &ResourceDef) -> String {
    let group = def.group.replace('.', "-");
    // The names of some say what they are.
    match &*def.kind {
        "IPAddress" => "192.0.2.9".to_owned(),
        "APIService" => "v1.example.com".to_owned(),
        "CustomResourceDefinition" => "foos.example.com".to_owned(),
        _ => format!("row-{}-{}-{group}", def.singular, def.version)
            .trim_end_matches('-')
            .to_owned(),
    }
}

/// The smallest valid object.
pub(super) fn example(def: &ResourceDef, name: &str) -> Value {
    let mut object: Value = serde_json::from_str(&def.example).unwrap();
    object["metadata"]["name"] = json!(name);
    object
}

/// One row on its way through the verbs.
struct Row<'a> {
    cluster: &'a Cluster,
    def: &'a ResourceDef,
    /// The collection.
    all: String,
    /// The object.
    one: String,
    name: String,
}

impl<'a> Row<'a> {
    fn new(cluster: &'a Cluster, def: &'a ResourceDef) -> Self {
        let (all, name) = (path(def), row_name(def));
        let one = format!("{all}/{name}");
        Self {
            cluster,
            def,
            all,
            one,
            name,
        }
    }

    /// The smallest valid object.
    fn example(&self) -> Value {
        let mut object = example(self.def, &self.name);
        object["apiVersion"] = json!(self.def.api_version());
        object["kind"] = json!(self.def.kind);
        object
    }

    fn words(&self, why: &str) -> String {
        format!("{} {:?} {why}", self.def.group_resource(), self.name)
    }

    async fn patch(&self, kind: &str, patch: &Value) -> Answer {
        self.cluster.patch(&self.one, kind, patch).await
    }

    /// The next event of the watch is this object.
    async fn told(&self, watch: &mut Frames, kind: &str, object: &Value) {
        let frame = watch.next().await.expect("the watch has ended");
        assert_eq!(frame["type"], json!(kind), "{}: {frame}", self.one);
        assert_eq!(&frame["object"], object, "{}", self.one);
    }
}

/// The labels that the test has put there.
fn labels(object: &Value) -> Value {
    let mut labels = object["metadata"]["labels"].clone();
    if let Some(map) = labels.as_object_mut() {
        map.remove("kubernetes.io/metadata.name");
    }
    labels
}

fn revision(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str().unwrap();
    text.parse().unwrap()
}

#[tokio::test]
async fn every_row_goes_through_every_verb() {
    let cluster = Cluster::start().await;
    let purged = json!({"metadata": {"name": PURGED}});
    cluster
        .post("/api/v1/namespaces", &purged)
        .await
        .expect(201);
    let custom = custom_row(&cluster).await;
    // The server itself writes the status of a definition: it has tests of its own.
    let builtin = stored().filter(|def| def.kind != "CustomResourceDefinition");
    for def in builtin.chain([&custom]) {
        let row = Row::new(&cluster, def);
        row.is_closed_to_strangers().await;
        let empty = cluster.get(&row.all).await.expect(200);
        let uri = format!(
            "{}?watch=1&resourceVersion={}&fieldSelector=metadata.name%3D{}",
            row.all,
            revision(&empty),
            row.name
        );
        let mut watch = cluster.watch(&uri).await;
        let made = row.is_created().await;
        row.told(&mut watch, "ADDED", &made).await;
        row.is_read_and_listed(&made).await;
        row.is_shown_as_a_table(&made).await;
        let updated = row.is_updated(&made).await;
        row.told(&mut watch, "MODIFIED", &updated).await;
        for patched in row.is_patched().await {
            row.told(&mut watch, "MODIFIED", &patched).await;
        }
        row.is_deleted_when_nothing_holds_it(&mut watch).await;
        row.is_applied_by_two_managers().await;
        row.is_removed().await;
        if def.is_namespaced() {
            let mut object = row.example();
            object["metadata"]["namespace"] = json!(PURGED);
            if def.kind == "Event" {
                object["involvedObject"]["namespace"] = json!(PURGED);
                object["regarding"]["namespace"] = json!(PURGED);
            }
            let uri = collection(def, PURGED);
            cluster.post(&uri, &object).await.expect(201);
        }
    }
    goes_with_its_namespace(&cluster, &custom).await;
}

/// A kind that a user brings is one more row.
async fn custom_row(cluster: &Cluster) -> ResourceDef {
    let definition = established(cluster, &gadgets()).await;
    let bytes = definition.to_string().into();
    let definition = Object::from_value(definition).unwrap();
    let rows = rows::rows(&definition, &bytes).unwrap();
    let mut row = rows.served.into_iter().next().unwrap();
    row.example = r#"{"spec":{"size":1}}"#.into();
    row
}

impl Row<'_> {
    /// Without a role there is no answer but a refusal, and a wrong name is none.
    async fn is_closed_to_strangers(&self) {
        let anonymous = self.cluster.send(None, Method::GET, &self.all, &[], "");
        let status = collect(anonymous.await).await.expect(403);
        assert_eq!(status["reason"], "Forbidden");
        let wrong = [("authorization", "Bearer wrong")];
        let wrong = self.cluster.send(None, Method::GET, &self.all, &wrong, "");
        collect(wrong.await).await.expect(401);
        let named = [("authorization", "Bearer nobody-token")];
        for verb in self.def.verbs.iter().map(|verb| verb.as_str()) {
            let (method, uri, of) = match verb {
                "create" => (Method::POST, self.all.clone(), None),
                "list" => (Method::GET, self.all.clone(), None),
                "watch" => (Method::GET, format!("{}?watch=1", self.all), None),
                "deletecollection" => (Method::DELETE, self.all.clone(), None),
                "get" => (Method::GET, self.one.clone(), Some(&self.name)),
                "update" => (Method::PUT, self.one.clone(), Some(&self.name)),
                "patch" => (Method::PATCH, self.one.clone(), Some(&self.name)),
                _ => (Method::DELETE, self.one.clone(), Some(&self.name)),
            };
            let refused = self.cluster.send(None, method, &uri, &named, "").await;
            let message = collect(refused).await.message(403);
            let of = of.map_or_else(String::new, |name| format!(" {name:?}"));
            let place = match (&*self.def.kind, of.is_empty()) {
                // The name of a namespace is the namespace that the request is about.
                ("Namespace", false) => format!("in the namespace{of}"),
                _ if self.def.is_namespaced() => "in the namespace \"default\"".to_owned(),
                _ => "at the cluster scope".to_owned(),
            };
            let wanted = format!(
                "{}{of} is forbidden: User \"nobody\" cannot {verb} resource {:?} in API group \
                 {:?} {place}",
                self.def.group_resource(),
                self.def.plural,
                self.def.group
            );
            assert_eq!(message, wanted);
        }
    }

    async fn is_created(&self) -> Value {
        let (cluster, def) = (self.cluster, self.def);
        let dry = format!("{}?dryRun=All", self.all);
        cluster.post(&dry, &self.example()).await.expect(201);
        cluster.get(&self.one).await.expect(404);
        let made = cluster.post(&self.all, &self.example()).await.expect(201);
        assert_eq!(made["kind"], json!(def.kind), "{}", self.one);
        assert_eq!(made["apiVersion"], json!(def.api_version()));
        assert!(!made["metadata"]["uid"].as_str().unwrap().is_empty());
        assert!(made["metadata"]["creationTimestamp"].is_string());
        let again = cluster.post(&self.all, &self.example()).await;
        assert_eq!(again.message(409), self.words("already exists"));
        made
    }

    async fn is_read_and_listed(&self, made: &Value) {
        let cluster = self.cluster;
        assert_eq!(&cluster.get(&self.one).await.expect(200), made);
        let partial = cluster.get_as(&self.one, PARTIAL).await.expect(200);
        assert_eq!(partial["kind"], "PartialObjectMetadata");
        assert_eq!(partial["apiVersion"], "meta.k8s.io/v1");
        assert_eq!(partial["metadata"], made["metadata"]);
        let list = cluster.get(&self.all).await.expect(200);
        assert_eq!(list["kind"], json!(self.def.list_kind));
        assert_eq!(list["apiVersion"], json!(self.def.api_version()));
        assert!(revision(&list) >= revision(made));
        let is_this = |item: &&Value| item["metadata"]["name"] == json!(self.name);
        let items = list["items"].as_array().unwrap();
        let item = items.iter().find(is_this).unwrap();
        // Only what every client knows need not say what it is.
        let says = !self.def.schema.is_typed();
        assert_eq!(item.get("kind").is_some(), says, "{}", self.one);
        assert_eq!(item.get("apiVersion").is_some(), says);
        assert_eq!(item["metadata"], made["metadata"]);
        let partials = cluster.get_as(&self.all, PARTIALS).await.expect(200);
        assert_eq!(partials["kind"], "PartialObjectMetadataList");
        let items = partials["items"].as_array().unwrap();
        assert_eq!(
            items.iter().find(is_this).unwrap()["metadata"],
            made["metadata"]
        );
        let chosen = format!("{}?fieldSelector=metadata.name%3D{}", self.all, self.name);
        let chosen = cluster.get(&chosen).await.expect(200);
        assert_eq!(chosen["items"].as_array().unwrap().len(), 1);
        let none = format!("{}?labelSelector=nobody%2Fhas%3Dthis", self.all);
        assert_eq!(cluster.get(&none).await.expect(200)["items"], json!([]));
    }

    async fn is_shown_as_a_table(&self, made: &Value) {
        for uri in [&self.one, &self.all] {
            for (include, kind) in [
                ("", Some("PartialObjectMetadata")),
                ("?includeObject=Metadata", Some("PartialObjectMetadata")),
                ("?includeObject=Object", Some(&*self.def.kind)),
                ("?includeObject=None", None),
            ] {
                let uri = format!("{uri}{include}");
                let table = self.cluster.get_as(&uri, TABLE).await.expect(200);
                assert_eq!(table["kind"], "Table");
                assert_eq!(table["apiVersion"], "meta.k8s.io/v1");
                let columns = table["columnDefinitions"].as_array().unwrap().len();
                assert_eq!(columns, self.def.columns.len());
                let rows = table["rows"].as_array().unwrap();
                for row in rows {
                    assert_eq!(row["cells"].as_array().unwrap().len(), columns, "{uri}");
                    assert_eq!(row["object"]["kind"].as_str(), kind, "{uri}");
                }
                let shown = rows
                    .iter()
                    .any(|row| row["object"]["metadata"] == made["metadata"]);
                assert_eq!(shown, kind.is_some(), "{uri}");
            }
        }
    }

    async fn is_updated(&self, made: &Value) -> Value {
        let cluster = self.cluster;
        let mut changed = made.clone();
        changed["metadata"]["labels"] = json!({"a": "1"});
        let updated = cluster.put(&self.one, &changed).await.expect(200);
        assert_eq!(updated["metadata"]["labels"]["a"], "1");
        // What was made without a field of its own has no owner until it is applied.
        if let Value::Array(owners) = &updated["metadata"]["managedFields"] {
            assert_eq!(owners[0]["operation"], "Update", "{}", self.one);
            assert_eq!(owners[0]["apiVersion"], json!(self.def.api_version()));
        }
        assert!(revision(&updated) > revision(made));
        let stale = cluster.put(&self.one, &changed).await.message(409);
        let wanted = self.words(
            ": the object has been modified; please apply your changes to the latest version and \
             try again",
        );
        let wanted = wanted.replacen(" : ", ": ", 1);
        let wanted = format!("Operation cannot be fulfilled on {wanted}");
        assert_eq!(stale, wanted);
        // The same again is no write.
        let same = cluster.put(&self.one, &updated).await.expect(200);
        assert_eq!(same, updated);
        updated
    }

    /// In every form; the objects that came of it.
    async fn is_patched(&self) -> Vec<Value> {
        let merge = json!({"metadata": {"labels": {"a": null, "b": "2"}}});
        let merged = self.patch("merge-patch+json", &merge).await.expect(200);
        assert_eq!(labels(&merged), json!({"b": "2"}), "{}", self.one);
        let operations = json!([
            {"op": "test", "path": "/metadata/labels/b", "value": "2"},
            {"op": "add", "path": "/metadata/labels/c", "value": "3"},
        ]);
        let patched = self.patch("json-patch+json", &operations).await.expect(200);
        assert_eq!(labels(&patched), json!({"b": "2", "c": "3"}));
        let strategic = json!({"metadata": {
            "labels": {"c": null},
            "$setElementOrder/finalizers": ["example.com/hold"],
            "finalizers": ["example.com/hold"],
        }});
        let held = self.patch("strategic-merge-patch+json", &strategic).await;
        let held = if self.def.schema.is_typed() {
            held.expect(200)
        } else {
            held.expect(415);
            let merge = json!({"metadata": {
                "labels": {"c": null}, "finalizers": ["example.com/hold"],
            }});
            self.patch("merge-patch+json", &merge).await.expect(200)
        };
        assert_eq!(labels(&held), json!({"b": "2"}));
        let other = self.patch("json", &json!({})).await;
        assert!(other.message(415).contains("application/merge-patch+json"));
        vec![merged, patched, held]
    }

    /// What a finalizer holds stays, marked; then it is gone.
    async fn is_deleted_when_nothing_holds_it(&self, watch: &mut Frames) {
        let cluster = self.cluster;
        let now = "gracePeriodSeconds=0&propagationPolicy=Background";
        let uri = format!("{}?{now}", self.one);
        let deleting = cluster.delete(&uri).await.expect(200);
        assert!(
            deleting["metadata"]["deletionTimestamp"].is_string(),
            "{uri}"
        );
        self.told(watch, "MODIFIED", &deleting).await;
        assert_eq!(cluster.get(&self.one).await.expect(200), deleting);
        let free = json!({"metadata": {"finalizers": null}});
        let freed = self.patch("merge-patch+json", &free).await.expect(200);
        if self.def.kind == "Namespace" {
            self.told(watch, "MODIFIED", &freed).await;
            self.finalize().await;
        }
        let gone = watch.next().await.unwrap();
        assert_eq!(gone["type"], "DELETED", "{}", self.one);
        assert_eq!(gone["object"]["metadata"]["name"], json!(self.name));
        assert!(revision(&gone["object"]) > revision(&deleting));
        let gone = cluster.get(&self.one).await.message(404);
        assert_eq!(gone, self.words("not found"));
    }

    /// A namespace is also held until what is in it is gone.
    async fn finalize(&self) {
        let mut namespace = self.cluster.get(&self.one).await.expect(200);
        assert_eq!(namespace["status"]["phase"], "Terminating");
        namespace["spec"]["finalizers"] = json!([]);
        let finalize = format!("{}/finalize", self.one);
        self.cluster.put(&finalize, &namespace).await.expect(200);
    }

    async fn is_applied_by_two_managers(&self) {
        let apply = async |manager: &str, who: &str| {
            let mut config = self.example();
            config["metadata"]["labels"] = json!({"who": who});
            let uri = format!("{}?fieldManager={manager}", self.one);
            self.cluster.patch(&uri, "apply-patch+yaml", &config).await
        };
        let made = apply("one", "1").await.expect(201);
        let fields = made["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(fields[0]["manager"], "one", "{}", self.one);
        assert_eq!(fields[0]["operation"], "Apply");
        let same = apply("one", "1").await.expect(200);
        assert_eq!(same, made, "{}", self.one);
        assert_eq!(
            apply("two", "2").await.message(409),
            "Apply failed with 1 conflict: conflict with \"one\": .metadata.labels.who"
        );
        let forced = apply("two&force=true", "2").await.expect(200);
        assert_eq!(forced["metadata"]["labels"]["who"], "2");
        let unnamed = self.patch("apply-patch+yaml", &self.example()).await;
        let words = "fieldManager: Required value: is required for apply patch";
        assert!(unnamed.message(422).contains(words));
    }

    /// Leaves nothing behind.
    async fn is_removed(&self) {
        let now = "gracePeriodSeconds=0&propagationPolicy=Background";
        let uri = format!("{}?{now}", self.one);
        self.cluster.delete(&uri).await.expect(200);
        if self.def.kind == "Namespace" {
            self.finalize().await;
        }
        // Volumes and claims wait for a controller, which is not there.
        if self.cluster.get(&self.one).await.status == 200 {
            let free = json!({"metadata": {"finalizers": null}});
            self.patch("merge-patch+json", &free).await.expect(200);
        }
        self.cluster.get(&self.one).await.expect(404);
    }
}

/// The namespace is deleted: its controller empties it, row by row, and lets it go.
async fn goes_with_its_namespace(cluster: &Cluster, custom: &ResourceDef) {
    let uri = format!("/api/v1/namespaces?watch=1&fieldSelector=metadata.name%3D{PURGED}");
    let mut watch = cluster.watch(&uri).await;
    let controllers = cluster.controllers();
    assert!(controllers.ready().await);
    let uri = format!("/api/v1/namespaces/{PURGED}");
    cluster.delete(&uri).await.expect(200);
    loop {
        let frame = watch.next().await.expect("the watch has ended");
        if frame["type"] == "DELETED" {
            break;
        }
    }
    for def in stored().chain([custom]).filter(|def| def.is_namespaced()) {
        let left = cluster.get(&collection(def, PURGED)).await.expect(200);
        assert_eq!(left["items"], json!([]), "{}", def.plural);
    }
}
