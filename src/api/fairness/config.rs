//! FlowSchemas and PriorityLevelConfigurations as they are used: rules that are quick to ask, and
//! what each level may take. What must be there and is not, is there nevertheless. Must not know
//! who waits.
//! Kubernetes: apiserver `util/flowcontrol/rule.go`, `apf_controller.go`.

use super::mandatory;
use super::queues::{LevelConfig, Queuing};
use crate::api::authentication::UserInfo;
use crate::api::request_info::RequestInfo;
use crate::meta::Object;
use http::HeaderValue;
use prometheus_client::metrics::counter::Counter;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// What tells the flows of a schema apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distinguisher {
    Nothing,
    User,
    Namespace,
}

#[derive(Debug)]
enum Subject {
    AnyUser,
    User(String),
    AnyGroup,
    Group(String),
    /// Namespace, and name if it is one account.
    Account(String, Option<String>),
}

/// Values of which one must be it; `None` is all.
type Words = Option<Vec<String>>;

#[derive(Debug)]
struct ResourceRule {
    verbs: Words,
    groups: Words,
    resources: Words,
    namespaces: Words,
    cluster_scope: bool,
}

#[derive(Debug)]
struct PathRule {
    verbs: Words,
    paths: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    subjects: Vec<Subject>,
    resources: Vec<ResourceRule>,
    paths: Vec<PathRule>,
}

/// A FlowSchema whose level exists.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(super) name: Arc<str>,
    pub(super) uid: HeaderValue,
    pub(super) level: Arc<Level>,
    pub(super) distinguisher: Distinguisher,
    /// Requests that were served.
    pub(super) dispatched: Counter,
    precedence: i64,
    rules: Vec<Rule>,
}

impl Schema {
    /// The identities of the schema and of its level, as each answer tells them.
    pub(crate) fn uids(&self) -> (HeaderValue, HeaderValue) {
        (self.uid.clone(), self.level.uid.clone())
    }
}

/// A PriorityLevelConfiguration.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) name: Arc<str>,
    pub(super) uid: HeaderValue,
    /// Nothing is limited.
    pub(super) exempt: bool,
    /// Seats of one request at most.
    pub(super) seats_max: u32,
    pub(super) limits: LevelConfig,
}

/// All of it, in the order in which schemas are asked.
#[derive(Debug, Default)]
pub(super) struct Config {
    pub(super) schemas: Vec<Arc<Schema>>,
    pub(super) levels: Vec<Arc<Level>>,
}

/// What part of a level's seats one request may take. Kubernetes: priorityLevelMaxSeatsPercent.
const REQUEST_SHARE_MAX: f64 = 0.15;

fn words(value: Option<&Value>) -> Words {
    let list = value.and_then(Value::as_array).map(Vec::as_slice);
    let list = list.unwrap_or_default().iter().filter_map(Value::as_str);
    let list: Vec<String> = list.map(str::to_owned).collect();
    (list != ["*"]).then_some(list)
}

fn has(words: &Words, word: &str) -> bool {
    words
        .as_ref()
        .is_none_or(|words| words.iter().any(|own| own == word))
}

fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    let list = value.get(name).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

impl Subject {
    fn of(value: &Value) -> Option<Self> {
        let name =
            |kind: &str, field: &str| Some(value.get(kind)?.get(field)?.as_str()?.to_owned());
        Some(match value.get("kind")?.as_str()? {
            "User" => match name("user", "name")? {
                all if all == "*" => Self::AnyUser,
                one => Self::User(one),
            },
            "Group" => match name("group", "name")? {
                all if all == "*" => Self::AnyGroup,
                one => Self::Group(one),
            },
            "ServiceAccount" => {
                let account = name("serviceAccount", "name")?;
                let namespace = name("serviceAccount", "namespace")?;
                Self::Account(namespace, (account != "*").then_some(account))
            }
            _ => return None,
        })
    }

    fn matches(&self, user: &UserInfo) -> bool {
        match self {
            Self::AnyUser | Self::AnyGroup => true,
            Self::User(name) => user.name == *name,
            Self::Group(group) => user.is_in(group),
            Self::Account(namespace, account) => {
                let rest = user.name.strip_prefix("system:serviceaccount:");
                let own = rest.and_then(|rest| rest.split_once(':'));
                own.is_some_and(|(own, name)| {
                    own == namespace && account.as_ref().is_none_or(|account| account == name)
                })
            }
        }
    }
}

impl Rule {
    fn of(value: &Value) -> Self {
        let resources = items(value, "resourceRules").iter();
        let paths = items(value, "nonResourceRules").iter();
        Self {
            subjects: items(value, "subjects")
                .iter()
                .filter_map(Subject::of)
                .collect(),
            resources: resources
                .map(|rule| ResourceRule {
                    verbs: words(rule.get("verbs")),
                    groups: words(rule.get("apiGroups")),
                    resources: words(rule.get("resources")),
                    namespaces: words(rule.get("namespaces")),
                    cluster_scope: rule.get("clusterScope") == Some(&Value::Bool(true)),
                })
                .collect(),
            paths: paths
                .map(|rule| PathRule {
                    verbs: words(rule.get("verbs")),
                    paths: items(rule, "nonResourceURLs")
                        .iter()
                        .filter_map(|path| Some(path.as_str()?.to_owned()))
                        .collect(),
                })
                .collect(),
        }
    }

    fn matches(&self, user: &UserInfo, info: &RequestInfo) -> bool {
        if !self.subjects.iter().any(|subject| subject.matches(user)) {
            return false;
        }
        if info.is_resource {
            return self.resources.iter().any(|rule| rule.matches(info));
        }
        self.paths.iter().any(|rule| {
            has(&rule.verbs, &info.verb) && rule.paths.iter().any(|own| below(own, &info.path))
        })
    }
}

impl ResourceRule {
    fn matches(&self, info: &RequestInfo) -> bool {
        let resource = || match (&self.resources, info.subresource.is_empty()) {
            (None, _) => true,
            (some, true) => has(some, &info.resource),
            (some, false) => has(some, &info.resource_and_subresource()),
        };
        let place = || match info.namespace.is_empty() {
            true => self.cluster_scope,
            false => has(&self.namespaces, &info.namespace),
        };
        has(&self.verbs, &info.verb) && has(&self.groups, &info.group) && resource() && place()
    }
}

/// Whether a path is the rule's, or below it.
fn below(rule: &str, path: &str) -> bool {
    if rule == "*" || rule == path {
        return true;
    }
    let prefix = rule.trim_end_matches('*').trim_end_matches('/');
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.starts_with('/'))
}

impl Config {
    /// Reads what is configured, for so many seats in all.
    pub(super) fn of(
        schemas: &[Object],
        levels: &[Object],
        total: u32,
        dispatched: &dyn Fn(&str, &str) -> Counter,
    ) -> Self {
        let mut levels: Vec<Object> = levels.to_vec();
        for must in mandatory::levels() {
            if !levels.iter().any(|own| own.name() == must.name()) {
                levels.push(must);
            }
        }
        let levels = self::levels(&levels, total);
        let by_name: HashMap<&str, &Arc<Level>> =
            levels.iter().map(|level| (&*level.name, level)).collect();
        let mut known: Vec<Arc<Schema>> = Vec::new();
        for object in schemas {
            known.extend(schema(object, &by_name, dispatched).map(Arc::new));
        }
        for must in mandatory::schemas() {
            if !known.iter().any(|own| &*own.name == must.name()) {
                known.extend(schema(&must, &by_name, dispatched).map(Arc::new));
            }
        }
        known.sort_by(|a, b| (a.precedence, &a.name).cmp(&(b.precedence, &b.name)));
        Self {
            schemas: known,
            levels,
        }
    }

    /// The schema of a request: the first that matches. The last matches all.
    pub(super) fn classify(&self, user: &UserInfo, info: &RequestInfo) -> Option<&Arc<Schema>> {
        let matching = |schema: &&Arc<Schema>| {
            let mut rules = schema.rules.iter();
            rules.any(|rule| rule.matches(user, info))
        };
        self.schemas.iter().find(matching).or(self.schemas.last())
    }
}

fn uid(object: &Object) -> HeaderValue {
    HeaderValue::from_str(object.uid()).unwrap_or(HeaderValue::from_static(""))
}

fn schema(
    object: &Object,
    levels: &HashMap<&str, &Arc<Level>>,
    dispatched: &dyn Fn(&str, &str) -> Counter,
) -> Option<Schema> {
    let level = object.str_at(&["spec", "priorityLevelConfiguration", "name"]);
    let level = (*levels.get(level)?).clone();
    let rules = object.get(&["spec", "rules"]).and_then(Value::as_array);
    let precedence = object.get(&["spec", "matchingPrecedence"]);
    Some(Schema {
        dispatched: dispatched(object.name(), &level.name),
        name: object.name().into(),
        uid: uid(object),
        level,
        distinguisher: match object.str_at(&["spec", "distinguisherMethod", "type"]) {
            "ByUser" => Distinguisher::User,
            "ByNamespace" => Distinguisher::Namespace,
            _ => Distinguisher::Nothing,
        },
        precedence: precedence.and_then(Value::as_i64).unwrap_or(1_000),
        rules: rules.into_iter().flatten().map(Rule::of).collect(),
    })
}

/// Each level's part of the seats: by its shares, rounded up.
fn levels(objects: &[Object], total: u32) -> Vec<Arc<Level>> {
    let number = |object: &Object, path: &[&str], default: u32| {
        let value = object.get(path).and_then(Value::as_u64);
        value.map_or(default, |value| u32::try_from(value).unwrap_or(u32::MAX))
    };
    let part = |object: &Object| match object.str_at(&["spec", "type"]) {
        "Exempt" => "exempt",
        _ => "limited",
    };
    let shares = |object: &Object| {
        let part = part(object);
        let default = if part == "exempt" { 0 } else { 30 };
        number(object, &["spec", part, "nominalConcurrencyShares"], default)
    };
    let sum: u64 = objects.iter().map(|one| u64::from(shares(one))).sum();
    let level = |object: &Object| {
        let part = part(object);
        let share = f64::from(shares(object)) / (sum.max(1) as f64);
        let nominal = (f64::from(total) * share).ceil() as u32;
        let percent = |name: &str, default| number(object, &["spec", part, name], default);
        let of_nominal =
            |percent: u32| (f64::from(nominal) * f64::from(percent) / 100.0).round() as u32;
        let guaranteed = nominal.saturating_sub(of_nominal(percent("lendablePercent", 0)));
        // Without a limit, all that others lend.
        let borrows = match object.get(&["spec", part, "borrowingLimitPercent"]) {
            None | Some(Value::Null) => total,
            Some(_) => of_nominal(percent("borrowingLimitPercent", 0)),
        };
        let queuing = ["spec", "limited", "limitResponse", "queuing"];
        let setting = |name: &str, default| {
            let path = [&queuing[..], &[name]].concat();
            number(object, &path, default).max(1)
        };
        let queues = object.str_at(&["spec", "limited", "limitResponse", "type"]) == "Queue";
        let queuing = queues.then(|| Queuing {
            queues: setting("queues", 64),
            hand: setting("handSize", 8),
            length: setting("queueLengthLimit", 50) as usize,
        });
        let hand = queuing.map_or(1, |queuing| queuing.hand);
        let seats_max = (f64::from(nominal) * REQUEST_SHARE_MAX).ceil() as u32;
        Arc::new(Level {
            name: object.name().into(),
            uid: uid(object),
            exempt: part == "exempt",
            seats_max: seats_max.min(nominal / hand.max(1)).max(1),
            limits: LevelConfig {
                nominal,
                guaranteed,
                most: nominal.saturating_add(borrows).min(total),
                queuing,
            },
        })
    };
    objects.iter().map(level).collect()
}
