//! The conditions of a CustomResourceDefinition, and what they are to be: pure. Must not know who
//! writes them.
//! Kubernetes: apiextensions-apiserver `pkg/controller/{status,establish,apiapproval}`.

use crate::meta::{FieldError, Object, time};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The annotation that a group of the Kubernetes project must have.
const APPROVED: &str = "api-approved.kubernetes.io";
/// Where the rule for that annotation is told.
const POLICY: &str = "https://github.com/kubernetes/enhancements/pull/1111";

/// A condition, but for its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `Established`.
    pub name: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, in a sentence.
    pub message: String,
}

/// Writes a condition; its time is that of the last change of its status.
pub fn set(definition: &mut Object, wanted: &Condition, now: Timestamp) {
    let path = ["status", "conditions"];
    let list = definition.get(&path).and_then(Value::as_array);
    let mut list = list.cloned().unwrap_or_default();
    let mut new = json!({
        "lastTransitionTime": time::rfc3339(now),
        "message": wanted.message,
        "reason": wanted.reason,
        "status": wanted.status,
        "type": wanted.name,
    });
    match list
        .iter_mut()
        .find(|own| own.get("type") == new.get("type"))
    {
        None => list.push(new),
        Some(own) => {
            if own.get("status") == new.get("status")
                && let (Some(time), Value::Object(new)) = (own.get("lastTransitionTime"), &mut new)
            {
                new.insert("lastTransitionTime".to_owned(), time.clone());
            }
            *own = new;
        }
    }
    definition.set(&path, Value::Array(list));
}

/// Names that the definitions of a group have taken.
#[derive(Debug, Default)]
pub struct Taken {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Taken {
    /// By all definitions of a group.
    pub fn by<'a>(definitions: impl Iterator<Item = &'a Object>) -> Self {
        let mut taken = Self::default();
        for definition in definitions {
            let Some(names) = definition.get(&["status", "acceptedNames"]) else {
                continue;
            };
            for field in ["plural", "singular"] {
                taken.resources.insert(word(names, field));
            }
            taken.resources.extend(words(names, "shortNames"));
            for field in ["kind", "listKind"] {
                taken.kinds.insert(word(names, field));
            }
        }
        taken
    }
}

/// Gives a definition the names it may have, with its conditions `NamesAccepted` and `Established`.
/// Answers whether that changes anything.
pub fn accept_names(definition: &mut Object, taken: &Taken, now: Timestamp) -> bool {
    let before = definition.get(&["status"]).cloned();
    let null = Value::Null;
    let wanted = definition.get(&["spec", "names"]).unwrap_or(&null).clone();
    let accepted = definition.get(&["status", "acceptedNames"]);
    let accepted = accepted.unwrap_or(&null).clone();
    let mut names = accepted.clone();
    let mut conflict = None;
    let checks = [
        ("plural", &taken.resources, "PluralConflict"),
        ("singular", &taken.resources, "SingularConflict"),
        ("shortNames", &taken.resources, "ShortNamesConflict"),
        ("kind", &taken.kinds, "KindConflict"),
        ("listKind", &taken.kinds, "ListKindConflict"),
    ];
    for (field, used, reason) in checks {
        match refused(&wanted, &accepted, field, used) {
            Some(message) => conflict = Some((reason, message)),
            None => copy(&wanted, &mut names, field),
        }
    }
    copy(&wanted, &mut names, "categories");
    let (status, reason, message) = match conflict {
        None => ("True", "NoConflicts", "no conflicts found".to_owned()),
        Some((reason, message)) => ("False", reason, message),
    };
    definition.set(&["status", "acceptedNames"], names);
    let condition = |name, status, reason, message| Condition {
        name,
        status,
        reason,
        message,
    };
    set(
        definition,
        &condition("NamesAccepted", status, reason, message),
        now,
    );
    // Established once, it stays so.
    if super::rows::condition(definition, "Established") != "True" {
        let told = |text: &str| text.to_owned();
        let established = if status == "True" {
            let words = told("the initial names have been accepted");
            condition("Established", "True", "InitialNamesAccepted", words)
        } else {
            let words = told("not all names are accepted");
            condition("Established", "False", "NotAccepted", words)
        };
        set(definition, &established, now);
    }
    definition.get(&["status"]) != before.as_ref()
}

/// Why a name, or one of several, cannot be had.
fn refused(
    wanted: &Value,
    accepted: &Value,
    field: &str,
    used: &BTreeSet<String>,
) -> Option<String> {
    let own = words(accepted, field);
    let conflicts: Vec<String> = words(wanted, field)
        .into_iter()
        .filter(|name| !own.contains(name) && used.contains(name))
        .map(|name| format!("{name:?} is already in use"))
        .collect();
    match conflicts.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(format!("[{}]", several.join(", "))),
    }
}

fn copy(from: &Value, to: &mut Value, field: &str) {
    if !to.is_object() {
        *to = json!({});
    }
    if let Value::Object(to) = to {
        match from.get(field) {
            Some(value) => to.insert(field.to_owned(), value.clone()),
            None => to.remove(field),
        };
    }
}

fn word(names: &Value, field: &str) -> String {
    let text = names.get(field).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// A text, or several.
fn words(names: &Value, field: &str) -> Vec<String> {
    match names.get(field) {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => {
            let texts = list.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// What a group of the Kubernetes project says of its approval; `None` for other groups.
pub fn approval(definition: &Object) -> Option<Condition> {
    if !is_protected(definition.str_at(&["spec", "group"])) {
        return None;
    }
    let note = definition.annotation(APPROVED).unwrap_or_default();
    let is_address = note.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && !rest.trim_start_matches('/').is_empty()
    });
    let (status, reason, message) = if note.is_empty() {
        let words =
            format!("protected groups must have approval annotation {APPROVED:?}, see {POLICY}");
        ("False", "MissingAnnotation", words)
    } else if note.starts_with("unapproved") {
        (
            "False",
            "UnapprovedAnnotation",
            format!("not approved: {note:?}"),
        )
    } else if is_address {
        ("True", "ApprovedAnnotation", format!("approved in {note}"))
    } else {
        let words = format!(
            "protected groups must have approval annotation {APPROVED:?} with either a URL or a \
             reason starting with \"unapproved\", see {POLICY}"
        );
        ("False", "InvalidAnnotation", words)
    };
    Some(Condition {
        name: "KubernetesAPIApprovalPolicyConformant",
        status,
        reason,
        message,
    })
}

/// What is wrong with the approval of a definition that is new, or whose approval has changed.
pub(super) fn approval_error(new: &Object, old: Option<&Object>) -> Option<FieldError> {
    let condition = approval(new)?;
    let before = old.and_then(approval);
    if before.is_some_and(|before| before.reason == condition.reason) {
        return None;
    }
    let field = format!("metadata.annotations[{APPROVED}]");
    match condition.reason {
        "MissingAnnotation" => Some(FieldError::required(field, condition.message)),
        "InvalidAnnotation" => {
            let note = new.annotation(APPROVED).unwrap_or_default();
            Some(FieldError::invalid(field, note, condition.message))
        }
        _ => None,
    }
}

/// Whether a group belongs to the Kubernetes project.
pub(super) fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|own| group == *own || group.ends_with(&format!(".{own}")))
}

/// Writes a condition where it says something new; answers whether it does.
pub fn set_if_new(definition: &mut Object, wanted: &Condition, now: Timestamp) -> bool {
    let before = definition.get(&["status"]).cloned();
    set(definition, wanted, now);
    definition.get(&["status"]) != before.as_ref()
}
