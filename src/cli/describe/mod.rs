//! `wkube describe`: one object with all that is known of it, for people. One file a kind and one
//! line in the table; kinds without one are shown field by field.

mod config_map;
mod containers;
mod events;
mod generic;
mod namespace;
mod node;
mod pod;
mod secret;
mod service;
mod service_account;
mod template;
mod text;
mod volumes;

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
    /// If true, display events related to the described object.
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = clap::ArgAction::Set)]
    show_events: bool,
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
    "" "Namespace" => namespace, false;
    "" "Node" => node, true;
    "" "Pod" => pod, true;
    "" "Secret" => secret, false;
    "" "Service" => service, true;
    "" "ServiceAccount" => service_account, true;
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
    let (mut shown, mut errors) = (0, targets.errors);
    for target in &targets.list {
        let (found, by_prefix) = objects(&args, &context, target, &mut errors).await;
        for object in found {
            if shown > 0 && !by_prefix {
                print!("\n\n");
            }
            shown += 1;
            let mut out = Text::default();
            let with_events = describe(&scene, target, &object, &mut out).await;
            if with_events && args.show_events {
                events::describe(&scene, &object, &mut out).await;
            }
            // Kubernetes: what a prefix has found stands line below line.
            print!("{}{}", out.finish(), if by_prefix { "\n" } else { "" });
        }
    }
    if shown == 0 && errors.is_empty() {
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
