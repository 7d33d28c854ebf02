//! What the LimitRanges of a namespace say of its pods and claims: what containers ask for unless they
//! say otherwise, and between which bounds.
//! Kubernetes: admission plugin LimitRanger.

use super::{Operation, Plugin, Request};
use crate::meta::quantity::Quantity;
use crate::meta::{ApiError, Object};
use crate::resources::core::pod::sums::{Amounts, Side, amounts, of_container, of_pod};
use serde_json::{Map, Value, json};

/// Where it is told what was filled in.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";
/// Lists of containers that have resources, and how each is called there.
const CONTAINERS: &[(&str, &str)] = &[
    ("containers", "container"),
    ("initContainers", "init container"),
];

pub(super) struct LimitRanger;

impl Plugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    fn mutate(
        &self,
        request: &Request<'_>,
        pod: &mut Object,
        _old: Option<&Object>,
    ) -> Result<(), ApiError> {
        if !request.creates("", "pods") {
            return Ok(());
        }
        for range in ranges(request)? {
            let told = fill_in(pod, &range);
            if !told.is_empty() {
                let text = format!("LimitRanger plugin set: {}", told.join("; "));
                pod.set(&["metadata", "annotations", ANNOTATION], json!(text));
            }
        }
        Ok(())
    }

    fn validate(
        &self,
        request: &Request<'_>,
        object: &Object,
        old: Option<&Object>,
    ) -> Result<(), ApiError> {
        let def = &request.target.def;
        let core = |resource: &str| def.group.is_empty() && def.plural == resource;
        let part = &*request.target.subresource;
        let check: fn(&Limits<'_>, &Object, Option<&Object>) = match request.operation {
            Operation::Create if core("pods") && part.is_empty() => pod,
            Operation::Update if core("pods") && part == "resize" => pod,
            Operation::Create | Operation::Update
                if core("persistentvolumeclaims") && part.is_empty() =>
            {
                claim
            }
            _ => return Ok(()),
        };
        for range in ranges(request)? {
            let mut errors = Vec::new();
            for item in items(&range) {
                let limits = Limits::of(item);
                check(&limits, object, old);
                errors.extend(limits.errors.into_inner());
            }
            match errors.as_slice() {
                [] => {}
                [one] => return Err(request.forbidden(object, one)),
                several => {
                    let text = format!("[{}]", several.join(", "));
                    return Err(request.forbidden(object, &text));
                }
            }
        }
        Ok(())
    }
}

/// The LimitRanges of the namespace.
fn ranges(request: &Request<'_>) -> Result<Vec<Object>, ApiError> {
    request.all("", "limitranges", Some(&request.target.namespace))
}

fn items(range: &Object) -> impl Iterator<Item = &Value> {
    let limits = range.get(&["spec", "limits"]).and_then(Value::as_array);
    limits.into_iter().flatten()
}

/// Fills in what containers do not say; answers what was filled in.
fn fill_in(pod: &mut Object, range: &Object) -> Vec<String> {
    let mut defaults: [(&str, &str, Map<String, Value>); 2] = [
        ("requests", "request", Map::new()),
        ("limits", "limit", Map::new()),
    ];
    for item in items(range).filter(|item| item.get("type") == Some(&json!("Container"))) {
        for ((_, _, map), field) in defaults.iter_mut().zip(["defaultRequest", "default"]) {
            let more = item.get(field).and_then(Value::as_object);
            map.extend(more.cloned().unwrap_or_default());
        }
    }
    let mut told = Vec::new();
    for (list, kind) in CONTAINERS {
        let Some(Value::Array(mut containers)) = pod.remove(&["spec", list]) else {
            continue;
        };
        for container in containers.iter_mut().filter_map(Value::as_object_mut) {
            let name = container.get("name").and_then(Value::as_str);
            let name = name.unwrap_or_default().to_owned();
            for (field, word, map) in &defaults {
                let set = merge(container, field, map);
                if !set.is_empty() {
                    told.push(format!("{} {word} for {kind} {name}", set.join(", ")));
                }
            }
        }
        pod.set(&["spec", list], Value::Array(containers));
    }
    told
}

/// Puts in what is not there; answers the names.
fn merge(
    container: &mut Map<String, Value>,
    field: &str,
    defaults: &Map<String, Value>,
) -> Vec<String> {
    let mut set = Vec::new();
    if defaults.is_empty() {
        return set;
    }
    let object = || Value::Object(Map::new());
    let resources = container.entry("resources").or_insert_with(object);
    let Some(resources) = resources.as_object_mut() else {
        return set;
    };
    let own = resources.entry(field).or_insert_with(object);
    for (name, amount) in defaults {
        if let Value::Object(own) = own
            && !own.contains_key(name)
        {
            own.insert(name.clone(), amount.clone());
            set.push(name.clone());
        }
    }
    set
}

/// One item of a LimitRange, and what is found against it.
struct Limits<'a> {
    kind: &'a str,
    min: Amounts,
    max: Amounts,
    ratio: Amounts,
    errors: std::cell::RefCell<Vec<String>>,
}

/// What is asked for, or was.
#[derive(Clone, Default)]
struct Asked {
    requests: Amounts,
    limits: Amounts,
}

impl Asked {
    fn by_container(container: &Value) -> Self {
        Self {
            requests: of_container(container, Side::Requests),
            limits: of_container(container, Side::Limits),
        }
    }

    fn by_pod(pod: &Object) -> Self {
        let spec = pod.get(&["spec"]).unwrap_or(&Value::Null);
        Self {
            requests: of_pod(spec, Side::Requests),
            limits: of_pod(spec, Side::Limits),
        }
    }

    fn is_same(&self, other: &Self, name: &str) -> bool {
        self.requests.get(name) == other.requests.get(name)
            && self.limits.get(name) == other.limits.get(name)
    }
}

fn pod(limits: &Limits<'_>, pod: &Object, old: Option<&Object>) {
    match limits.kind {
        "Container" => {
            for (list, _) in CONTAINERS {
                let of = |pod: &Object| {
                    let all = pod.get(&["spec", list]).and_then(Value::as_array);
                    all.cloned().unwrap_or_default()
                };
                let before = old.map(of).unwrap_or_default();
                for container in of(pod) {
                    let same = before
                        .iter()
                        .find(|o| o.get("name") == container.get("name"));
                    limits.check(
                        &Asked::by_container(&container),
                        same.map(Asked::by_container).as_ref(),
                    );
                }
            }
        }
        "Pod" => limits.check(&Asked::by_pod(pod), old.map(Asked::by_pod).as_ref()),
        _ => {}
    }
}

fn claim(limits: &Limits<'_>, claim: &Object, old: Option<&Object>) {
    if limits.kind != "PersistentVolumeClaim" {
        return;
    }
    let requests = |claim: &Object| amounts(claim.get(&["spec", "resources", "requests"]));
    let (now, before) = (requests(claim), old.map(requests).unwrap_or_default());
    let changed = |name: &str| !now.contains_key(name) || now.get(name) != before.get(name);
    for (name, bound) in limits.min.iter().filter(|(name, _)| changed(name)) {
        limits.at_least(name, bound, now.get(name), None);
    }
    for (name, bound) in limits.max.iter().filter(|(name, _)| changed(name)) {
        match now.get(name) {
            None => limits.missing("maximum", name, bound, "request"),
            Some(asked) if asked > bound => {
                limits.outside("maximum", name, bound, "request", asked);
            }
            Some(_) => {}
        }
    }
}

impl<'a> Limits<'a> {
    fn of(item: &'a Value) -> Self {
        Self {
            kind: item.get("type").and_then(Value::as_str).unwrap_or_default(),
            min: amounts(item.get("min")),
            max: amounts(item.get("max")),
            ratio: amounts(item.get("maxLimitRequestRatio")),
            errors: std::cell::RefCell::default(),
        }
    }

    fn say(&self, text: String) {
        self.errors.borrow_mut().push(text);
    }

    /// Compares with all bounds; what has not changed is not asked again.
    fn check(&self, asked: &Asked, before: Option<&Asked>) {
        let changed = |name: &str| !before.is_some_and(|before| asked.is_same(before, name));
        for (name, bound) in self.min.iter().filter(|(name, _)| changed(name)) {
            self.at_least(
                name,
                bound,
                asked.requests.get(name),
                asked.limits.get(name),
            );
        }
        for (name, bound) in self.max.iter().filter(|(name, _)| changed(name)) {
            self.at_most(
                name,
                bound,
                asked.requests.get(name),
                asked.limits.get(name),
            );
        }
        for (name, bound) in self.ratio.iter().filter(|(name, _)| changed(name)) {
            self.in_ratio(
                name,
                bound,
                asked.requests.get(name),
                asked.limits.get(name),
            );
        }
    }

    fn at_least(
        &self,
        name: &str,
        bound: &Quantity,
        request: Option<&Quantity>,
        limit: Option<&Quantity>,
    ) {
        match (request, limit) {
            (None, _) => self.missing("minimum", name, bound, "request"),
            (Some(request), _) if request < bound => {
                self.outside("minimum", name, bound, "request", request);
            }
            (_, Some(limit)) if limit < bound => {
                self.outside("minimum", name, bound, "limit", limit);
            }
            _ => {}
        }
    }

    fn at_most(
        &self,
        name: &str,
        bound: &Quantity,
        request: Option<&Quantity>,
        limit: Option<&Quantity>,
    ) {
        match (limit, request) {
            (None, _) => self.missing("maximum", name, bound, "limit"),
            (Some(limit), _) if limit > bound => {
                self.outside("maximum", name, bound, "limit", limit);
            }
            (_, Some(request)) if request > bound => {
                self.outside("maximum", name, bound, "request", request);
            }
            _ => {}
        }
    }

    fn in_ratio(
        &self,
        name: &str,
        bound: &Quantity,
        request: Option<&Quantity>,
        limit: Option<&Quantity>,
    ) {
        let head = format!(
            "{name} max limit to request ratio per {} is {bound}, but",
            self.kind
        );
        let some =
            |amount: Option<&'_ Quantity>| amount.filter(|amount| !amount.is_zero()).copied();
        let Some(request) = some(request) else {
            return self.say(format!("{head} no request is specified or request is 0"));
        };
        let Some(limit) = some(limit) else {
            return self.say(format!("{head} no limit is specified or limit is 0"));
        };
        let millis = |amount: &Quantity| i128::from(amount.millis());
        if millis(&limit) * 1000 > millis(&request) * millis(bound) {
            #[expect(clippy::cast_precision_loss, reason = "six digits are shown")]
            let ratio = limit.millis() as f64 / request.millis() as f64;
            self.say(format!("{head} provided ratio is {ratio:.6}"));
        }
    }

    /// `minimum cpu usage per Container is 1.  No request is specified`.
    fn missing(&self, which: &str, name: &str, bound: &Quantity, what: &str) {
        let kind = self.kind;
        self.say(format!(
            "{which} {name} usage per {kind} is {bound}.  No {what} is specified"
        ));
    }

    fn outside(&self, which: &str, name: &str, bound: &Quantity, what: &str, amount: &Quantity) {
        let kind = self.kind;
        self.say(format!(
            "{which} {name} usage per {kind} is {bound}, but {what} is {amount}"
        ));
    }
}
