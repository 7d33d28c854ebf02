//! The environment, command and arguments of a container, by Kubernetes' rules. Pure: the
//! ConfigMaps and Secrets that it needs are fetched before and given to it.
//!
//! Kubernetes: kubelet `makeEnvironmentVariables`, `third_party/forked/golang/expansion`.

use crate::kubelet::pod_spec;
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, Pod};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// The longest host name. Kubernetes: hostnames of pods are cut at 63.
const HOSTNAME_BYTES_MAX: usize = 63;
/// `PATH` if neither image nor pod says one, as container runtimes have it.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Keys and values of a ConfigMap or Secret.
pub(super) type Values = BTreeMap<String, Vec<u8>>;

/// What the environment is made from besides the pod itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    /// ConfigMaps of the pod's namespace; `None` if one does not exist.
    pub config_maps: HashMap<String, Option<Values>>,
    /// Secrets of the pod's namespace; `None` if one does not exist.
    pub secrets: HashMap<String, Option<Values>>,
}

/// Facts of node and sandbox that a pod may ask for.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    /// The pod's addresses.
    pub pod_ips: &'a [IpAddr],
    /// The node's addresses.
    pub host_ips: &'a [IpAddr],
    /// What the node can give, in thousandths: `cpu`, `memory`, `ephemeral-storage`.
    pub allocatable: &'a BTreeMap<String, i128>,
}

/// What an image says of itself.
#[derive(Clone, Debug, Default)]
pub struct ImageDefaults {
    /// `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// `CMD`.
    pub cmd: Vec<String>,
    /// `ENV`, `NAME=value`.
    pub env: Vec<String>,
}

/// The ConfigMaps and Secrets that a container's environment refers to.
pub(super) fn references(container: &Container) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut config_maps = BTreeSet::new();
    let mut secrets = BTreeSet::new();
    for from in container.env_from.iter().flatten() {
        config_maps.extend(from.config_map_ref.iter().map(|r| r.name.clone()));
        secrets.extend(from.secret_ref.iter().map(|r| r.name.clone()));
    }
    for from in container
        .env
        .iter()
        .flatten()
        .filter_map(|env| env.value_from.as_ref())
    {
        config_maps.extend(from.config_map_key_ref.iter().map(|r| r.name.clone()));
        secrets.extend(from.secret_key_ref.iter().map(|r| r.name.clone()));
    }
    (config_maps, secrets)
}

/// The host name that the pod's containers see.
pub(super) fn hostname(pod: &Pod) -> String {
    let spec = pod_spec::spec(pod);
    let wanted = spec.and_then(|s| s.hostname_override.as_deref().or(s.hostname.as_deref()));
    let name = wanted
        .filter(|name| !name.is_empty())
        .unwrap_or(pod_spec::name(pod));
    let cut: String = name.chars().take(HOSTNAME_BYTES_MAX).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// An ordered environment in which a later value replaces an earlier one in its place.
#[derive(Default)]
struct Environment {
    names: HashMap<String, usize>,
    values: Vec<(String, String)>,
}

impl Environment {
    fn set(&mut self, name: &str, value: String) {
        match self.names.get(name).and_then(|at| self.values.get_mut(*at)) {
            Some(there) => there.1 = value,
            None => {
                self.names.insert(name.to_owned(), self.values.len());
                self.values.push((name.to_owned(), value));
            }
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let at = self.names.get(name)?;
        self.values.get(*at).map(|(_, value)| value.as_str())
    }
}

/// The environment of `container`. The error is the message of `CreateContainerConfigError`.
pub(super) fn environment(
    pod: &Pod,
    container: &Container,
    sources: &Sources,
    place: &Place<'_>,
    image: &ImageDefaults,
) -> Result<Vec<(String, String)>, String> {
    let mut own = Environment::default();
    env_from(container, sources, &mut own)?;
    for env in container.env.iter().flatten() {
        if let Some(value) = value_of(pod, container, env, sources, place, &own)? {
            own.set(&env.name, value);
        }
    }
    let mut all = Environment::default();
    all.set("PATH", PATH_DEFAULT.to_owned());
    all.set("HOSTNAME", hostname(pod));
    for entry in &image.env {
        if let Some((name, value)) = entry.split_once('=') {
            all.set(name, value.to_owned());
        }
    }
    for (name, value) in own.values {
        all.set(&name, value);
    }
    Ok(all.values)
}

fn env_from(
    container: &Container,
    sources: &Sources,
    into: &mut Environment,
) -> Result<(), String> {
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let (values, optional, kind, name) = if let Some(of) = &from.config_map_ref {
            let values = sources.config_maps.get(&of.name);
            (values, of.optional, "configmap", &of.name)
        } else if let Some(of) = &from.secret_ref {
            (
                sources.secrets.get(&of.name),
                of.optional,
                "secret",
                &of.name,
            )
        } else {
            continue;
        };
        let Some(values) = values.and_then(Option::as_ref) else {
            if optional == Some(true) {
                continue;
            }
            return Err(missing(kind, name));
        };
        for (key, value) in values {
            let name = format!("{prefix}{key}");
            // A name that no program could read is left out, as Kubernetes does.
            if is_env_name(&name) {
                into.set(&name, String::from_utf8_lossy(value).into_owned());
            }
        }
    }
    Ok(())
}

fn missing(kind: &str, name: &str) -> String {
    format!("{kind} \"{name}\" not found")
}

/// Kubernetes: relaxed environment variable names, printable ASCII but for `=`.
fn is_env_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| (b' '..=b'~').contains(&b) && b != b'=')
}

fn value_of(
    pod: &Pod,
    container: &Container,
    env: &EnvVar,
    sources: &Sources,
    place: &Place<'_>,
    before: &Environment,
) -> Result<Option<String>, String> {
    if let Some(value) = env.value.as_deref().filter(|value| !value.is_empty()) {
        let expanded = expand(value, |name| before.get(name).map(str::to_owned));
        return Ok(Some(expanded));
    }
    let Some(from) = &env.value_from else {
        return Ok(Some(String::new()));
    };
    if let Some(field) = &from.field_ref {
        return field_value(pod, &field.field_path, place).map(Some);
    }
    if let Some(of) = &from.resource_field_ref {
        let name = of.container_name.as_deref().filter(|name| !name.is_empty());
        let of_container = match name {
            Some(name) => pod_spec::all_containers(pod)
                .find(|c| c.name == name)
                .ok_or_else(|| format!("container {name} not found"))?,
            None => container,
        };
        let divisor = of.divisor.as_ref().map_or("", |d| d.0.as_str());
        return resource_value(of_container, &of.resource, divisor, place).map(Some);
    }
    key_value(pod, from, sources)
}

fn key_value(pod: &Pod, from: &EnvVarSource, sources: &Sources) -> Result<Option<String>, String> {
    let (values, key, optional, kind, label, name) = if let Some(of) = &from.config_map_key_ref {
        let values = sources.config_maps.get(&of.name);
        (
            values,
            &of.key,
            of.optional,
            "configmap",
            "ConfigMap",
            &of.name,
        )
    } else if let Some(of) = &from.secret_key_ref {
        let values = sources.secrets.get(&of.name);
        (values, &of.key, of.optional, "secret", "Secret", &of.name)
    } else {
        return Err("environment variables from files are not built into wkube yet".to_owned());
    };
    let optional = optional == Some(true);
    let Some(values) = values.and_then(Option::as_ref) else {
        return if optional {
            Ok(None)
        } else {
            Err(missing(kind, name))
        };
    };
    match values.get(key) {
        Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        None if optional => Ok(None),
        None => {
            let namespace = pod_spec::namespace(pod);
            Err(format!(
                "couldn't find key {key} in {label} {namespace}/{name}"
            ))
        }
    }
}

fn joined(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    texts.join(",")
}

/// The value of a `fieldRef`.
pub(super) fn field_value(pod: &Pod, path: &str, place: &Place<'_>) -> Result<String, String> {
    let first = |of: &[IpAddr]| of.first().map(IpAddr::to_string).unwrap_or_default();
    let spec = pod_spec::spec(pod);
    let value = match path {
        "metadata.name" => pod_spec::name(pod).to_owned(),
        "metadata.namespace" => pod_spec::namespace(pod).to_owned(),
        "metadata.uid" => pod_spec::uid(pod).to_owned(),
        "spec.nodeName" => spec.and_then(|s| s.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => spec
            .and_then(|s| s.service_account_name.clone())
            .unwrap_or_default(),
        "status.hostIP" => first(place.host_ips),
        "status.hostIPs" => joined(place.host_ips),
        "status.podIP" => first(place.pod_ips),
        "status.podIPs" => joined(place.pod_ips),
        "metadata.labels" => listed(pod.metadata.labels.as_ref()),
        "metadata.annotations" => listed(pod.metadata.annotations.as_ref()),
        _ => {
            let of = |start: &str| path.strip_prefix(start)?.strip_suffix("']");
            if let Some(key) = of("metadata.labels['") {
                let labels = pod.metadata.labels.as_ref();
                labels.and_then(|l| l.get(key)).cloned().unwrap_or_default()
            } else if let Some(key) = of("metadata.annotations['") {
                let annotations = pod.metadata.annotations.as_ref();
                let value = annotations.and_then(|a| a.get(key));
                value.cloned().unwrap_or_default()
            } else {
                return Err(format!("unsupported fieldPath: {path}"));
            }
        }
    };
    Ok(value)
}

fn listed(map: Option<&BTreeMap<String, String>>) -> String {
    let lines = map.into_iter().flatten();
    let lines: Vec<String> = lines.map(|(k, v)| format!("{k}={v:?}")).collect();
    lines.join("\n")
}

/// The value of a `resourceFieldRef`, rounded up to whole divisors.
/// Kubernetes: `ExtractContainerResourceValue`; a missing limit is what the node can give.
pub(super) fn resource_value(
    container: &Container,
    path: &str,
    divisor: &str,
    place: &Place<'_>,
) -> Result<String, String> {
    let unsupported = || format!("Unsupported container resource : {path}");
    let (list, resource) = path.split_once('.').ok_or_else(unsupported)?;
    let resources = container.resources.as_ref();
    let amount = match list {
        "limits" => match pod_spec::amount(resources.and_then(|r| r.limits.as_ref()), resource) {
            0 => place.allocatable.get(resource).copied().unwrap_or(0),
            limit => limit,
        },
        "requests" => pod_spec::amount(resources.and_then(|r| r.requests.as_ref()), resource),
        _ => return Err(unsupported()),
    };
    let divisor = match pod_spec::milli(divisor) {
        Some(divisor) if divisor > 0 => divisor,
        _ => 1_000,
    };
    Ok(((amount + divisor - 1) / divisor).to_string())
}

/// Replaces `$(NAME)` by its value; what has none stays, and `$$` is a plain `$`.
pub(super) fn expand(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let after = from.get(1..).unwrap_or_default();
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = after.strip_prefix('(').and_then(|a| a.split_once(')'))
        {
            match value(name) {
                Some(value) => out.push_str(&value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// The command line: program and arguments.
/// Kubernetes: `command` replaces the image's entrypoint and its cmd, `args` the cmd alone.
pub(super) fn command_line(
    container: &Container,
    image: &ImageDefaults,
    environment: &[(String, String)],
) -> Vec<String> {
    let value = |name: &str| {
        let found = environment.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.clone())
    };
    let expanded = |list: Option<&Vec<String>>| -> Vec<String> {
        let words = list.into_iter().flatten();
        words.map(|word| expand(word, value)).collect()
    };
    let command = expanded(container.command.as_ref());
    let args = expanded(container.args.as_ref());
    let (mut line, args) = match (command.is_empty(), args.is_empty()) {
        (true, true) => (image.entrypoint.clone(), image.cmd.clone()),
        (true, false) => (image.entrypoint.clone(), args),
        (false, _) => (command, args),
    };
    line.extend(args);
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(container: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "x"}},
            "spec": {"nodeName": "n", "containers": [container]},
        }))
        .unwrap()
    }

    fn made(container: serde_json::Value) -> Result<Vec<(String, String)>, String> {
        let pod = pod(container);
        let sources = Sources {
            config_maps: HashMap::from([
                (
                    "cm".to_owned(),
                    Some(Values::from([("k".to_owned(), b"v".to_vec())])),
                ),
                ("none".to_owned(), None),
            ]),
            ..Sources::default()
        };
        let allocatable = BTreeMap::from([("memory".to_owned(), 4_000_000i128)]);
        let place = Place {
            pod_ips: &["10.0.0.2".parse().unwrap()],
            host_ips: &["10.0.0.1".parse().unwrap()],
            allocatable: &allocatable,
        };
        let of = pod_spec::containers(&pod)[0].clone();
        let image = ImageDefaults {
            env: vec!["A=image".to_owned()],
            ..ImageDefaults::default()
        };
        environment(&pod, &of, &sources, &place, &image)
    }

    #[test]
    fn environment_has_values_of_every_kind() {
        let env = made(json!({"name": "c",
        "resources": {"requests": {"cpu": "1500m"}},
        "envFrom": [{"prefix": "P_", "configMapRef": {"name": "cm"}}],
        "env": [
            {"name": "A", "value": "own"},
            {"name": "B", "value": "$(A)-$(P_k)-$(NOPE)-$$(A)"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu"}}},
            {"name": "MEM", "valueFrom": {"resourceFieldRef":
                {"resource": "limits.memory", "divisor": "1k"}}},
            {"name": "O", "valueFrom": {"configMapKeyRef":
                {"name": "none", "key": "k", "optional": true}}},
        ]}))
        .unwrap();
        let get = |name: &str| {
            let found = env.iter().find(|(n, _)| n == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(get("A"), Some("own"));
        assert_eq!(get("B"), Some("own-v-$(NOPE)-$(A)"));
        assert_eq!(get("IP"), Some("10.0.0.2"));
        assert_eq!(get("L"), Some("x"));
        assert_eq!(get("CPU"), Some("2"));
        assert_eq!(get("MEM"), Some("4"));
        assert_eq!(get("O"), None);
        assert_eq!(get("HOSTNAME"), Some("p"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let key = |name: &str, key: &str| {
            json!({"name": "c", "env": [{"name": "X",
                "valueFrom": {"configMapKeyRef": {"name": name, "key": key}}}]})
        };
        assert_eq!(
            made(key("none", "k")).unwrap_err(),
            "configmap \"none\" not found"
        );
        assert_eq!(
            made(key("cm", "z")).unwrap_err(),
            "couldn't find key z in ConfigMap ns/cm"
        );
    }

    #[test]
    fn command_and_args_replace_what_the_image_says() {
        let image = ImageDefaults {
            entrypoint: vec!["e".to_owned()],
            cmd: vec!["c".to_owned()],
            ..ImageDefaults::default()
        };
        let line = |command: &[&str], args: &[&str]| {
            let owned = |list: &[&str]| Some(list.iter().map(|s| (*s).to_owned()).collect());
            let container = Container {
                command: owned(command),
                args: owned(args),
                ..Container::default()
            };
            let env = [("X".to_owned(), "1".to_owned())];
            command_line(&container, &image, &env).join(" ")
        };
        assert_eq!(line(&[], &[]), "e c");
        assert_eq!(line(&[], &["$(X)"]), "e 1");
        assert_eq!(line(&["k"], &[]), "k");
        assert_eq!(line(&["k"], &["a", "$(Y)"]), "k a $(Y)");
    }
}
