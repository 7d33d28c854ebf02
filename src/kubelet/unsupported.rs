//! The fields of a pod that this node does not honour yet. One table: what stands here gets one
//! Warning Event per pod that names the fields, and a line in docs/compatibility.md; what is built
//! is taken out of it. Pure.

use crate::kubelet::pod_spec;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, SecurityContext};

/// The reason of the Event.
pub(super) const REASON: &str = "FieldNotHonored";

type PodField = (&'static str, fn(&PodSpec) -> bool);
type ContainerField = (&'static str, fn(&Container) -> bool);

/// Fields of the pod's spec.
pub(super) const POD_FIELDS: &[PodField] = &[
    ("hostNetwork", |spec| spec.host_network == Some(true)),
    ("hostPID", |spec| spec.host_pid == Some(true)),
    ("hostIPC", |spec| spec.host_ipc == Some(true)),
    ("shareProcessNamespace", |spec| {
        spec.share_process_namespace == Some(true)
    }),
    ("hostAliases", |spec| some(spec.host_aliases.as_deref())),
    ("dnsConfig", |spec| spec.dns_config.is_some()),
    ("resources", |spec| spec.resources.is_some()),
    ("runtimeClassName", |spec| spec.runtime_class_name.is_some()),
    ("setHostnameAsFQDN", |spec| {
        spec.set_hostname_as_fqdn == Some(true)
    }),
    ("resourceClaims", |spec| {
        some(spec.resource_claims.as_deref())
    }),
    ("ephemeralContainers", |spec| {
        some(spec.ephemeral_containers.as_deref())
    }),
    ("volumes", |spec| {
        // The token that the server adds by itself is nothing that a user asked for.
        let volumes = spec.volumes.iter().flatten();
        volumes
            .map(|v| &v.name)
            .any(|name| !name.starts_with("kube-api-access-"))
    }),
    ("securityContext", |spec| {
        spec.security_context.as_ref().is_some_and(|context| {
            context.run_as_user.is_some_and(|uid| uid != 0)
                || context.run_as_group.is_some()
                || context.fs_group.is_some()
                || some(context.supplemental_groups.as_deref())
                || some(context.sysctls.as_deref())
                || context.se_linux_options.is_some()
        })
    }),
];

/// Fields of each container.
pub(super) const CONTAINER_FIELDS: &[ContainerField] = &[
    ("terminationMessagePath", |c| {
        // The server puts the default in, so nobody has asked for it.
        let path = c.termination_message_path.as_deref().unwrap_or_default();
        !matches!(path, "" | "/dev/termination-log")
    }),
    ("env.valueFrom.fileKeyRef", |c| {
        let from = c.env.iter().flatten().filter_map(|v| v.value_from.as_ref());
        from.into_iter().any(|from| from.file_key_ref.is_some())
    }),
    ("tty", |c| c.tty == Some(true)),
    ("volumeDevices", |c| some(c.volume_devices.as_deref())),
    ("securityContext", |c| {
        c.security_context.as_ref().is_some_and(asks_for_more)
    }),
];

fn some<T>(list: Option<&[T]>) -> bool {
    list.is_some_and(|list| !list.is_empty())
}

/// What only takes away (no new privileges, dropped capabilities, a non-root user that must be) is
/// true of every wasm sandbox and is no wish that is ignored.
fn asks_for_more(context: &SecurityContext) -> bool {
    let added = context.capabilities.as_ref().and_then(|c| c.add.as_deref());
    context.privileged == Some(true)
        || context.run_as_user.is_some_and(|uid| uid != 0)
        || context.run_as_group.is_some_and(|gid| gid != 0)
        || some(added)
        || context.se_linux_options.is_some()
}

/// The paths of the fields that `pod` uses and that are not honoured.
pub(super) fn fields(pod: &Pod) -> Vec<String> {
    let mut found = Vec::new();
    let Some(spec) = pod_spec::spec(pod) else {
        return found;
    };
    for (name, used) in POD_FIELDS {
        if used(spec) {
            found.push(format!("spec.{name}"));
        }
    }
    for (of, list) in [
        ("initContainers", pod_spec::init_containers(pod)),
        ("containers", pod_spec::containers(pod)),
    ] {
        for (index, container) in list.iter().enumerate() {
            for (name, used) in CONTAINER_FIELDS {
                if used(container) {
                    found.push(format!("spec.{of}[{index}].{name}"));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_on_compatibility_names_every_field() {
        let page = include_str!("../../docs/compatibility.md");
        let fields = POD_FIELDS.iter().map(|(name, _)| name);
        for name in fields.chain(CONTAINER_FIELDS.iter().map(|(name, _)| name)) {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
}
