//! Roles and bindings: what a request may do is what the roles allow that bindings give to its user
//! or groups, and nothing else. Must not write.
//! Kubernetes: `plugin/pkg/auth/authorizer/rbac`, `pkg/registry/rbac/validation`.

mod index;

use super::{Attributes, Authorizer, Decision, Rules};
use crate::api::authentication::UserInfo;
use crate::api::registry::Cache;
use crate::resources::rbac::policy::PolicyRule;
use index::{Index, RoleKey, Sources, role_key};
use parking_lot::{RwLock, RwLockWriteGuard};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The authorizer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rbac(Arc<Inner>);

struct Inner {
    sources: Sources,
    index: RwLock<Index>,
}

/// Rules that somebody has, and which roles that bindings name were not found.
pub(crate) struct Held {
    pub(crate) rules: Vec<PolicyRule>,
    /// Empty if all were found.
    pub(crate) error: String,
}

impl Rbac {
    pub(crate) fn new(cache: &Cache) -> Self {
        Self(Arc::new(Inner {
            sources: Sources::new(cache),
            index: RwLock::default(),
        }))
    }

    /// Works with the index as of now.
    fn index<T>(&self, work: impl FnOnce(&Index) -> T) -> T {
        let index = self.0.index.read();
        if index.is_current(&self.0.sources) {
            return work(&index);
        }
        drop(index);
        let mut index = self.0.index.write();
        index.catch_up(&self.0.sources);
        work(&RwLockWriteGuard::downgrade(index))
    }

    /// All rules that a user has in a namespace (empty: in the cluster).
    pub(crate) fn held(&self, user: &UserInfo, namespace: &str) -> Held {
        self.index(|index| {
            let mut rules = Vec::new();
            let mut errors = Vec::new();
            // The order of the bindings' names, those of the cluster first; each binding once.
            let mut seen = BTreeMap::new();
            for (name, grant) in index.grants(user, namespace) {
                seen.entry((name.contains('/'), name)).or_insert(grant);
            }
            for grant in seen.values() {
                match index.rules(&grant.role) {
                    Some(own) => rules.extend(own.iter().cloned()),
                    None => errors.push(not_found(&grant.role)),
                }
            }
            Held {
                rules,
                error: aggregate(errors),
            }
        })
    }

    /// The rules of the role that a binding in a namespace (none: of the cluster) names, if there
    /// is such a role.
    pub(crate) fn role(&self, kind: &str, name: &str, namespace: &str) -> Option<Vec<PolicyRule>> {
        let role = role_key(kind, name, namespace);
        self.index(|index| index.rules(&role).map(<[PolicyRule]>::to_vec))
    }
}

fn not_found(role: &RoleKey) -> String {
    let named = |resource: &str, name: &str| {
        format!("{resource}.rbac.authorization.k8s.io {name:?} not found")
    };
    match role {
        RoleKey::Cluster(name) => named("clusterrole", name),
        RoleKey::Namespaced(key) => {
            let (_, name) = key.split_once('/').unwrap_or_default();
            named("role", name)
        }
        RoleKey::Unknown(kind) => format!("unsupported role reference kind: {kind:?}"),
    }
}

/// Several errors as one sentence, each once, as Kubernetes' aggregates are told.
fn aggregate(mut errors: Vec<String>) -> String {
    let mut once = Vec::new();
    for error in errors.drain(..) {
        if !once.contains(&error) {
            once.push(error);
        }
    }
    match once.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

fn allows(rule: &PolicyRule, attributes: &Attributes<'_>) -> bool {
    let info = attributes.info;
    if info.is_resource {
        let resource = (info.resource.as_str(), info.subresource.as_str());
        rule.allows_resource(&info.verb, &info.group, resource, &info.name)
    } else {
        rule.allows_path(&info.verb, &info.path)
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        self.index(|index| {
            let mut errors = Vec::new();
            for (_, grant) in index.grants(attributes.user, &attributes.info.namespace) {
                match index.rules(&grant.role) {
                    Some(rules) if rules.iter().any(|rule| allows(rule, attributes)) => {
                        return Decision::Allow(Some(grant.by.clone()));
                    }
                    Some(_) => {}
                    None => errors.push(not_found(&grant.role)),
                }
            }
            let mut reason = aggregate(errors);
            if !reason.is_empty() {
                reason.insert_str(0, "RBAC: ");
            }
            Decision::NoOpinion(reason)
        })
    }

    fn rules(&self, user: &UserInfo, namespace: &str) -> Rules {
        let held = self.held(user, namespace);
        let mut rules = Rules {
            error: held.error,
            ..Rules::default()
        };
        for rule in held.rules {
            rules.add_rule(rule);
        }
        rules
    }
}
