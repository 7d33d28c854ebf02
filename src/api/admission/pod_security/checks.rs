//! The checks of the standards, one function each, and the list of them. Must not know namespaces.
//! Kubernetes: `k8s.io/pod-security-admission/policy`: words, order and versions.

use super::policy::{Level, Standard, Version};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The version of Kubernetes that is served: `latest`, and what later ones mean.
const NEWEST: u32 = 36;

/// A pod or the template of one.
#[derive(Clone, Copy)]
pub(super) struct Pod<'a> {
    pub(super) annotations: Option<&'a Map<String, Value>>,
    pub(super) spec: &'a Value,
}

/// What a check objects to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

struct Check {
    level: Level,
    /// The first version that has it.
    since: u32,
    /// A check of the baseline that it takes the place of.
    instead_of: &'static str,
    id: &'static str,
    run: fn(Pod<'_>, u32) -> Option<Finding>,
}

const fn baseline(id: &'static str, run: fn(Pod<'_>, u32) -> Option<Finding>) -> Check {
    Check {
        level: Level::Baseline,
        since: 0,
        instead_of: "",
        id,
        run,
    }
}

const fn restricted(id: &'static str, run: fn(Pod<'_>, u32) -> Option<Finding>) -> Check {
    Check {
        level: Level::Restricted,
        ..baseline(id, run)
    }
}

/// In the order in which they are told.
static CHECKS: &[Check] = &[
    baseline("appArmorProfile", app_armor_profile),
    baseline("capabilities_baseline", capabilities_baseline),
    baseline("hostNamespaces", host_namespaces),
    baseline("hostPathVolumes", host_path_volumes),
    baseline("hostPorts", host_ports),
    Check {
        since: 34,
        ..baseline("hostProbesAndHostLifecycle", host_probes)
    },
    baseline("privileged", privileged),
    baseline("procMount", proc_mount_baseline),
    baseline("seLinuxOptions", se_linux_options),
    baseline("seccompProfile_baseline", seccomp_baseline),
    baseline("sysctls", sysctls),
    baseline("windowsHostProcess", windows_host_process),
    Check {
        since: 8,
        ..restricted("allowPrivilegeEscalation", allow_privilege_escalation)
    },
    Check {
        since: 22,
        instead_of: "capabilities_baseline",
        ..restricted("capabilities_restricted", capabilities_restricted)
    },
    Check {
        since: 35,
        instead_of: "procMount",
        ..restricted("procMount_restricted", proc_mount)
    },
    Check {
        instead_of: "hostPathVolumes",
        ..restricted("restrictedVolumes", restricted_volumes)
    },
    restricted("runAsNonRoot", run_as_non_root),
    Check {
        since: 23,
        ..restricted("runAsUser", run_as_user)
    },
    Check {
        since: 19,
        instead_of: "seccompProfile_baseline",
        ..restricted("seccompProfile_restricted", seccomp_restricted)
    },
];

/// What the checks of a standard object to.
pub(super) fn evaluate(standard: Standard, pod: Pod<'_>) -> Vec<Finding> {
    let minor = match standard.version {
        Version::Minor(minor) => minor.min(NEWEST),
        Version::Latest => NEWEST,
    };
    let applies = |check: &&Check| check.level <= standard.level && check.since <= minor;
    let replaced: Vec<&str> = CHECKS
        .iter()
        .filter(applies)
        .map(|check| check.instead_of)
        .collect();
    CHECKS
        .iter()
        .filter(applies)
        .filter(|check| !replaced.contains(&check.id))
        .filter_map(|check| (check.run)(pod, minor))
        .collect()
}

/// All findings in one sentence.
pub(super) fn sentence(findings: &[Finding]) -> String {
    let parts: Vec<String> = findings
        .iter()
        .map(|finding| format!("{} ({})", finding.reason, finding.detail))
        .collect();
    parts.join(", ")
}

impl<'a> Pod<'a> {
    fn list(self, name: &str) -> impl Iterator<Item = &'a Value> {
        self.spec
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    }

    fn containers(self) -> impl Iterator<Item = &'a Value> {
        ["initContainers", "containers", "ephemeralContainers"]
            .into_iter()
            .flat_map(move |name| self.list(name))
    }

    /// A field of the pod's own security context.
    fn context(self, path: &str) -> Option<&'a Value> {
        context(self.spec, path)
    }

    fn is(self, name: &str) -> bool {
        self.spec.get(name) == Some(&Value::Bool(true))
    }

    fn is_windows(self) -> bool {
        self.spec.pointer("/os/name").and_then(Value::as_str) == Some("windows")
    }

    /// Its root is nobody outside.
    fn has_user_namespace(self) -> bool {
        self.spec.get("hostUsers") == Some(&Value::Bool(false))
    }

    /// Names of the containers of which `bad` holds.
    fn names_of(self, mut bad: impl FnMut(&'a Value) -> bool) -> Vec<&'a str> {
        self.containers()
            .filter(|container| bad(container))
            .map(|container| text(container.get("name")))
            .collect()
    }
}

/// A field of the security context of a container or a pod, by its path below.
fn context<'a>(of: &'a Value, path: &str) -> Option<&'a Value> {
    of.get("securityContext")?
        .pointer(path)
        .filter(|value| !value.is_null())
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

fn quoted<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<String> = items
        .into_iter()
        .map(|item| format!("\"{item}\""))
        .collect();
    items.join(", ")
}

fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// `container "a"`, `containers "a", "b"`.
fn containers(names: &[&str]) -> String {
    let word = plural(names.len(), "container", "containers");
    format!("{word} {}", quoted(names.iter().copied()))
}

fn found(reason: &'static str, detail: impl Into<String>) -> Finding {
    let detail = detail.into();
    Finding { reason, detail }
}

/// The pod and its containers, where something is wrong with either: `pod and container "a"`.
fn setters(pod: bool, names: &[&str]) -> Option<String> {
    match (pod, names) {
        (false, []) => None,
        (true, []) => Some("pod".to_owned()),
        (false, names) => Some(containers(names)),
        (true, names) => Some(format!("pod and {}", containers(names))),
    }
}

fn app_armor_profile(pod: Pod<'_>, _: u32) -> Option<Finding> {
    const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
    let mut types = BTreeSet::new();
    let mut bad = |kind: Option<&Value>| match kind.and_then(Value::as_str) {
        None | Some("RuntimeDefault" | "Localhost") => false,
        Some(other) => {
            types.insert(other.to_owned());
            true
        }
    };
    let own = bad(pod.context("/appArmorProfile/type"));
    let names = pod.names_of(|c| bad(context(c, "/appArmorProfile/type")));
    let fine = |v: &str| v.is_empty() || v == "runtime/default" || v.starts_with("localhost/");
    let mut annotations: Vec<String> = pod
        .annotations
        .into_iter()
        .flatten()
        .filter(|(key, value)| key.starts_with(ANNOTATION) && !fine(text(Some(value))))
        .map(|(key, value)| format!("{key}={:?}", text(Some(value))))
        .collect();
    annotations.sort();
    let mut who: Vec<String> = setters(own, &names).into_iter().collect();
    if !annotations.is_empty() {
        who.push(plural(annotations.len(), "annotation", "annotations").to_owned());
    }
    if who.is_empty() {
        return None;
    }
    let values: Vec<String> = types.into_iter().chain(annotations).collect();
    let reason = plural(
        values.len(),
        "forbidden AppArmor profile",
        "forbidden AppArmor profiles",
    );
    let detail = format!(
        "{} must not set AppArmor profile type to {}",
        who.join(" and "),
        quoted(values.iter().map(String::as_str))
    );
    Some(found(reason, detail))
}

fn capabilities<'a>(container: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    let listed = context(container, "/capabilities").and_then(|c| c.get(list));
    let listed = listed.and_then(Value::as_array).into_iter().flatten();
    listed.filter_map(Value::as_str)
}

/// Containers that add what is not allowed, and what that is.
fn adding<'a>(pod: Pod<'a>, allowed: &[&str]) -> (Vec<&'a str>, BTreeSet<&'a str>) {
    let mut added = BTreeSet::new();
    let names = pod.names_of(|container| {
        let before: Vec<&str> = capabilities(container, "add")
            .filter(|name| !allowed.contains(name))
            .collect();
        added.extend(before.iter().copied());
        !before.is_empty()
    });
    (names, added)
}

fn adds(names: &[&str], added: BTreeSet<&str>) -> String {
    format!(
        "{} must not include {} in securityContext.capabilities.add",
        containers(names),
        quoted(added)
    )
}

fn capabilities_baseline(pod: Pod<'_>, _: u32) -> Option<Finding> {
    const ALLOWED: &[&str] = &[
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    let (names, added) = adding(pod, ALLOWED);
    (!names.is_empty()).then(|| found("non-default capabilities", adds(&names, added)))
}

fn capabilities_restricted(pod: Pod<'_>, minor: u32) -> Option<Finding> {
    if minor >= 25 && pod.is_windows() {
        return None;
    }
    let keeping = pod.names_of(|c| !capabilities(c, "drop").any(|name| name == "ALL"));
    let (names, added) = adding(pod, &["NET_BIND_SERVICE"]);
    let mut details = Vec::new();
    if !keeping.is_empty() {
        let who = containers(&keeping);
        details.push(format!(
            "{who} must set securityContext.capabilities.drop=[\"ALL\"]"
        ));
    }
    if !names.is_empty() {
        details.push(adds(&names, added));
    }
    (!details.is_empty()).then(|| found("unrestricted capabilities", details.join("; ")))
}

fn host_namespaces(pod: Pod<'_>, _: u32) -> Option<Finding> {
    let shared: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|name| pod.is(name))
        .map(|name| format!("{name}=true"))
        .collect();
    (!shared.is_empty()).then(|| found("host namespaces", shared.join(", ")))
}

fn host_path_volumes(pod: Pod<'_>, _: u32) -> Option<Finding> {
    let names: Vec<&str> = pod
        .list("volumes")
        .filter(|volume| volume.get("hostPath").is_some())
        .map(|volume| text(volume.get("name")))
        .collect();
    let word = plural(names.len(), "volume", "volumes");
    (!names.is_empty()).then(|| found("hostPath volumes", format!("{word} {}", quoted(names))))
}

fn host_ports(pod: Pod<'_>, _: u32) -> Option<Finding> {
    let mut ports = BTreeSet::new();
    let names = pod.names_of(|container| {
        let listed = container.get("ports").and_then(Value::as_array);
        let own: Vec<String> = listed
            .into_iter()
            .flatten()
            .filter_map(|port| port.get("hostPort").and_then(Value::as_i64))
            .filter(|port| *port != 0)
            .map(|port| port.to_string())
            .collect();
        let any = !own.is_empty();
        ports.extend(own);
        any
    });
    if names.is_empty() {
        return None;
    }
    let detail = format!(
        "{} {} {} {}",
        containers(&names),
        plural(names.len(), "uses", "use"),
        plural(ports.len(), "hostPort", "hostPorts"),
        ports.into_iter().collect::<Vec<_>>().join(", ")
    );
    Some(found("hostPort", detail))
}

fn host_probes(pod: Pod<'_>, _: u32) -> Option<Finding> {
    const HANDLERS: &[&str] = &[
        "/livenessProbe",
        "/readinessProbe",
        "/startupProbe",
        "/lifecycle/postStart",
        "/lifecycle/preStop",
    ];
    let mut hosts = BTreeSet::new();
    let names = pod.names_of(|container| {
        let before = hosts.len();
        let mut any = false;
        for handler in HANDLERS.iter().filter_map(|path| container.pointer(path)) {
            for action in ["/httpGet/host", "/tcpSocket/host"] {
                let host = text(handler.pointer(action));
                any |= !host.is_empty();
                if !host.is_empty() {
                    hosts.insert(host);
                }
            }
        }
        any || hosts.len() > before
    });
    let names: BTreeSet<&str> = names.into_iter().collect();
    if names.is_empty() {
        return None;
    }
    let names: Vec<&str> = names.into_iter().collect();
    let detail = format!(
        "{} {} {} {}",
        containers(&names),
        plural(names.len(), "uses", "use"),
        plural(
            hosts.len(),
            "probe or lifecycle host",
            "probe or lifecycle hosts"
        ),
        quoted(hosts)
    );
    Some(found("probe or lifecycle host", detail))
}

fn privileged(pod: Pod<'_>, _: u32) -> Option<Finding> {
    let names = pod.names_of(|c| context(c, "/privileged") == Some(&Value::Bool(true)));
    let who = containers(&names);
    (!names.is_empty()).then(|| {
        let detail = format!("{who} must not set securityContext.privileged=true");
        found("privileged", detail)
    })
}

fn proc_mount_baseline(pod: Pod<'_>, minor: u32) -> Option<Finding> {
    if minor >= 35 && pod.has_user_namespace() {
        return None;
    }
    proc_mount(pod, minor)
}

fn proc_mount(pod: Pod<'_>, _: u32) -> Option<Finding> {
    let mut mounts = BTreeSet::new();
    let names = pod.names_of(|container| match context(container, "/procMount") {
        Some(Value::String(mount)) if mount != "Default" => {
            mounts.insert(mount.as_str());
            true
        }
        _ => false,
    });
    if names.is_empty() {
        return None;
    }
    let detail = format!(
        "{} must not set securityContext.procMount to {}",
        containers(&names),
        quoted(mounts)
    );
    Some(found("procMount", detail))
}

fn se_linux_options(pod: Pod<'_>, minor: u32) -> Option<Finding> {
    let (mut types, mut user, mut role) = (BTreeSet::new(), false, false);
    let mut bad = |options: Option<&Value>| {
        let Some(options) = options else { return false };
        let kind = text(options.get("type"));
        let known = matches!(
            kind,
            "" | "container_t" | "container_init_t" | "container_kvm_t"
        ) || (minor >= 31 && kind == "container_engine_t");
        if !known {
            types.insert(kind.to_owned());
        }
        let own_user = !text(options.get("user")).is_empty();
        let own_role = !text(options.get("role")).is_empty();
        user |= own_user;
        role |= own_role;
        !known || own_user || own_role
    };
    let own = bad(pod.context("/seLinuxOptions"));
    let names = pod.names_of(|container| bad(context(container, "/seLinuxOptions")));
    let who = setters(own, &names)?;
    let mut data = Vec::new();
    if !types.is_empty() {
        let word = plural(types.len(), "type", "types");
        data.push(format!(
            "{word} {}",
            quoted(types.iter().map(String::as_str))
        ));
    }
    if user {
        data.push("user may not be set".to_owned());
    }
    if role {
        data.push("role may not be set".to_owned());
    }
    let data = data.join("; ");
    let detail = format!("{who} set forbidden securityContext.seLinuxOptions: {data}");
    Some(found("seLinuxOptions", detail))
}

/// Those that set a profile that is none of both, and their profiles.
fn bad_seccomp(pod: Pod<'_>) -> Option<Finding> {
    let mut types = BTreeSet::new();
    let mut bad = |profile: Option<&Value>| {
        let Some(profile) = profile else { return false };
        let kind = text(profile.get("type"));
        let fine = matches!(kind, "RuntimeDefault" | "Localhost");
        if !fine {
            types.insert(kind.to_owned());
        }
        !fine
    };
    let own = bad(pod.context("/seccompProfile"));
    let names = pod.names_of(|container| bad(context(container, "/seccompProfile")));
    let who = setters(own, &names)?;
    let types = quoted(types.iter().map(String::as_str));
    let detail = format!("{who} must not set securityContext.seccompProfile.type to {types}");
    Some(found("seccompProfile", detail))
}

fn seccomp_baseline(pod: Pod<'_>, minor: u32) -> Option<Finding> {
    const POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
    const CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
    if minor >= 19 {
        return bad_seccomp(pod);
    }
    let names = pod.containers().map(|c| text(c.get("name")));
    let keys = names.map(|name| format!("{CONTAINER}{name}"));
    let forbidden: BTreeSet<String> = std::iter::once(POD.to_owned())
        .chain(keys)
        .filter_map(|key| {
            let value = text(Some(pod.annotations?.get(&key)?));
            let fine = matches!(value, "runtime/default" | "docker/default")
                || value.starts_with("localhost/");
            (!fine).then(|| format!("{key}={value:?}"))
        })
        .collect();
    if forbidden.is_empty() {
        return None;
    }
    let word = plural(forbidden.len(), "annotation", "annotations");
    let list: Vec<String> = forbidden.into_iter().collect();
    let detail = format!("forbidden {word} {}", list.join(", "));
    Some(found("seccompProfile", detail))
}

fn seccomp_restricted(pod: Pod<'_>, minor: u32) -> Option<Finding> {
    if minor >= 25 && pod.is_windows() {
        return None;
    }
    if let Some(finding) = bad_seccomp(pod) {
        return Some(finding);
    }
    if pod.context("/seccompProfile").is_some() {
        return None;
    }
    let names = pod.names_of(|container| context(container, "/seccompProfile").is_none());
    let who = containers(&names);
    (!names.is_empty()).then(|| {
        let detail = format!(
            "pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \
             \"Localhost\""
        );
        found("seccompProfile", detail)
    })
}

fn sysctls(pod: Pod<'_>, minor: u32) -> Option<Finding> {
    /// Since which version each is allowed.
    const ALLOWED: &[(u32, &str)] = &[
        (0, "kernel.shm_rmid_forced"),
        (0, "net.ipv4.ip_local_port_range"),
        (0, "net.ipv4.tcp_syncookies"),
        (0, "net.ipv4.ping_group_range"),
        (0, "net.ipv4.ip_unprivileged_port_start"),
        (27, "net.ipv4.ip_local_reserved_ports"),
        (29, "net.ipv4.tcp_keepalive_time"),
        (29, "net.ipv4.tcp_fin_timeout"),
        (29, "net.ipv4.tcp_keepalive_intvl"),
        (29, "net.ipv4.tcp_keepalive_probes"),
        (32, "net.ipv4.tcp_rmem"),
        (32, "net.ipv4.tcp_wmem"),
    ];
    let set = pod.context("/sysctls").and_then(Value::as_array);
    let forbidden: Vec<&str> = set
        .into_iter()
        .flatten()
        .map(|sysctl| text(sysctl.get("name")))
        .filter(|name| {
            !ALLOWED
                .iter()
                .any(|(since, own)| own == name && *since <= minor)
        })
        .collect();
    (!forbidden.is_empty()).then(|| found("forbidden sysctls", forbidden.join(", ")))
}

fn windows_host_process(pod: Pod<'_>, _: u32) -> Option<Finding> {
    const PATH: &str = "/windowsOptions/hostProcess";
    let yes = Some(&Value::Bool(true));
    let names = pod.names_of(|container| context(container, PATH) == yes);
    let who = setters(pod.context(PATH) == yes, &names)?;
    let detail = format!("{who} must not set securityContext.windowsOptions.hostProcess=true");
    Some(found("hostProcess", detail))
}

fn allow_privilege_escalation(pod: Pod<'_>, minor: u32) -> Option<Finding> {
    if minor >= 25 && pod.is_windows() {
        return None;
    }
    let no = Some(&Value::Bool(false));
    let names = pod.names_of(|container| context(container, "/allowPrivilegeEscalation") != no);
    let who = containers(&names);
    (!names.is_empty()).then(|| {
        let detail = format!("{who} must set securityContext.allowPrivilegeEscalation=false");
        found("allowPrivilegeEscalation != false", detail)
    })
}

fn restricted_volumes(pod: Pod<'_>, _: u32) -> Option<Finding> {
    const ALLOWED: &[&str] = &[
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let (mut names, mut types) = (Vec::new(), BTreeSet::new());
    for volume in pod.list("volumes") {
        let sources = volume.as_object().into_iter().flatten();
        let mut sources = sources
            .map(|(name, _)| name.as_str())
            .filter(|n| *n != "name");
        let source = sources.next().unwrap_or("unknown");
        if !ALLOWED.contains(&source) {
            names.push(text(volume.get("name")));
            types.insert(source);
        }
    }
    if names.is_empty() {
        return None;
    }
    let detail = format!(
        "{} {} {} {} {}",
        plural(names.len(), "volume", "volumes"),
        quoted(names.iter().copied()),
        plural(names.len(), "uses", "use"),
        plural(
            types.len(),
            "restricted volume type",
            "restricted volume types"
        ),
        quoted(types)
    );
    Some(found("restricted volume types", detail))
}

fn run_as_non_root(pod: Pod<'_>, minor: u32) -> Option<Finding> {
    const REASON: &str = "runAsNonRoot != true";
    if minor >= 35 && pod.has_user_namespace() {
        return None;
    }
    let own = pod.context("/runAsNonRoot").and_then(Value::as_bool);
    let of = |container| context(container, "/runAsNonRoot").and_then(Value::as_bool);
    let explicit = pod.names_of(|container| of(container) == Some(false));
    if let Some(who) = setters(own == Some(false), &explicit) {
        let detail = format!("{who} must not set securityContext.runAsNonRoot=false");
        return Some(found(REASON, detail));
    }
    if own == Some(true) {
        return None;
    }
    let implicit = pod.names_of(|container| of(container).is_none());
    let who = containers(&implicit);
    (!implicit.is_empty()).then(|| {
        let detail = format!("pod or {who} must set securityContext.runAsNonRoot=true");
        found(REASON, detail)
    })
}

fn run_as_user(pod: Pod<'_>, minor: u32) -> Option<Finding> {
    if minor >= 35 && pod.has_user_namespace() {
        return None;
    }
    let is_root = |value: Option<&Value>| value.and_then(Value::as_i64) == Some(0);
    let names = pod.names_of(|container| is_root(context(container, "/runAsUser")));
    let who = setters(is_root(pod.context("/runAsUser")), &names)?;
    Some(found(
        "runAsUser=0",
        format!("{who} must not set runAsUser=0"),
    ))
}
