//! The defaults of a pod, and of the pod templates of other kinds. Must not do what admission does
//! (service account, tolerations, priority).
//! Kubernetes: `pkg/apis/core/v1` defaults.

use crate::meta::Object;
use serde_json::{Map, Value, json};

/// The lists of containers in a pod spec.
pub const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Defaults of a Pod.
pub fn default_pod(pod: &mut Object) {
    let fields = pod.fields_mut();
    if let Some(Value::Object(status)) = fields.get_mut("status") {
        sync_pod_ips(status);
    }
    let Some(spec) = child(fields, "spec") else {
        return;
    };
    default_spec(spec);
    set(spec, "enableServiceLinks", json!(true));
    for list in ["initContainers", "containers"] {
        for container in objects(spec, list) {
            if let Some(Value::Object(resources)) = container.get_mut("resources") {
                requests_from_limits(resources);
            }
        }
    }
}

/// Defaults of a pod spec, in a Pod or in a template.
pub fn default_spec(spec: &mut Map<String, Value>) {
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "securityContext", json!({}));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "schedulerName", json!("default-scheduler"));
    mirror_service_account(spec);
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in CONTAINER_LISTS {
        for container in objects(spec, list) {
            default_container(container, host_network);
        }
    }
    for volume in objects(spec, "volumes") {
        default_volume(volume);
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`; both always say the same.
fn mirror_service_account(spec: &mut Map<String, Value>) {
    let text = |spec: &Map<String, Value>, name: &str| {
        let text = spec.get(name).and_then(Value::as_str).unwrap_or_default();
        text.to_owned()
    };
    let mut name = text(spec, "serviceAccountName");
    if name.is_empty() {
        name = text(spec, "serviceAccount");
    }
    if !name.is_empty() {
        spec.insert("serviceAccountName".to_owned(), json!(name));
        spec.insert("serviceAccount".to_owned(), json!(name));
    }
}

fn default_container(container: &mut Map<String, Value>, host_network: bool) {
    let image = container.get("image").and_then(Value::as_str);
    let policy = pull_policy(image.unwrap_or_default());
    set(container, "imagePullPolicy", json!(policy));
    set(
        container,
        "terminationMessagePath",
        json!("/dev/termination-log"),
    );
    set(container, "terminationMessagePolicy", json!("File"));
    set(container, "resources", json!({}));
    for port in objects(container, "ports") {
        set(port, "protocol", json!("TCP"));
        let number = port.get("containerPort").filter(|port| **port != json!(0));
        if host_network && let Some(number) = number.cloned() {
            set_zero(port, "hostPort", number);
        }
    }
    for variable in objects(container, "env") {
        if let Some(Value::Object(from)) = variable.get_mut("valueFrom") {
            default_field_ref(from);
            if let Some(Value::Object(file)) = from.get_mut("fileKeyRef") {
                set_null(file, "optional", json!(false));
            }
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(Value::Object(probe)) = container.get_mut(probe) {
            set_zero(probe, "timeoutSeconds", json!(1));
            set_zero(probe, "periodSeconds", json!(10));
            set_zero(probe, "successThreshold", json!(1));
            set_zero(probe, "failureThreshold", json!(3));
            default_handler(probe);
        }
    }
    if let Some(Value::Object(lifecycle)) = container.get_mut("lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(Value::Object(handler)) = lifecycle.get_mut(hook) {
                default_handler(handler);
            }
        }
    }
}

/// `Always` for an image without a tag or with `latest`, else `IfNotPresent`.
pub fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image
        .split_once('@')
        .map_or((image, None), |(name, d)| (name, Some(d)));
    let last = name.rsplit('/').next().unwrap_or_default();
    match (last.split_once(':'), digest) {
        (Some((_, "latest")), _) | (None, None) => "Always",
        _ => "IfNotPresent",
    }
}

fn default_handler(handler: &mut Map<String, Value>) {
    if let Some(Value::Object(get)) = handler.get_mut("httpGet") {
        set(get, "path", json!("/"));
        set(get, "scheme", json!("HTTP"));
    }
    if let Some(Value::Object(grpc)) = handler.get_mut("grpc") {
        set_null(grpc, "service", json!(""));
    }
}

fn default_field_ref(holder: &mut Map<String, Value>) {
    if let Some(Value::Object(reference)) = holder.get_mut("fieldRef") {
        set(reference, "apiVersion", json!("v1"));
    }
    if let Some(Value::Object(reference)) = holder.get_mut("resourceFieldRef") {
        // A divisor that is not given is written as 0.
        set_null(reference, "divisor", json!("0"));
    }
}

/// Defaults of a source that volumes of pods and persistent volumes both may have.
pub(crate) fn default_source(volume: &mut Map<String, Value>) {
    for (kind, field, value) in [
        ("hostPath", "type", json!("")),
        ("iscsi", "iscsiInterface", json!("default")),
        ("rbd", "pool", json!("rbd")),
        ("rbd", "user", json!("admin")),
        ("rbd", "keyring", json!("/etc/ceph/keyring")),
        ("azureDisk", "cachingMode", json!("ReadWrite")),
        ("azureDisk", "kind", json!("Shared")),
        ("azureDisk", "fsType", json!("ext4")),
        ("azureDisk", "readOnly", json!(false)),
        ("scaleIO", "storageMode", json!("ThinProvisioned")),
        ("scaleIO", "fsType", json!("xfs")),
    ] {
        if let Some(Value::Object(source)) = volume.get_mut(kind) {
            set_null(source, field, value);
        }
    }
}

fn default_volume(volume: &mut Map<String, Value>) {
    if volume.keys().all(|key| key == "name") {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(Value::Object(source)) = volume.get_mut(kind) {
            set_null(source, "defaultMode", json!(0o644));
        }
    }
    default_source(volume);
    if let Some(Value::Object(source)) = volume.get_mut("downwardAPI") {
        objects(source, "items").for_each(default_field_ref);
    }
    if let Some(Value::Object(source)) = volume.get_mut("projected") {
        objects(source, "sources").for_each(default_projection);
    }
    if let Some(Value::Object(image)) = volume.get_mut("image") {
        let reference = image.get("reference").and_then(Value::as_str);
        let policy = pull_policy(reference.unwrap_or_default());
        set(image, "pullPolicy", json!(policy));
    }
    let claim = volume.get_mut("ephemeral");
    if let Some(Value::Object(claim)) = claim.and_then(|e| e.get_mut("volumeClaimTemplate"))
        && let Some(spec) = child(claim, "spec")
    {
        set(spec, "volumeMode", json!("Filesystem"));
    }
}

fn default_projection(source: &mut Map<String, Value>) {
    if let Some(Value::Object(token)) = source.get_mut("serviceAccountToken") {
        set_null(token, "expirationSeconds", json!(3600));
    }
    if let Some(Value::Object(downward)) = source.get_mut("downwardAPI") {
        objects(downward, "items").for_each(default_field_ref);
    }
}

/// A limit without a request is its own request.
fn requests_from_limits(resources: &mut Map<String, Value>) {
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else {
        return;
    };
    let Some(requests) = child(resources, "requests") else {
        return;
    };
    for (name, amount) in limits {
        requests.entry(name).or_insert(amount);
    }
}

/// `podIP` and the first of `podIPs` are the same; either may be written.
fn sync_pod_ips(status: &mut Map<String, Value>) {
    let ip = status.get("podIP").and_then(Value::as_str);
    let ip = ip.unwrap_or_default().to_owned();
    let first = status.get("podIPs").and_then(|ips| ips.get(0)?.get("ip"));
    let first = first.and_then(Value::as_str).unwrap_or_default().to_owned();
    match (ip.is_empty(), first.is_empty()) {
        (true, false) => {
            status.insert("podIP".to_owned(), json!(first));
        }
        (false, _) if ip != first => {
            status.insert("podIPs".to_owned(), json!([{ "ip": ip }]));
        }
        _ => {}
    }
}

/// Sets a field that is absent or an empty string.
pub(crate) fn set(map: &mut Map<String, Value>, name: &str, value: Value) {
    match map.get(name) {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) if text.is_empty() => {}
        Some(_) => return,
    }
    map.insert(name.to_owned(), value);
}

/// Sets a field that is absent.
pub(crate) fn set_null(map: &mut Map<String, Value>, name: &str, value: Value) {
    if map.get(name).is_none_or(Value::is_null) {
        map.insert(name.to_owned(), value);
    }
}

/// Sets a field that is absent or zero.
pub(crate) fn set_zero(map: &mut Map<String, Value>, name: &str, value: Value) {
    if map.get(name).is_none_or(|v| v.is_null() || *v == json!(0)) {
        map.insert(name.to_owned(), value);
    }
}

/// The object at a field, made if absent; `None` if something else stands there.
pub(crate) fn child<'a>(
    map: &'a mut Map<String, Value>,
    name: &str,
) -> Option<&'a mut Map<String, Value>> {
    map.entry(name).or_insert_with(|| json!({})).as_object_mut()
}

/// The objects of a list.
pub(crate) fn objects<'a>(
    map: &'a mut Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> + use<'a> {
    let list = map.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter()
        .flatten()
        .filter_map(|item| item.as_object_mut())
}
