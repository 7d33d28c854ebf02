//! `wkube wait`: follows objects until each is as the command line wants it. Must not ask a server
//! again and again: a watch tells.

use crate::cli::change::{Found, found};
use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::printers::{Output, OutputArgs};
use crate::cli::resource_args::ObjectArgs;
use crate::client::ClientError;
use crate::meta::jsonpath::JsonPath;
use crate::meta::patch::strategic::go_text;
use crate::meta::{ApiError, go_duration};
use crate::stdx::Clock;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;

/// How long is waited where a negative time is asked for. Kubernetes: a week.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// Kubernetes: what kubectl says of a JSONPath condition that has another form.
const PATH_FORM: &str = "jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or \
    --for=jsonpath='{.status.readyReplicas}'";
/// Kubernetes: what kubectl says of a JSONPath condition with an empty value.
const PATH_VALUE: &str = "jsonpath wait has to have a value after equal sign, like \
    --for=jsonpath='{.status.readyReplicas}'=3";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    objects: ObjectArgs,
    /// Select all resources in the namespace of the specified resource types.
    #[arg(long)]
    all: bool,
    /// create, delete, condition=NAME[=VALUE] or jsonpath='{EXPRESSION}'[=VALUE]; several must all
    /// be met, one after another.
    #[arg(long = "for", value_name = "CONDITION")]
    conditions: Vec<String>,
    /// How long to wait before giving up; zero means check once, negative means a week.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        allow_hyphen_values = true
    )]
    timeout: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// What an object is to become.
#[derive(Debug, PartialEq)]
enum Condition {
    Create,
    Delete,
    /// A condition of its status, and the value it shall have.
    Status {
        name: String,
        value: String,
    },
    /// What a path finds; any value, or this one.
    Path {
        path: JsonPath,
        value: Option<String>,
    },
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let output = args.output.object()?;
    let conditions = conditions(&args.conditions)?;
    let timeout = timeout(&args.timeout)?;
    let context = global.connect().await?;
    let clock = Clock::real();
    let wait = Wait {
        context: &context,
        started: clock.instant(),
        clock,
        timeout,
    };
    if conditions.contains(&Condition::Create) {
        wait.created(&args.objects).await?;
    }
    let (list, mut errors) = found(&context, &args.objects, args.all).await?;
    let for_delete = conditions.contains(&Condition::Delete);
    if for_delete {
        // What is gone already is what is waited for.
        errors.retain(|error| !is_not_found(error));
    }
    if list.is_empty() && errors.is_empty() && !for_delete {
        return Err(CliError::new("no matching resources found"));
    }
    for found in &list {
        match wait.all(&conditions, found).await {
            Ok(object) => tell(output.as_ref(), found, &object)?,
            Err(error) => errors.push(error),
        }
    }
    CliError::all(errors).map(|()| ExitCode::SUCCESS)
}

fn tell(output: Option<&Output>, found: &Found, object: &Value) -> Result<(), CliError> {
    match output {
        Some(output) => print!("{}", output.one(&found.shown(), object)?),
        None => println!("{} condition met", found.shown()),
    }
    Ok(())
}

/// Whether it is the server's word that there is no such object.
fn is_not_found(error: &CliError) -> bool {
    error
        .sentence()
        .starts_with("Error from server (NotFound): ")
}

fn timeout(text: &str) -> Result<Duration, CliError> {
    let nanoseconds = go_duration::nanoseconds(text).map_err(|why| {
        CliError::new(format!(
            "invalid argument {text:?} for \"--timeout\" flag: {why}\nSee 'wkube wait --help' for \
             usage."
        ))
    })?;
    Ok(u64::try_from(nanoseconds).map_or(LONGEST, Duration::from_nanos))
}

/// The conditions, that an object is there before all others.
fn conditions(texts: &[String]) -> Result<Vec<Condition>, CliError> {
    if texts.is_empty() {
        return Err(CliError::new("unrecognized condition: []"));
    }
    let mut conditions = Vec::with_capacity(texts.len());
    for text in texts {
        conditions.push(Condition::parse(text)?);
    }
    conditions.sort_by_key(|condition| *condition != Condition::Create);
    Ok(conditions)
}

impl Condition {
    fn parse(text: &str) -> Result<Self, CliError> {
        if let Some(rest) = text.strip_prefix("condition=") {
            let (name, value) = rest.split_once('=').unwrap_or((rest, "true"));
            return Ok(Self::Status {
                name: name.to_owned(),
                value: value.to_owned(),
            });
        }
        if let Some(rest) = text.strip_prefix("jsonpath=") {
            return Self::of_path(rest);
        }
        match text.to_lowercase().as_str() {
            "create" => Ok(Self::Create),
            "delete" => Ok(Self::Delete),
            _ => {
                let what = format!("unrecognized condition: {text:?}");
                Err(CliError::new(what))
            }
        }
    }

    fn of_path(text: &str) -> Result<Self, CliError> {
        let parts = split_at_single_equals(text);
        let (path, value) = match parts.as_slice() {
            [path] => (path, None),
            [path, value] => {
                let value = value.trim_matches(['\'', '"']);
                if value.is_empty() {
                    return Err(CliError::new(PATH_VALUE));
                }
                (path, Some(value.to_owned()))
            }
            _ => return Err(CliError::new(PATH_FORM)),
        };
        if path.is_empty() {
            return Err(CliError::new("jsonpath expression cannot be empty"));
        }
        let path = JsonPath::parse_relaxed(path).map_err(CliError::new)?;
        Ok(Self::Path { path, value })
    }

    /// Whether an object that is there is as it should be.
    fn is_met(&self, object: &Value) -> Result<bool, CliError> {
        match self {
            Self::Create => Ok(true),
            Self::Delete => Ok(false),
            Self::Status { name, value } => Ok(has_status(object, name, value)),
            Self::Path { path, value } => has_value(object, path, value.as_deref()),
        }
    }

    /// The object once it is as wanted; nothing while it is to be followed. `first`: nothing has
    /// been seen of it yet.
    fn judge(
        &self,
        found: &Found,
        now: Option<&Value>,
        first: bool,
    ) -> Option<Result<Value, CliError>> {
        let Some(now) = now else {
            return match self {
                Self::Delete => Some(Ok(found.value())),
                _ if first => Some(Err(not_found(found))),
                // Another may come by its name.
                _ => None,
            };
        };
        if *self == Self::Delete {
            let uid = now.pointer("/metadata/uid").and_then(Value::as_str);
            let is_other = uid.is_some_and(|uid| uid != found.object.uid());
            return is_other.then(|| Ok(found.value()));
        }
        match self.is_met(now) {
            Ok(true) => Some(Ok(now.clone())),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

fn not_found(found: &Found) -> CliError {
    let of = found.row.resource.group_resource();
    ClientError::Api(ApiError::not_found(&of, found.object.name())).into()
}

/// Cuts at each `=` that stands alone; two of them are a comparison.
fn split_at_single_equals(text: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '=' if chars.next_if_eq(&'=').is_some() => part.push_str("=="),
            '=' => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
    }
    parts.push(part);
    parts
}

fn is_same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// Whether the status has the condition with the value, and speaks of the object as it is now.
fn has_status(object: &Value, name: &str, value: &str) -> bool {
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let of_name = conditions.into_iter().flatten().find_map(|condition| {
        let own = condition.get("type")?.as_str()?;
        let status = condition.get("status")?.as_str()?;
        is_same(own, name).then_some((condition, status))
    });
    let Some((condition, status)) = of_name else {
        return false;
    };
    let generation = object.pointer("/metadata/generation");
    let observed = condition
        .get("observedGeneration")
        .and_then(Value::as_i64)
        .or_else(|| object.pointer("/status/observedGeneration")?.as_i64());
    let is_old = match (generation.and_then(Value::as_i64), observed) {
        (Some(generation), Some(observed)) => observed < generation,
        _ => false,
    };
    !is_old && is_same(status, value)
}

fn has_value(object: &Value, path: &JsonPath, wanted: Option<&str>) -> Result<bool, CliError> {
    let values = path.find(object, true).map_err(CliError::new)?;
    let value = match values.as_slice() {
        [] => return Ok(false),
        [only] => *only,
        _ => {
            let what = "given jsonpath expression matches more than one value";
            return Err(CliError::new(what));
        }
    };
    let Some(wanted) = wanted else {
        return Ok(true);
    };
    if value.is_object() || value.is_array() {
        let what = "jsonpath leads to a nested object or list which is not supported";
        return Err(CliError::new(what));
    }
    Ok(go_text(value).trim() == wanted.trim())
}

/// One call's wait: all objects have the same time.
struct Wait<'a> {
    context: &'a Context,
    clock: Clock,
    started: tokio::time::Instant,
    timeout: Duration,
}

impl Wait<'_> {
    /// Waits until all that are named are there.
    async fn created(&self, objects: &ObjectArgs) -> Result<(), CliError> {
        // Zero checks once, and that comes later.
        if self.timeout.is_zero() {
            return Ok(());
        }
        let targets = objects.targets(self.context).await?;
        let client = &self.context.client;
        for target in &targets.list {
            for name in &target.names {
                let place = (target.namespace.as_str(), name.as_str());
                let there = client.follow(&target.resource.resource, place, &self.clock, |now| {
                    now.map(|_| ())
                });
                let what = "timed out waiting for the condition";
                self.in_time(there, what).await?;
            }
        }
        Ok(())
    }

    /// Waits until an object has met all conditions; answers it.
    async fn all(&self, conditions: &[Condition], found: &Found) -> Result<Value, CliError> {
        let mut object = found.value();
        for condition in conditions {
            object = if self.timeout.is_zero() {
                self.once(condition, found).await?
            } else {
                self.until(condition, found).await?
            };
        }
        Ok(object)
    }

    async fn once(&self, condition: &Condition, found: &Found) -> Result<Value, CliError> {
        let place = (found.namespace.as_str(), found.object.name());
        let client = &self.context.client;
        let now = client
            .get::<Value>(&found.row.resource, place.0, place.1)
            .await;
        let now = match now {
            Ok(now) => Some(now),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        condition
            .judge(found, now.as_ref(), true)
            .unwrap_or_else(|| {
                let what = format!("condition not met for {}", plural(found));
                Err(CliError::new(what))
            })
    }

    async fn until(&self, condition: &Condition, found: &Found) -> Result<Value, CliError> {
        let place = (found.namespace.as_str(), found.object.name());
        let mut first = true;
        let met = self
            .context
            .client
            .follow(&found.row.resource, place, &self.clock, |now| {
                condition.judge(found, now, std::mem::take(&mut first))
            });
        let what = format!("timed out waiting for the condition on {}", plural(found));
        self.in_time(met, &what).await?
    }

    /// What `work` answers, unless the time is over before.
    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, ClientError>>,
        late: &str,
    ) -> Result<T, CliError> {
        let passed = self.clock.instant().duration_since(self.started);
        tokio::select! {
            // What is met at once is met, however late it is.
            biased;
            done = work => Ok(done?),
            () = self.clock.sleep(self.timeout.saturating_sub(passed)) => Err(CliError::new(late)),
        }
    }
}

/// `pods/x`.
fn plural(found: &Found) -> String {
    format!("{}/{}", found.row.resource.resource, found.object.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn met(condition: &str, object: &Value) -> Result<bool, String> {
        let condition = Condition::parse(condition).map_err(|error| error.to_string())?;
        condition.is_met(object).map_err(|error| error.to_string())
    }

    #[test]
    fn conditions_as_kubectl_reads_them() {
        let object = json!({
            "metadata": {"generation": 2},
            "status": {
                "phase": "Running", "readyReplicas": 3, "list": [1, 2],
                "conditions": [
                    {"type": "Ready", "status": "True"},
                    {"type": "Old", "status": "True", "observedGeneration": 1},
                ],
            },
        });
        assert_eq!(met("condition=ready", &object), Ok(true));
        assert_eq!(met("condition=Ready=false", &object), Ok(false));
        assert_eq!(met("condition=Old", &object), Ok(false));
        assert_eq!(met("condition=None", &object), Ok(false));
        assert_eq!(met("jsonpath={.status.phase}=Running", &object), Ok(true));
        assert_eq!(met("jsonpath=.status.readyReplicas=3", &object), Ok(true));
        assert_eq!(met("jsonpath={.status.none}", &object), Ok(false));
        let by_filter = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}=True"#;
        assert_eq!(met(by_filter, &object), Ok(true));
        assert!(met("jsonpath={.status.list}=x", &object).is_err());
        assert!(met("jsonpath={.status.list[*]}", &object).is_err());
        assert!(met("jsonpath={.a}=", &object).is_err());
        assert_eq!(
            met("Ready", &object),
            Err("error: unrecognized condition: \"Ready\"".to_owned())
        );
    }

    #[test]
    fn creation_is_waited_for_first() {
        let texts = ["condition=A".to_owned(), "create".to_owned()];
        let sorted = conditions(&texts).unwrap();
        assert_eq!(sorted.first(), Some(&Condition::Create));
        assert!(conditions(&[]).is_err());
    }

    #[test]
    fn times() {
        assert_eq!(timeout("-1s").unwrap(), LONGEST);
        assert_eq!(timeout("0").unwrap(), Duration::ZERO);
        assert_eq!(timeout("1m").unwrap(), Duration::from_secs(60));
        assert!(timeout("5").is_err());
    }
}
