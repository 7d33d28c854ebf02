//! Discovery and health through the API: what a Kubernetes 1.36 server lists (`tests/golden`), the
//! forms it comes in, and that what is listed is answered.

use super::harness::{Answer, Cluster};
use http::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use wkube::api::Body;
use wkube::resources::{BUILTINS, ResourceDef};

const SERVED: &str = include_str!("../../golden/resources/resources.tsv");
const DIFFERENCES: &str = include_str!("../../golden/resources/differences.tsv");
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn golden(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split('\t').collect())
}

fn root(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{group}/{version}")
    }
}

/// A name that may be absent, as the golden lines write it.
fn word(value: &Value) -> &str {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .unwrap_or("-")
}

fn list(value: &Value) -> String {
    let Some(items) = value.as_array() else {
        return "-".to_owned();
    };
    let items: Vec<&str> = items.iter().map(|item| item.as_str().unwrap()).collect();
    items.join(",")
}

/// A resource of an APIResourceList as a golden line.
fn line(group: &str, version: &str, resource: &Value) -> String {
    let kind = resource["kind"].as_str().unwrap();
    let kind = match (&resource["group"], &resource["version"]) {
        (Value::String(group), Value::String(version)) => format!("{group}/{version}/{kind}"),
        _ => kind.to_owned(),
    };
    let scope = if resource["namespaced"] == true {
        "namespaced"
    } else {
        "cluster"
    };
    [
        if group.is_empty() { "-" } else { group },
        version,
        word(&resource["name"]),
        &kind,
        scope,
        &list(&resource["verbs"]),
        &list(&resource["shortNames"]),
        &list(&resource["categories"]),
        word(&resource["singularName"]),
    ]
    .join("\t")
}

/// The groups and versions of the table.
fn versions() -> BTreeSet<(&'static str, &'static str)> {
    BUILTINS
        .iter()
        .map(|def| (&*def.group, &*def.version))
        .collect()
}

#[tokio::test]
async fn discovery_lists_what_kubernetes_lists() {
    let cluster = Cluster::start().await;
    let wanted: BTreeSet<String> = golden(SERVED).map(|words| words.join("\t")).collect();
    let mut found = BTreeSet::new();
    for (group, version) in versions() {
        let answer = cluster.get(&root(group, version)).await.expect(200);
        assert_eq!(answer["kind"], "APIResourceList");
        for resource in answer["resources"].as_array().unwrap() {
            assert!(found.insert(line(group, version, resource)), "{resource}");
        }
    }
    let missing: Vec<&String> = wanted.difference(&found).collect();
    let more: Vec<&String> = found.difference(&wanted).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "{missing:#?} {more:#?}"
    );
    let core = cluster.get("/api").await.expect(200);
    assert_eq!(core["versions"], json!(["v1"]));
    let groups = cluster.get("/apis").await.expect(200);
    assert_eq!(groups["kind"], "APIGroupList");
    // In the same order: a name alone means the first group that has it.
    let groups = groups["groups"].as_array().unwrap().iter();
    let groups: Vec<&str> = groups
        .map(|group| group["name"].as_str().unwrap())
        .collect();
    let mut order: Vec<&str> = golden(SERVED).map(|words| words[0]).collect();
    order.retain(|group| *group != "-");
    let mut seen = BTreeSet::new();
    order.retain(|group| seen.insert(*group));
    assert_eq!(groups, order);
}

/// Scripts search the raw text, so fields stand as Kubernetes writes them.
#[tokio::test]
async fn discovery_is_written_in_the_order_of_kubernetes() {
    let cluster = Cluster::start().await;
    let get = async |uri: &str| {
        let answer = cluster.get(uri).await;
        String::from_utf8(answer.bytes.to_vec()).unwrap()
    };
    let core = get("/api/v1").await;
    let start = r#"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"v1","resources":["#;
    assert!(core.starts_with(start), "{core}");
    let verbs =
        r#""verbs":["create","delete","deletecollection","get","list","patch","update","watch"]"#;
    let maps = format!(
        r#"{{"name":"configmaps","singularName":"configmap","namespaced":true,"kind":"ConfigMap",{verbs},"shortNames":["cm"],"storageVersionHash":"qFsyl6wFWjQ="}}"#
    );
    assert!(core.contains(&maps), "{core}");
    let scale = r#"{"name":"replicationcontrollers/scale","singularName":"","namespaced":true,"group":"autoscaling","version":"v1","kind":"Scale","verbs":["get","patch","update"]}"#;
    assert!(core.contains(scale), "{core}");
    // What is kept in the form of another group or version says so; what is not kept says nothing.
    for (uri, resource, hash) in [
        (
            "/apis/autoscaling/v1",
            "horizontalpodautoscalers",
            Some("qwQve8ut294="),
        ),
        ("/apis/events.k8s.io/v1", "events", Some("r2yiGXH7wu8=")),
        (
            "/apis/discovery.k8s.io/v1",
            "endpointslices",
            Some("qgS0xkrxYAI="),
        ),
        ("/api/v1", "componentstatuses", None),
        ("/apis/authentication.k8s.io/v1", "tokenreviews", None),
    ] {
        let list: Value = serde_json::from_str(&get(uri).await).unwrap();
        let of = |item: &&Value| item["name"] == resource;
        let found = list["resources"]
            .as_array()
            .unwrap()
            .iter()
            .find(of)
            .unwrap();
        assert_eq!(found["storageVersionHash"].as_str(), hash, "{uri}");
    }
    let groups = get("/apis").await;
    let start = r#"{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":""#;
    assert!(groups.starts_with(start), "{groups}");
    let apps = r#"{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}}"#;
    assert!(groups.contains(apps), "{groups}");
    let group = get("/apis/apps").await;
    let start = r#"{"kind":"APIGroup","apiVersion":"v1","name":"apps","versions":["#;
    assert!(group.starts_with(start), "{group}");
    // What Kubernetes' own suite looks for in the document of all.
    let document = get("/openapi/v2").await;
    for words in [
        "list of returned",
        "List of services",
        "Watch for changes to the described resources",
    ] {
        assert!(document.contains(words), "{words}");
    }
}

#[tokio::test]
async fn the_aggregated_form_lists_the_same_and_is_cached_by_its_etag() {
    let cluster = Cluster::start().await;
    let mut found = BTreeSet::new();
    for uri in ["/api", "/apis"] {
        let answer = cluster.get_as(uri, AGGREGATED).await;
        let media = answer.headers["content-type"].to_str().unwrap().to_owned();
        assert_eq!(media, AGGREGATED);
        let etag = answer.headers["etag"].to_str().unwrap().to_owned();
        for group in answer.expect(200)["items"].as_array().unwrap() {
            let name = group["metadata"]["name"].as_str().unwrap_or_default();
            for version in group["versions"].as_array().unwrap() {
                assert_eq!(version["freshness"], "Current");
                aggregated_lines(name, version, &mut found);
            }
        }
        let headers = [("accept", AGGREGATED), ("if-none-match", etag.as_str())];
        let same = cluster.call(Method::GET, uri, &headers, Body::empty());
        let same = same.await;
        assert_eq!(same.status, 304);
        assert_eq!(same.headers["etag"], etag);
        assert!(same.bytes.is_empty());
    }
    let wanted: BTreeSet<String> = golden(SERVED).map(|words| words.join("\t")).collect();
    assert_eq!(found, wanted);
}

/// The resources of a version in the aggregated form, as golden lines.
fn aggregated_lines(group: &str, version: &Value, found: &mut BTreeSet<String>) {
    let of = version["version"].as_str().unwrap();
    for resource in version["resources"].as_array().unwrap() {
        let whole = |name: Value, kind: &Value, verbs: &Value, rest: &Value| {
            let mut value = json!({
                "name": name,
                "kind": kind["kind"],
                "namespaced": resource["scope"] == "Namespaced",
                "verbs": verbs,
                "shortNames": rest["shortNames"],
                "categories": rest["categories"],
                "singularName": rest["singularResource"],
            });
            if (&kind["group"], &kind["version"]) != (&json!(group), &json!(of)) {
                value["group"] = kind["group"].clone();
                value["version"] = kind["version"].clone();
            }
            line(group, of, &value)
        };
        let name = resource["resource"].as_str().unwrap();
        found.insert(whole(
            json!(name),
            &resource["responseKind"],
            &resource["verbs"],
            resource,
        ));
        for sub in resource["subresources"].as_array().into_iter().flatten() {
            let name = format!("{name}/{}", sub["subresource"].as_str().unwrap());
            found.insert(whole(
                json!(name),
                &sub["responseKind"],
                &sub["verbs"],
                &Value::Null,
            ));
        }
    }
}

/// The request of a verb on a resource or subresource, about an object that is not there.
fn request(def: &ResourceDef, subresource: &str, verb: &str) -> (Method, String) {
    let root = root(&def.group, &def.version);
    let plural = &def.plural;
    let collection = if def.is_namespaced() {
        format!("{root}/namespaces/default/{plural}")
    } else {
        format!("{root}/{plural}")
    };
    let item = match subresource {
        "" => format!("{collection}/absent"),
        subresource => format!("{collection}/absent/{subresource}"),
    };
    match verb {
        "create" if subresource.is_empty() => (Method::POST, collection),
        "create" => (Method::POST, item),
        "delete" => (Method::DELETE, item),
        "deletecollection" => (Method::DELETE, collection),
        "get" => (Method::GET, item),
        "list" => (Method::GET, collection),
        "patch" => (Method::PATCH, item),
        "update" => (Method::PUT, item),
        "watch" => (
            Method::GET,
            format!("{collection}?watch=1&timeoutSeconds=1"),
        ),
        other => panic!("{other} is no verb"),
    }
}

/// Whether an answer says that nothing is behind the path.
fn is_unserved(answer: &Answer) -> bool {
    let text = String::from_utf8_lossy(&answer.bytes);
    matches!(answer.status.as_u16(), 405 | 501) || text.contains("could not find the requested")
}

#[tokio::test]
async fn what_is_listed_is_answered() {
    let cluster = Cluster::start().await;
    let mut unserved: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for def in BUILTINS {
        let main = (String::new(), &def.verbs);
        let subs = def.subresources.iter();
        let subs = subs.map(|sub| (sub.name.to_string(), &sub.verbs));
        for (sub, verbs) in std::iter::once(main).chain(subs) {
            for verb in verbs.iter().filter(|verb| verb.as_str() != "watch") {
                let (method, uri) = request(def, &sub, verb.as_str());
                let media = [("content-type", "application/merge-patch+json")];
                let headers = if method == Method::PATCH {
                    &media[..]
                } else {
                    &[]
                };
                let answer = cluster.call(method, &uri, headers, Body::empty()).await;
                if is_unserved(&answer) {
                    let group = if def.group.is_empty() {
                        "-"
                    } else {
                        &def.group
                    };
                    let name = format!("{group} {} {}/{sub}", def.version, def.plural);
                    unserved.entry(name).or_default().push(verb.as_str());
                }
            }
        }
    }
    let listed: BTreeMap<String, Vec<&str>> = golden(DIFFERENCES)
        .filter(|words| words[3] == "unanswered")
        .map(|words| (words[..3].join(" "), words[4].split(',').collect()))
        .collect();
    assert_eq!(unserved, listed);
}

#[tokio::test]
async fn what_is_not_served_is_told_in_a_status() {
    let cluster = Cluster::start().await;
    for uri in [
        "/api/v1/nonsense",
        "/apis/nonsense/v1/things",
        "/api/v2/pods",
        "/nonsense",
        "/api/v1/namespaces/default/pods/x/nonsense",
        "/api/v1/pods/x",
    ] {
        let status = cluster.get(uri).await.expect(404);
        assert_eq!(status["kind"], "Status", "{uri}");
        assert_eq!(status["reason"], "NotFound");
    }
    let message = cluster
        .post("/api/v1/namespaces/default/pods/x", &json!({}))
        .await
        .message(405);
    assert_eq!(
        message,
        "the server does not allow this method on the requested resource"
    );
    let refused = cluster.get_as("/api/v1/pods", "application/cbor").await;
    assert!(
        refused
            .message(406)
            .starts_with("only the following media types")
    );
    let cbor = [("content-type", "application/cbor")];
    let uri = "/api/v1/namespaces/default/configmaps";
    let refused = cluster.call(Method::POST, uri, &cbor, "x").await;
    refused.expect(415);
}

#[tokio::test]
async fn health_and_version_are_open_to_all() {
    let cluster = Cluster::start().await;
    for uri in ["/livez", "/readyz", "/healthz", "/version"] {
        let answer = cluster
            .send(None, Method::GET, uri, &[], Body::empty())
            .await;
        assert_eq!(answer.status(), 200, "{uri}");
    }
    let version = cluster.get("/version").await.expect(200);
    assert_eq!(version["minor"], "36");
    let closed = cluster
        .send(None, Method::GET, "/metrics", &[], Body::empty())
        .await;
    assert_eq!(closed.status(), 403);
    let metrics = cluster.get("/metrics").await;
    let text = String::from_utf8(metrics.bytes.to_vec()).unwrap();
    assert!(text.contains("apiserver_request_total{"), "{text}");
}

#[tokio::test]
async fn health_is_told_whole_at_length_and_by_check() {
    let cluster = Cluster::start().await;
    let cases = [
        ("/livez", 200, "ok"),
        ("/readyz", 200, "ok"),
        ("/healthz/ping", 200, "ok"),
        ("/readyz/shutdown", 200, "ok"),
        (
            "/livez?verbose",
            200,
            "[+]ping ok\n[+]log ok\n[+]etcd ok\nlivez check passed\n",
        ),
        (
            "/readyz?verbose&exclude=etcd&exclude=foo",
            200,
            "[+]ping ok\n[+]log ok\n[+]etcd excluded: ok\n[+]etcd-readiness ok\n[+]informer-sync \
             ok\n[+]shutdown ok\nwarn: some health checks cannot be excluded: no matches for \
             \"foo\"\nreadyz check passed\n",
        ),
    ];
    for (uri, code, text) in cases {
        told(&cluster, uri, code, text).await;
    }
    cluster.get("/livez/shutdown").await.expect(404);
    cluster.get("/livez/none").await.expect(404);
    cluster.shutdown.stop();
    told(&cluster, "/livez", 200, "ok").await;
    told(
        &cluster,
        "/readyz?exclude=etcd",
        500,
        "[+]ping ok\n[+]log ok\n[+]etcd excluded: ok\n[+]etcd-readiness ok\n[+]informer-sync \
         ok\n[-]shutdown failed: reason withheld\nreadyz check failed\n",
    )
    .await;
    let why = "internal server error: process is shutting down\n";
    told(&cluster, "/readyz/shutdown", 500, why).await;
    told(
        &cluster,
        "/livez/poststarthook/rbac/bootstrap-roles",
        200,
        "ok",
    )
    .await;
    let levels = cluster.get("/metrics/slis").await;
    let levels = String::from_utf8(levels.bytes.to_vec()).unwrap();
    for line in [
        "kubernetes_healthcheck{name=\"shutdown\",type=\"readyz\"} 0\n",
        "kubernetes_healthchecks_total{name=\"ping\",status=\"success\",type=\"healthz\"} 1\n",
    ] {
        assert!(levels.contains(line), "{levels}");
    }
}

async fn told(cluster: &Cluster, uri: &str, code: u16, text: &str) {
    let answer = cluster.get(uri).await;
    // The steps of the start are all done.
    let step = |line: &&str| line.starts_with("[+]poststarthook/") || line.contains("autoregister");
    let told = String::from_utf8(answer.bytes.to_vec()).unwrap();
    let (steps, told): (Vec<&str>, Vec<&str>) = told.split_inclusive('\n').partition(step);
    assert_eq!(told.concat(), text, "{uri}");
    if text.contains("ping") {
        assert_eq!(steps.len(), 26, "{steps:?}");
        assert!(
            steps.iter().all(|line| line.ends_with(" ok\n")),
            "{steps:?}"
        );
    }
    assert_eq!(answer.status, code, "{uri}");
    let headers = &answer.headers;
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn a_schema_is_kept_by_its_hash() {
    let cluster = Cluster::start().await;
    let index = cluster.get("/openapi/v3").await.expect(200);
    let place = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str();
    let place = place.unwrap();
    let (path, hash) = place.split_once("?hash=").unwrap();
    let named = cluster.get(place).await;
    assert_eq!(named.headers["cache-control"], "public, immutable");
    assert_eq!(named.headers["etag"], format!("\"{hash}\""));
    let end = named.headers["expires"].to_str().unwrap();
    assert!(end.ends_with(" GMT"), "{end}");
    let same = [("if-none-match", named.headers["etag"].to_str().unwrap())];
    let same = cluster.call(Method::GET, place, &same, Body::empty()).await;
    assert_eq!((same.status.as_u16(), same.bytes.len()), (304, 0));
    // Without its hash it may change, and by an old one it leads to the new one.
    let unnamed = cluster.get(path).await;
    assert_eq!(unnamed.headers["cache-control"], "no-cache, private");
    assert!(!unnamed.headers.contains_key("expires"));
    let old = cluster.get(&format!("{path}?hash=OLD")).await;
    assert_eq!(old.status, 301);
    assert_eq!(old.headers["location"], place);
}

#[tokio::test]
async fn requests_are_counted_with_kubernetes_labels() {
    let cluster = Cluster::start().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    cluster.config_map("a", "1").await;
    cluster.get(&format!("{maps}/a")).await.expect(200);
    cluster.get(maps).await.expect(200);
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let uri = format!("{maps}/a?fieldManager=m&dryRun=All");
    cluster
        .patch(&uri, "apply-patch+yaml", &config)
        .await
        .expect(200);
    cluster
        .get("/apis/batch/v1beta1/cronjobs")
        .await
        .expect(200);
    cluster.get("/apis/nobody/v1/things/x").await.expect(404);
    let _watch = cluster.watch(&format!("{maps}?watch=1")).await;
    let text = cluster.get("/metrics").await.bytes;
    let text = String::from_utf8(text.to_vec()).unwrap();
    let about = "group=\"\",version=\"v1\",resource=\"configmaps\",subresource=\"\"";
    for line in [
        format!("apiserver_request_total{{verb=\"POST\",dry_run=\"\",{about},scope=\"resource\",component=\"apiserver\",code=\"201\"}} 1"),
        format!("apiserver_request_total{{verb=\"GET\",dry_run=\"\",{about},scope=\"resource\",component=\"apiserver\",code=\"200\"}} 1"),
        format!("apiserver_request_total{{verb=\"LIST\",dry_run=\"\",{about},scope=\"namespace\",component=\"apiserver\",code=\"200\"}} 1"),
        format!("apiserver_request_total{{verb=\"APPLY\",dry_run=\"All\",{about},scope=\"resource\",component=\"apiserver\",code=\"200\"}} 1"),
        format!("apiserver_request_duration_seconds_count{{verb=\"LIST\",dry_run=\"\",{about},scope=\"namespace\",component=\"apiserver\"}} 1"),
        format!("apiserver_longrunning_requests{{verb=\"WATCH\",{about},scope=\"namespace\",component=\"apiserver\"}} 1"),
        "apiserver_requested_deprecated_apis{group=\"batch\",version=\"v1beta1\",resource=\"cronjobs\",subresource=\"\",removed_release=\"1.25\"} 1".to_owned(),
        "apiserver_storage_objects{resource=\"configmaps\"} 1.0".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(
        !text.contains("things"),
        "names that no row has are no labels"
    );
}
