//! `wkube set env`: the environment of containers.
//! Kubernetes: kubectl's `cmd/set/set_env.go` and `env`.

use super::{MANAGER, NOTHING_NAMED, pod_spec};
use crate::cli::change::{self, ChangeArgs, Done, Found, Job};
use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::pairs::Pairs;
use crate::cli::resource_args::ObjectArgs;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// TYPE NAME... NAME=VALUE... NAME-...
    words: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
    /// The names of containers in the selected pod templates to change; may use '*'.
    #[arg(long, short, value_name = "PATTERN", default_value = "*")]
    containers: String,
    /// Specify key-value pairs for environment variables to set in each container.
    #[arg(long, short, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// The name of a resource from which to inject environment variables.
    #[arg(long, value_name = "TYPE/NAME", default_value = "")]
    from: String,
    /// Prefix to append to variable names.
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// Comma-separated list of keys to import from specified resource.
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    keys: Vec<String>,
    /// If true, display the environment and any changes in the standard format.
    #[arg(long)]
    list: bool,
    /// If true, allow environment to be overwritten, otherwise reject updates that do so.
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = clap::ArgAction::Set)]
    overwrite: bool,
}

/// What becomes of the environment: variables that are set, names that go.
#[derive(Debug, Default)]
struct Changes {
    set: Vec<Value>,
    remove: Vec<String>,
}

pub(super) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let pairs = Pairs::parse(&args.words, "environment variable")?;
    let more = Pairs::parse(&args.env, "environment variable")?;
    let what = if pairs.objects.is_empty() && !args.change.files.given()? {
        NOTHING_NAMED
    } else if !args.keys.is_empty() && args.from.is_empty() {
        "when specifying --keys, a configmap or secret must be provided with --from"
    } else {
        ""
    };
    if !what.is_empty() {
        return Err(CliError::new(what));
    }
    let context = change::context(&global, &args.change).await?;
    let mut changes = Changes::default();
    for (name, value) in more.set.iter().chain(&pairs.set) {
        changes.set.push(json!({ "name": name, "value": value }));
    }
    changes.remove.extend(pairs.remove.iter().cloned());
    if let (Some(context), false) = (&context, args.from.is_empty()) {
        changes.set.extend(from(&args, context).await?);
    }
    for variable in changes.set.iter_mut().filter_map(Value::as_object_mut) {
        let name = format!("{}{}", args.prefix, name_of(variable));
        variable.insert("name".to_owned(), json!(name));
    }
    let job = Job {
        args: &args.change,
        words: pairs.objects.clone(),
        manager: MANAGER,
        failed: "failed to patch env update to pod template",
    };
    job.run(context.as_ref(), |found| one(&args, &changes, found))
        .await
}

fn name_of(variable: &Map<String, Value>) -> &str {
    let name = variable.get("name").and_then(Value::as_str);
    name.unwrap_or_default()
}

/// The variables that refer to the keys of a ConfigMap or Secret.
async fn from(args: &Args, context: &Context) -> Result<Vec<Value>, CliError> {
    let objects = ObjectArgs {
        words: vec![args.from.clone()],
        ..ObjectArgs::default()
    };
    let (list, errors) = change::found(context, &objects, false).await?;
    CliError::all(errors)?;
    let mut variables = Vec::new();
    for found in list {
        let reference = match found.row.kind.as_str() {
            "Secret" => "secretKeyRef",
            "ConfigMap" => "configMapKeyRef",
            _ => return Err(CliError::new("unsupported resource specified in --from")),
        };
        let data = found.object.get(&["data"]).and_then(Value::as_object);
        for key in data.into_iter().flat_map(|data| data.keys()) {
            if !args.keys.is_empty() && !args.keys.contains(key) {
                continue;
            }
            variables.push(json!({
                "name": env_name(key),
                "valueFrom": { reference: { "name": found.object.name(), "key": key } },
            }));
        }
    }
    Ok(variables)
}

/// A key as the name of a variable.
fn env_name(key: &str) -> String {
    let letters = key.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() || c == '_' => c.to_ascii_uppercase(),
        _ => '_',
    });
    letters.collect()
}

fn one(args: &Args, changes: &Changes, found: &mut Found) -> Result<Done, CliError> {
    let path = pod_spec::path(found)?;
    let before = found.object.clone();
    let (kind, name) = (found.row.kind.clone(), found.object.name().to_owned());
    let mut taken = Vec::new();
    let change = |container: &mut Map<String, Value>| {
        let env = container.get("env").and_then(Value::as_array);
        let env = env.cloned().unwrap_or_default();
        if !args.overwrite {
            taken.extend(overwritten(&env, changes));
        }
        let after = updated(env, changes);
        if args.list {
            println!("# {kind} {name}, container {}", name_of(container));
            for variable in after.iter().filter_map(Value::as_object) {
                println!("{}", listed(variable));
            }
        }
        if after.is_empty() {
            container.remove("env");
        } else {
            container.insert("env".to_owned(), Value::Array(after));
        }
    };
    if pod_spec::containers(&mut found.object, path, &args.containers, change) == 0 {
        eprintln!(
            "Warning: {kind}/{name} does not have any containers matching {:?}",
            args.containers
        );
        return Ok(Done::Nothing);
    }
    if let Some(why) = taken.first() {
        let plural = &found.row.resource.resource;
        return Err(CliError::new(format!("{plural}/{name} {why}")));
    }
    if args.list || before == found.object {
        return Ok(Done::Nothing);
    }
    if changes.set.is_empty() && changes.remove.is_empty() {
        let what = "at least one environment variable must be provided";
        return Err(CliError::new(what));
    }
    Ok(Done::Changed("env updated"))
}

/// What would be overwritten.
fn overwritten(env: &[Value], changes: &Changes) -> Vec<String> {
    let names = changes.set.iter().filter_map(Value::as_object).map(name_of);
    let now = |name: &str| {
        let mut all = env.iter().filter_map(Value::as_object);
        all.find(|variable| name_of(variable) == name).cloned()
    };
    let taken = names.filter_map(|name| {
        let value = now(name)?;
        let value = value.get("value").and_then(Value::as_str);
        let value = value.unwrap_or_default().to_owned();
        Some(format!(
            "'{name}' already has a value ({value}), and --overwrite is false"
        ))
    });
    taken.collect()
}

/// Kubernetes: what is there keeps its place, what is new stands behind it.
fn updated(mut env: Vec<Value>, changes: &Changes) -> Vec<Value> {
    let name = |variable: &Value| {
        let name = variable.as_object().map(name_of).unwrap_or_default();
        name.to_owned()
    };
    env.retain(|variable| !changes.remove.contains(&name(variable)));
    for new in &changes.set {
        match env.iter_mut().find(|old| name(old) == name(new)) {
            Some(old) => *old = new.clone(),
            None => env.push(new.clone()),
        }
    }
    env
}

/// `NAME=value`, or where the value comes from.
fn listed(variable: &Map<String, Value>) -> String {
    let name = name_of(variable);
    let Some(from) = variable.get("valueFrom") else {
        let value = variable.get("value").and_then(Value::as_str);
        return format!("{name}={}", value.unwrap_or_default());
    };
    let text = |pointer: &str| from.pointer(pointer).and_then(Value::as_str);
    let of = |kind: &str, place: &str| {
        let key = text(&format!("/{place}/key")).unwrap_or_default();
        let name = text(&format!("/{place}/name")).unwrap_or_default();
        format!("{kind} {name}, key {key}")
    };
    let source = if from.get("configMapKeyRef").is_some() {
        of("configmap", "configMapKeyRef")
    } else if from.get("secretKeyRef").is_some() {
        of("secret", "secretKeyRef")
    } else if let Some(path) = text("/fieldRef/fieldPath") {
        format!("field path {path}")
    } else if let Some(resource) = text("/resourceFieldRef/resource") {
        format!("resource field {resource}")
    } else {
        "invalid valueFrom".to_owned()
    };
    format!("# {name} from {source}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_keep_their_places() {
        let env = vec![json!({ "name": "A", "value": "1" }), json!({ "name": "B" })];
        let changes = Changes {
            set: vec![json!({ "name": "C" }), json!({ "name": "A", "value": "2" })],
            remove: vec!["B".to_owned()],
        };
        assert_eq!(overwritten(&env, &changes).len(), 1);
        let after = updated(env, &changes);
        assert_eq!(
            after,
            [json!({ "name": "A", "value": "2" }), json!({ "name": "C" })]
        );
        assert_eq!(env_name("a.b-c"), "A_B_C");
        let from =
            json!({ "name": "X", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } });
        assert_eq!(
            listed(from.as_object().unwrap()),
            "# X from secret s, key k"
        );
    }
}
