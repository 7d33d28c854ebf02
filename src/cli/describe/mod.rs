//! `wkube describe`: one object with all that is known of it, for people. One file a kind and one
//! line in the table; kinds without one are shown field by field.

mod config_map;
mod containers;
mod cron_job;
mod daemon_set;
mod deployment;
mod endpoint_slice;
mod endpoints;
mod events;
mod generic;
mod horizontal_pod_autoscaler;
mod ingress;
mod ingress_class;
mod job;
mod limit_range;
mod namespace;
mod network_policy;
mod node;
mod persistent_volume;
mod persistent_volume_claim;
mod pod;
mod pod_disruption_budget;
mod priority_class;
mod replica_set;
mod replication_controller;
mod resource_quota;
mod role;
mod role_binding;
mod secret;
mod service;
mod service_account;
mod stateful_set;
mod storage_class;
mod template;
mod text;
mod volume_sources;
mod volumes;
mod workload;

use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::resource_args::{ObjectArgs, Target};
use crate::client::{Client, Query};
use crate::meta::GroupVersionResource;
use crate::stdx::Clock;
use jiff::Timestamp;
use serde_json::Value;
use std::process::ExitCode;
pub(crate) use template::pod_template;
use text::Text;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    objects: ObjectArgs,
    /// If true, display events related to the described object. Defaults to true for a single
    /// object, false for multiple objects and prefix matching.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    show_events: Option<bool>,
}

/// What a describer has besides the object.
struct Scene<'a> {
    client: &'a Client,
    now: Timestamp,
}

impl Scene<'_> {
    /// Objects that belong to what is described; none where the server has no such kind, or does
    /// not show it.
    async fn list(
        &self,
        (group, version, plural): (&str, &str, &str),
        namespace: &str,
        query: &Query,
    ) -> Option<Vec<Value>> {
        let resource = GroupVersionResource::new(group, version, plural);
        let list = self.client.list::<Value>(&resource, namespace, query).await;
        list.ok().map(|list| list.items)
    }
}

/// Declares the describers: group, kind, module; then whether events stand below.
macro_rules! describers {
    ($($group:literal $kind:literal => $module:ident, $events:literal;)+) => {
        async fn describe(scene: &Scene<'_>, target: &Target, object: &Value, out: &mut Text) -> bool {
            match (target.resource.resource.group.as_str(), target.resource.kind.as_str()) {
                $(($group, $kind) => { $module::describe(scene, object, out).await; $events })+
                _ => { generic::describe(object, out); true }
            }
        }
    };
}

describers! {
    "" "ConfigMap" => config_map, true;
    "" "Endpoints" => endpoints, true;
    "" "LimitRange" => limit_range, false;
    "" "Namespace" => namespace, false;
    "" "Node" => node, true;
    "" "PersistentVolume" => persistent_volume, true;
    "" "PersistentVolumeClaim" => persistent_volume_claim, true;
    "" "Pod" => pod, true;
    "" "ReplicationController" => replication_controller, true;
    "" "ResourceQuota" => resource_quota, false;
    "" "Secret" => secret, false;
    "" "Service" => service, true;
    "" "ServiceAccount" => service_account, true;
    "apps" "DaemonSet" => daemon_set, true;
    "apps" "Deployment" => deployment, true;
    "apps" "ReplicaSet" => replica_set, true;
    "apps" "StatefulSet" => stateful_set, true;
    "autoscaling" "HorizontalPodAutoscaler" => horizontal_pod_autoscaler, true;
    "batch" "CronJob" => cron_job, true;
    "batch" "Job" => job, true;
    "discovery.k8s.io" "EndpointSlice" => endpoint_slice, true;
    "networking.k8s.io" "Ingress" => ingress, true;
    "networking.k8s.io" "IngressClass" => ingress_class, true;
    "networking.k8s.io" "NetworkPolicy" => network_policy, false;
    "policy" "PodDisruptionBudget" => pod_disruption_budget, true;
    "rbac.authorization.k8s.io" "ClusterRole" => role, false;
    "rbac.authorization.k8s.io" "ClusterRoleBinding" => role_binding, false;
    "rbac.authorization.k8s.io" "Role" => role, false;
    "rbac.authorization.k8s.io" "RoleBinding" => role_binding, false;
    "scheduling.k8s.io" "PriorityClass" => priority_class, true;
    "storage.k8s.io" "StorageClass" => storage_class, true;
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    if !args.objects.given()? {
        let what = "You must specify the type of resource to describe. Use \"wkube api-resources\" \
                    for a complete list of supported resources.";
        return Err(CliError::new(what));
    }
    let context = global.connect().await?;
    let targets = args.objects.targets(&context).await?;
    let scene = Scene {
        client: &context.client,
        now: Clock::real().now(),
    };
    let mut errors = targets.errors;
    let mut all = Vec::new();
    for target in &targets.list {
        let (found, by_prefix) = objects(&args, &context, target, &mut errors).await;
        all.extend(found.into_iter().map(|object| (target, object, by_prefix)));
    }
    let (is_none, is_single) = (all.is_empty(), all.len() == 1);
    for (number, (target, object, by_prefix)) in all.into_iter().enumerate() {
        if number > 0 && !by_prefix {
            print!("\n\n");
        }
        let mut out = Text::default();
        let with_events = describe(&scene, target, &object, &mut out).await;
        if with_events && args.show_events.unwrap_or(is_single && !by_prefix) {
            events::describe(&scene, &object, &mut out).await;
        }
        // Kubernetes: what a prefix has found stands line below line.
        print!("{}{}", out.finish(), if by_prefix { "\n" } else { "" });
    }
    if is_none && errors.is_empty() {
        if args.objects.selectors.all_namespaces {
            eprintln!("No resources found");
        } else {
            eprintln!("No resources found in {} namespace.", context.namespace);
        }
    }
    CliError::all(errors).map(|()| ExitCode::SUCCESS)
}

/// The objects of a target. A name that is no object's is taken for the beginning of some; answers
/// whether it was.
async fn objects(
    args: &Args,
    context: &Context,
    target: &Target,
    errors: &mut Vec<CliError>,
) -> (Vec<Value>, bool) {
    let mut wrong = Vec::new();
    let found = args
        .objects
        .selectors
        .objects(context, target, &mut wrong)
        .await;
    let prefix = match target.names.as_slice() {
        [prefix] if found.is_empty() && target.place.is_empty() => prefix,
        _ => {
            errors.extend(wrong);
            return (found, false);
        }
    };
    let all = Target {
        resource: target.resource.clone(),
        namespace: target.namespace.clone(),
        names: Vec::new(),
        place: String::new(),
    };
    let mut ignored = Vec::new();
    let mut begun = args
        .objects
        .selectors
        .objects(context, &all, &mut ignored)
        .await;
    begun.retain(|object| text::at(object, "/metadata/name").starts_with(prefix.as_str()));
    if begun.is_empty() {
        errors.extend(wrong);
    }
    (begun, true)
}
