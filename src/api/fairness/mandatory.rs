//! The FlowSchemas and PriorityLevelConfigurations of a new cluster: those that must be there, and
//! those that Kubernetes suggests. Read from a table.
//! Kubernetes: apiserver `apis/flowcontrol/bootstrap`.

use crate::meta::{Object, time};
use crate::stdx::Clock;
use serde_json::{Map, Value, json};

/// An object with this annotation set to `true` follows the table.
pub(crate) const AUTOUPDATE: &str = "apf.kubernetes.io/autoupdate-spec";
const API_VERSION: &str = "flowcontrol.apiserver.k8s.io/v1";

/// Levels that are limited: name, shares, percent that may be lent, and queues (number, hand,
/// length); without queues, what is too much is refused.
type Limited = (&'static str, u32, u32, Option<(u32, u32, u32)>);

const CATCH_ALL: Limited = ("catch-all", 5, 0, None);
const SUGGESTED_LEVELS: &[Limited] = &[
    ("system", 30, 33, Some((64, 6, 50))),
    ("node-high", 40, 25, Some((64, 6, 50))),
    ("leader-election", 10, 0, Some((16, 4, 50))),
    ("workload-high", 40, 50, Some((128, 6, 50))),
    ("workload-low", 100, 90, Some((128, 6, 50))),
    ("global-default", 20, 50, Some((128, 6, 50))),
];

/// A schema: name, level, precedence, what tells flows apart, whose requests (`user:`, `group:`,
/// `account:NAMESPACE` for all of one), and which: `all`, or rules of `verbs groups resources scope`,
/// or a path rule.
struct Row(
    &'static str,
    &'static str,
    u32,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const EXEMPT: Row = Row(
    "exempt",
    "exempt",
    1,
    "",
    &["group:system:masters"],
    &["all"],
);
const LAST: Row = Row(
    "catch-all",
    "catch-all",
    10_000,
    "ByUser",
    ANYBODY,
    &["all"],
);
const ANYBODY: &[&str] = &["group:system:unauthenticated", "group:system:authenticated"];
const NODES: &[&str] = &["group:system:nodes"];
const SUGGESTED: &[Row] = &[
    Row(
        "probes",
        "exempt",
        2,
        "",
        ANYBODY,
        &["get /healthz,/readyz,/livez"],
    ),
    Row(
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        &[
            "user:system:kube-controller-manager",
            "user:system:kube-scheduler",
            "account:kube-system",
        ],
        &["get,create,update coordination.k8s.io leases namespaced"],
    ),
    Row(
        "system-node-high",
        "node-high",
        400,
        "ByUser",
        NODES,
        &[
            "* - nodes,nodes/status everywhere",
            "* coordination.k8s.io leases namespaced",
        ],
    ),
    Row("system-nodes", "system", 500, "ByUser", NODES, &["all"]),
    Row(
        "kube-controller-manager",
        "workload-high",
        800,
        "ByNamespace",
        &["user:system:kube-controller-manager"],
        &["all"],
    ),
    Row(
        "kube-scheduler",
        "workload-high",
        800,
        "ByNamespace",
        &["user:system:kube-scheduler"],
        &["all"],
    ),
    Row(
        "kube-system-service-accounts",
        "workload-high",
        900,
        "ByNamespace",
        &["account:kube-system"],
        &["all"],
    ),
    Row(
        "service-accounts",
        "workload-low",
        9_000,
        "ByUser",
        &["group:system:serviceaccounts"],
        &["all"],
    ),
    Row(
        "global-default",
        "global-default",
        9_900,
        "ByUser",
        ANYBODY,
        &["all"],
    ),
];

fn object(kind: &str, name: &str, spec: Value) -> Object {
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), json!(API_VERSION));
    object.insert("kind".to_owned(), json!(kind));
    object.insert(
        "metadata".to_owned(),
        json!({ "name": name, "annotations": { AUTOUPDATE: "true" } }),
    );
    object.insert("spec".to_owned(), spec);
    Object::new(object)
}

fn limited((name, shares, lendable, queues): &Limited) -> Object {
    let response = match queues {
        None => json!({ "type": "Reject" }),
        Some((queues, hand, length)) => json!({
            "type": "Queue",
            "queuing": { "queues": queues, "handSize": hand, "queueLengthLimit": length },
        }),
    };
    let limited = json!({
        "nominalConcurrencyShares": shares,
        "lendablePercent": lendable,
        "limitResponse": response,
    });
    let spec = json!({ "type": "Limited", "limited": limited });
    object("PriorityLevelConfiguration", name, spec)
}

/// The levels without which nothing works.
pub(super) fn levels() -> [Object; 2] {
    let exempt = json!({ "nominalConcurrencyShares": 0, "lendablePercent": 0 });
    let spec = json!({ "type": "Exempt", "exempt": exempt });
    [
        limited(&CATCH_ALL),
        object("PriorityLevelConfiguration", "exempt", spec),
    ]
}

/// The schemas without which nothing works.
pub(super) fn schemas() -> [Object; 2] {
    [schema(&EXEMPT), schema(&LAST)]
}

fn subject(text: &str) -> Value {
    match text.split_once(':') {
        Some(("user", name)) => json!({ "kind": "User", "user": { "name": name } }),
        Some(("account", namespace)) => json!({
            "kind": "ServiceAccount",
            "serviceAccount": { "name": "*", "namespace": namespace },
        }),
        _ => {
            let name = text.strip_prefix("group:").unwrap_or(text);
            json!({ "kind": "Group", "group": { "name": name } })
        }
    }
}

fn resource_rule(verbs: &str, groups: &str, resources: &str, everywhere: bool) -> Value {
    let list = |text: &str| -> Vec<String> {
        let words = text
            .split(',')
            .map(|word| if word == "-" { "" } else { word });
        words.map(str::to_owned).collect()
    };
    let mut rule = json!({
        "verbs": list(verbs),
        "apiGroups": list(groups),
        "resources": list(resources),
        "namespaces": ["*"],
    });
    if let (true, Some(rule)) = (everywhere, rule.as_object_mut()) {
        rule.insert("clusterScope".to_owned(), json!(true));
    }
    rule
}

fn schema(row: &Row) -> Object {
    let Row(name, level, precedence, method, subjects, what) = row;
    let mut resources = Vec::new();
    let mut paths = Vec::new();
    for rule in *what {
        let words: Vec<&str> = rule.split(' ').collect();
        match words.as_slice() {
            ["all"] => {
                resources.push(resource_rule("*", "*", "*", true));
                paths.push(json!({ "verbs": ["*"], "nonResourceURLs": ["*"] }));
            }
            [verb, list] => {
                let urls: Vec<&str> = list.split(',').collect();
                paths.push(json!({ "verbs": [verb], "nonResourceURLs": urls }));
            }
            [verbs, groups, names, scope] => {
                let rule = resource_rule(verbs, groups, names, *scope == "everywhere");
                resources.push(rule);
            }
            _ => {}
        }
    }
    let mut rule = json!({
        "subjects": subjects.iter().map(|text| subject(text)).collect::<Vec<_>>(),
    });
    if let Some(rule) = rule.as_object_mut() {
        if !resources.is_empty() {
            rule.insert("resourceRules".to_owned(), Value::Array(resources));
        }
        if !paths.is_empty() {
            rule.insert("nonResourceRules".to_owned(), Value::Array(paths));
        }
    }
    let mut spec = json!({
        "priorityLevelConfiguration": { "name": level },
        "matchingPrecedence": precedence,
        "rules": [rule],
    });
    if let (false, Some(spec)) = (method.is_empty(), spec.as_object_mut()) {
        spec.insert("distinguisherMethod".to_owned(), json!({ "type": method }));
    }
    object("FlowSchema", name, spec)
}

/// All of them, levels first, with the statuses that they have where all are there.
pub(crate) fn objects(clock: &Clock) -> Vec<Object> {
    let mut all: Vec<Object> = levels().into();
    all.extend(SUGGESTED_LEVELS.iter().map(limited));
    let schemas = SUGGESTED.iter().map(schema).chain(schemas());
    all.extend(schemas.map(|mut schema| {
        let level = schema.str_at(&["spec", "priorityLevelConfiguration", "name"]);
        let condition = dangling(level, true, clock);
        schema.set(&["status"], json!({ "conditions": [condition] }));
        schema
    }));
    all
}

/// Whether the level that a schema names is there, as its condition tells it.
pub(super) fn dangling(level: &str, found: bool, clock: &Clock) -> Value {
    let of = "This FlowSchema references the PriorityLevelConfiguration object named";
    let (status, reason, message) = if found {
        ("False", "Found", format!("{of} {level:?} and it exists"))
    } else {
        let message = format!("{of} {level:?} but there is no such object");
        ("True", "NotFound", message)
    };
    json!({
        "type": "Dangling",
        "status": status,
        "lastTransitionTime": time::rfc3339(clock.now()),
        "reason": reason,
        "message": message,
    })
}
