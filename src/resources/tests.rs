//! The table against what a Kubernetes API server says (`tests/golden/resources/`), and each row
//! against itself.

use super::*;
use crate::meta::Object;
use serde_json::{Value, json};

fn golden(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        line.split('\t')
            .map(|w| if w == "-" { "" } else { w })
            .collect()
    })
}

fn verbs(list: &[Verb]) -> String {
    list.iter()
        .map(|v| v.as_str())
        .collect::<Vec<_>>()
        .join(",")
}

/// A row and its subresources, as a line of `resources.tsv` each.
fn lines_of(def: &ResourceDef) -> Vec<String> {
    let scope = match def.scope {
        Scope::Namespaced => "namespaced",
        Scope::Cluster => "cluster",
    };
    let words = [
        &*def.group,
        &def.version,
        &def.plural,
        &def.kind,
        scope,
        &verbs(&def.verbs),
        &def.short_names.join(","),
        &def.categories.join(","),
        &def.singular,
    ];
    let mut lines = vec![words.join("\t")];
    for sub in def.subresources.iter() {
        let kind = match (&sub.group, &sub.version) {
            (Some(group), Some(version)) => format!("{group}/{version}/{}", sub.kind),
            _ => sub.kind.to_string(),
        };
        let name = format!("{}/{}", def.plural, sub.name);
        let words = [&*def.group, &def.version, &name, &kind, scope].join("\t");
        lines.push(format!("{words}\t{}\t\t\t", verbs(&sub.verbs)));
    }
    lines
}

#[test]
fn discovery_is_kubernetes() {
    let served = include_str!("../../tests/golden/resources/resources.tsv");
    let wanted: Vec<String> = golden(served).map(|w| w.join("\t")).collect();
    let found: Vec<String> = BUILTINS.iter().flat_map(|def| lines_of(def)).collect();
    for line in &wanted {
        assert!(found.contains(line), "not in the table: {line}");
    }
    for line in &found {
        assert!(wanted.contains(line), "not in Kubernetes: {line}");
    }
    // What 1.36 does not list is on the list of differences.
    let retired = BUILTINS.iter().filter(|def| def.is_retired());
    let retired = retired.flat_map(|def| lines_of(def));
    let mut retired: Vec<String> = retired.map(|line| head(&line)).collect();
    let differences = include_str!("../../tests/golden/resources/differences.tsv");
    let mut listed: Vec<String> = golden(differences)
        .filter(|words| words[3] == "retired")
        .map(|words| head(&words.join("\t")))
        .collect();
    retired.sort();
    listed.sort();
    assert_eq!(listed, retired);
}

/// Group, version and name of a line.
fn head(line: &str) -> String {
    line.split('\t').take(3).collect::<Vec<_>>().join("\t")
}

#[test]
fn columns_are_kubernetes() {
    let mut found = Vec::new();
    for def in BUILTINS
        .iter()
        .filter(|def| def.verbs.contains(&Verb::List))
    {
        for column in def.columns.iter() {
            let priority = column.priority.to_string();
            found.push(vec![
                def.group.to_string(),
                def.version.to_string(),
                def.plural.to_string(),
                column.name.to_string(),
                column.kind.to_string(),
                column.format.to_string(),
                priority,
            ]);
        }
    }
    let mut wanted: Vec<Vec<String>> =
        golden(include_str!("../../tests/golden/resources/columns.tsv"))
            .map(|w| w.into_iter().map(str::to_owned).collect())
            .collect();
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted);
}

#[test]
fn defaults_are_kubernetes() {
    let cases: Value =
        serde_json::from_str(include_str!("../../tests/golden/resources/defaulted.json")).unwrap();
    let scheme = Scheme::builtin();
    for case in cases.as_array().unwrap() {
        let input = case["in"].clone();
        let kind = case["in"]["kind"].as_str().unwrap();
        let def = scheme
            .by_api_version(case["in"]["apiVersion"].as_str().unwrap(), kind)
            .unwrap();
        let decoded = def.decode(input).unwrap();
        assert!(decoded.unknown_fields.is_empty());
        let mut object = decoded.object;
        def.default(&mut object);
        def.prepare_for_create(&mut object);
        assert_eq!(def.validate(&object), [], "{kind}");
        assert_eq!(object.clone().into_value(), case["out"], "{kind}");
        // Defaulting and decoding what was stored change nothing.
        let again = def.decode(object.clone().into_value()).unwrap();
        assert!(
            again.unknown_fields.is_empty(),
            "{:?}",
            again.unknown_fields
        );
        let mut again = again.object;
        def.default(&mut again);
        assert_eq!(again, object, "{kind}");
    }
}

#[test]
fn every_example_is_valid_and_has_a_row() {
    let now = "2024-01-01T00:00:00Z".parse().unwrap();
    for def in BUILTINS {
        let mut body: Value = serde_json::from_str(&def.example).unwrap();
        body["apiVersion"] = json!(def.api_version());
        body["kind"] = json!(def.kind);
        // The server gives it before anything else.
        body["metadata"]["uid"] = json!("u");
        if def.is_namespaced() {
            body["metadata"]["namespace"] = json!("default");
        }
        let decoded = def.decode(body).unwrap();
        assert_eq!(decoded.unknown_fields, Vec::<String>::new(), "{}", def.kind);
        let mut object = decoded.object;
        def.default(&mut object);
        def.prepare_for_create(&mut object);
        assert_eq!(def.validate(&object), [], "{}", def.kind);
        assert_eq!(def.row(&object, now).len(), def.columns.len());
        let old = object.clone();
        def.prepare_for_update(Part::Main, &mut object, &old);
        assert_eq!(def.validate_update(Part::Main, &object, &old), []);
        assert_eq!(object, old, "an update that changes nothing: {}", def.kind);
    }
}

#[test]
fn rows_are_found_by_what_users_type() {
    let scheme = Scheme::builtin();
    for (word, kind) in [
        ("po", "Pod"),
        ("pod", "Pod"),
        ("Pods", "Pod"),
        ("pods.v1.", "Pod"),
        ("leases.coordination.k8s.io", "Lease"),
        ("lease.v1.coordination.k8s.io", "Lease"),
        ("svc", "Service"),
    ] {
        assert_eq!(scheme.find(word).unwrap().kind, kind, "{word}");
    }
    assert!(scheme.find("nonsense").is_none());
    let events = scheme.resource("events.k8s.io", "v1", "events").unwrap();
    assert_eq!(scheme.stored(events).group, "");
    let all: Vec<&str> = scheme.category("all").iter().map(|d| &*d.kind).collect();
    assert!(
        all.starts_with(&["Pod", "ReplicationController", "Service"]),
        "{all:?}"
    );
}

fn decode(kind: &str, body: Value) -> Result<DecodedObject, String> {
    let scheme = Scheme::builtin();
    let def = scheme.by_api_version("v1", kind).unwrap();
    def.decode(body).map_err(|error| error.message)
}

#[test]
fn wrong_types_are_told_as_the_decoder_does() {
    let of = |spec: Value| decode("Pod", json!({ "spec": spec })).unwrap_err();
    let head = "Pod in version \"v1\" cannot be handled as a Pod: ";
    for (spec, wanted) in [
        (
            json!({"containers": [{"env": [{"name": "A", "value": 1}]}]}),
            "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string",
        ),
        (
            json!({"containers": {}}),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            json!({"activeDeadlineSeconds": "x"}),
            "json: cannot unmarshal string into Go struct field PodSpec.spec.activeDeadlineSeconds of type int64",
        ),
        (
            json!({"priority": 99_999_999_999_i64}),
            "json: cannot unmarshal number 99999999999 into Go struct field PodSpec.spec.priority of type int32",
        ),
        (
            json!({"containers": [{"resources": {"limits": {"cpu": "x"}}}]}),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            json!({"nodeSelector": {"a": true}}),
            "json: cannot unmarshal bool into Go struct field PodSpec.spec.nodeSelector of type string",
        ),
    ] {
        assert_eq!(of(spec), format!("{head}{wanted}"));
    }
    let error = decode("Pod", json!([])).unwrap_err();
    assert!(error.ends_with("json: cannot unmarshal array into Go value of type v1.Pod"));
    let error = decode("Secret", json!({"data": {"a": "x*"}})).unwrap_err();
    assert!(
        error.ends_with("illegal base64 data at input byte 1"),
        "{error}"
    );
}

#[test]
fn unknown_fields_are_named_and_taken_out() {
    let pod = json!({
        "metadata": {"name": "p", "labels": {}, "creationTimestamp": null},
        "spec": {
            "nodeName": null,
            "containers": [{"nmae": "x", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}],
        },
        "extra": 1,
    });
    let decoded = decode("Pod", pod).unwrap();
    assert_eq!(decoded.unknown_fields, ["extra", "spec.containers[0].nmae"]);
    assert_eq!(
        decoded.object.into_value(),
        json!({
            "metadata": {"name": "p"},
            "spec": {"containers": [{"resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}]},
        })
    );
}

fn pod(spec: Value) -> Object {
    let body = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default", "resourceVersion": "1"},
        "spec": spec,
    });
    let mut pod = core::pod::DEF.decode(body).unwrap().object;
    core::pod::DEF.default(&mut pod);
    core::pod::DEF.prepare_for_create(&mut pod);
    pod
}

#[test]
fn what_is_found_twice_is_told_once() {
    let wrong = json!({"containers": [{"name": "c", "image": "i", "envFrom": [{}, {}]}],
        "volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}], "restartPolicy": "x"});
    let error = core::pod::DEF.check(&pod(wrong)).unwrap_err();
    assert_eq!(
        error.message,
        "Pod \"p\" is invalid: [spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type, \
         spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`, \
         spec.restartPolicy: Unsupported value: \"x\": supported values: \"Always\", \"OnFailure\", \"Never\"]"
    );
    assert_eq!(error.details["causes"].as_array().unwrap().len(), 3);
}

#[test]
fn a_pod_changes_little() {
    let old = pod(json!({"containers": [{"name": "c", "image": "a"}]}));
    let update = |change: &dyn Fn(&mut Object)| {
        let mut new = old.clone();
        change(&mut new);
        core::pod::DEF.prepare_for_update(Part::Main, &mut new, &old);
        let errors = core::pod::DEF.validate_update(Part::Main, &new, &old);
        (
            new,
            errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        )
    };
    let (new, errors) = update(&|pod| {
        pod.set(&["spec", "activeDeadlineSeconds"], json!(5));
        pod.set(&["status", "phase"], json!("Running"));
    });
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(
        (new.generation(), new.str_at(&["status", "phase"])),
        (2, "Pending")
    );
    let (_, errors) = update(&|pod| pod.set(&["spec", "hostname"], json!("h")));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with(
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    ));
    assert!(
        errors[0].ends_with("\n  + hostname: \"h\""),
        "{}",
        errors[0]
    );
    let (_, errors) = update(&|pod| pod.set(&["metadata", "uid"], json!("x")));
    assert_eq!(
        errors,
        ["metadata.uid: Invalid value: \"x\": field is immutable"]
    );
}

#[test]
fn the_pod_row_is_kubectls() {
    let now = "2024-01-01T01:00:00Z".parse().unwrap();
    let row = |status: Value| {
        let mut pod = pod(json!({
            "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}],
            "initContainers": [{"name": "x", "image": "i"}, {"name": "y", "image": "i"}],
        }));
        pod.set(
            &["metadata", "creationTimestamp"],
            json!("2024-01-01T00:50:00Z"),
        );
        pod.set(&["status"], status);
        let row = core::pod::DEF.row(&pod, now);
        let texts: Vec<&str> = row[1..4].iter().filter_map(Value::as_str).collect();
        texts.join(" ")
    };
    let ran = |name: &str| json!({"name": name, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    let running =
        |name: &str, ready: bool| json!({"name": name, "ready": ready, "state": {"running": {}}});
    let init = json!([ran("x"), ran("y")]);
    assert_eq!(row(json!({"phase": "Pending"})), "0/2 Pending 0");
    assert_eq!(
        row(json!({"phase": "Pending", "initContainerStatuses":
            [ran("x"), {"name": "y", "state": {"waiting": {"reason": "PodInitializing"}}}]})),
        "0/2 Init:1/2 0"
    );
    assert_eq!(
        row(json!({"phase": "Pending", "initContainerStatuses":
            [{"name": "x", "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]})),
        "0/2 Init:CrashLoopBackOff 1"
    );
    assert_eq!(
        row(json!({"phase": "Running", "initContainerStatuses": init,
            "containerStatuses": [running("a", true), running("b", true)]})),
        "2/2 Running 0"
    );
    assert_eq!(
        row(
            json!({"phase": "Running", "initContainerStatuses": init, "containerStatuses": [
                running("a", true),
                {"name": "b", "restartCount": 2, "state": {"terminated": {"exitCode": 3}},
                 "lastState": {"terminated": {"finishedAt": "2024-01-01T00:55:00Z"}}}
            ]})
        ),
        "1/2 ExitCode:3 2 (5m ago)"
    );
    assert_eq!(
        row(json!({"phase": "Running", "initContainerStatuses": init,
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [ran("a"), running("b", true)]})),
        "1/2 NotReady 0"
    );
}

#[test]
fn event_forms_convert_without_loss() {
    let def = &events::event::DEF;
    let mut body: Value = serde_json::from_str(&def.example).unwrap();
    body["apiVersion"] = json!("events.k8s.io/v1");
    body["kind"] = json!("Event");
    body["note"] = json!("n");
    let event = def.decode(body).unwrap().object;
    let conversion = def.conversion.clone().unwrap();
    let mut stored = event.clone();
    conversion.to_stored(&mut stored);
    assert_eq!(stored.str_at(&["message"]), "n");
    assert_eq!(stored.str_at(&["involvedObject", "name"]), "p");
    let core = core::event::DEF
        .decode(stored.clone().into_value())
        .unwrap();
    assert!(core.unknown_fields.is_empty(), "{:?}", core.unknown_fields);
    conversion.from_stored(&mut stored);
    assert_eq!(stored, event);
}

#[test]
fn retired_ingresses_are_views_of_the_stored_one() {
    for def in [
        &networking::retired_ingress::NETWORKING,
        &networking::retired_ingress::EXTENSIONS,
    ] {
        let body = json!({
            "apiVersion": def.api_version(),
            "kind": "Ingress",
            "metadata": {"name": "x", "namespace": "default"},
            "spec": {
                "backend": {"resource": {"kind": "Bucket", "name": "b"}},
                "rules": [{"host": "a.b", "http": {"paths": [
                    {"path": "/", "backend": {"serviceName": "s", "servicePort": 80}},
                    {"pathType": "Exact", "path": "/x", "backend": {"serviceName": "s", "servicePort": "http"}},
                ]}}],
                "tls": [{"hosts": ["a.b"], "secretName": "t"}],
            },
        });
        let decoded = def.decode(body).unwrap();
        assert_eq!(decoded.unknown_fields, Vec::<String>::new());
        let mut ingress = decoded.object;
        def.default(&mut ingress);
        def.prepare_for_create(&mut ingress);
        assert_eq!(def.validate(&ingress), []);
        let conversion = def.conversion.clone().unwrap();
        let mut stored = ingress.clone();
        conversion.to_stored(&mut stored);
        let spec = stored.get(&["spec"]).unwrap();
        assert_eq!(spec["defaultBackend"]["resource"]["kind"], "Bucket");
        let paths = &spec["rules"][0]["http"]["paths"];
        assert_eq!(
            paths,
            &json!([
                {"pathType": "ImplementationSpecific", "path": "/",
                 "backend": {"service": {"name": "s", "port": {"number": 80}}}},
                {"pathType": "Exact", "path": "/x",
                 "backend": {"service": {"name": "s", "port": {"name": "http"}}}},
            ])
        );
        let owner = &networking::ingress::DEF;
        let again = owner.decode(stored.clone().into_value()).unwrap();
        assert!(
            again.unknown_fields.is_empty(),
            "{:?}",
            again.unknown_fields
        );
        assert_eq!(owner.validate(&again.object), []);
        conversion.from_stored(&mut stored);
        assert_eq!(stored, ingress);
        assert_eq!(
            stored_group(&def.api_version(), "Ingress"),
            Some("networking.k8s.io")
        );
        let merges = def.schema.get().root().as_struct().unwrap();
        let spec = merges.field("spec").unwrap().as_struct().unwrap();
        assert_eq!(
            spec.field("rules").unwrap().merge.list,
            Some(schema::ListType::Atomic)
        );
    }
    assert_eq!(
        networking::retired_ingress::EXTENSIONS
            .deprecation_warning()
            .unwrap(),
        "extensions/v1beta1 Ingress is deprecated in v1.14+, unavailable in v1.22+; use \
         networking.k8s.io/v1 Ingress"
    );
    assert_eq!(
        batch::retired_cron_job::DEF.deprecation_warning().unwrap(),
        "batch/v1beta1 CronJob is deprecated in v1.21+, unavailable in v1.25+; use batch/v1 CronJob"
    );
    assert_eq!(
        core::endpoints::DEF.deprecation_warning().unwrap(),
        "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
    );
    let scheme = Scheme::builtin();
    assert_eq!(scheme.find("ing").unwrap().version, "v1");
    let scheme = scheme.without_retired();
    assert!(
        scheme
            .resource("extensions", "v1beta1", "ingresses")
            .is_none()
    );
    assert!(scheme.resource("", "v1", "endpoints").is_some());
}

#[test]
fn rows_of_networking_show_what_kubectl_shows() {
    let now = "2024-01-01T00:00:00Z".parse().unwrap();
    let row = |def: &ResourceDef, body: Value| {
        let object = def.decode(body).unwrap().object;
        let row = def.row(&object, now);
        let texts: Vec<&str> = row.iter().filter_map(Value::as_str).collect();
        texts.join("|")
    };
    let rules = json!([{"host": "a"}, {"host": "b"}, {"host": "c"}, {}, {"host": "d"}]);
    assert_eq!(
        row(
            &networking::ingress::DEF,
            json!({"metadata": {"name": "i"}, "spec": {"rules": rules, "tls": [{}]},
                "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}, {"hostname": "h"}]}}})
        ),
        "i|<none>|a,b,c + 2 more...|1.2.3.4,h|80, 443|<unknown>"
    );
    assert_eq!(
        row(
            &networking::ingress_class::DEF,
            json!({"metadata": {"name": "i"}, "spec": {"controller": "a/b",
                "parameters": {"apiGroup": "g", "kind": "K", "name": "n"}}})
        ),
        "i|a/b|K.g/n|<unknown>"
    );
    assert_eq!(
        row(
            &networking::network_policy::DEF,
            json!({"metadata": {"name": "n"}, "spec": {"podSelector": {"matchLabels": {"b": "c"},
                "matchExpressions": [{"key": "a", "operator": "In", "values": ["y", "x"]}]}}})
        ),
        "n|a in (x,y),b=c|<unknown>"
    );
    let parent = json!({"resource": "services", "namespace": "default", "name": "k"});
    assert_eq!(
        row(
            &networking::ip_address::DEF,
            json!({"metadata": {"name": "10.0.0.1"}, "spec": {"parentRef": parent}})
        ),
        "10.0.0.1|services/default/k"
    );
    let quota = json!({"metadata": {"name": "q"}, "status": {
        "hard": {"pods": "2", "limits.cpu": "1", "services": "3"}, "used": {"pods": "1"}}});
    assert_eq!(
        row(&core::resource_quota::DEF, quota),
        "q|pods: 1/2, services: 0/3|limits.cpu: 0/1|<unknown>"
    );
    let subset = json!({"addresses": [{"ip": "10.0.0.1"}, {"ip": "::1"}], "ports": [{"port": 1}, {"port": 2}]});
    assert_eq!(
        row(
            &core::endpoints::DEF,
            json!({"metadata": {"name": "e"}, "subsets": [subset]})
        ),
        "e|10.0.0.1:1,[::1]:1,10.0.0.1:2 + 1 more...|<unknown>"
    );
}
