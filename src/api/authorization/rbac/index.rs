//! Who has which role, found by the name of a user or a group, and what each role allows; read out
//! of the cache once and brought up to date by what has changed since. Must not know requests.

use crate::api::authentication::{UserInfo, account_user};
use crate::api::registry::{Cache, Cached, ResourceCache};
use crate::meta::Object;
use crate::resources::rbac::policy::PolicyRule;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

/// A role as a binding names it: of the cluster by its name, of a namespace by `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RoleKey {
    Cluster(Box<str>),
    Namespaced(Box<str>),
    /// A kind of role that there is not.
    Unknown(Box<str>),
}

/// A role that somebody has by a binding.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) role: RoleKey,
    /// By what, in Kubernetes' words.
    pub(super) by: Arc<str>,
}

/// Grants by the name of their binding.
type Grants = BTreeMap<Arc<str>, Grant>;

/// A role; its rules are read when they are asked for, once. Most are never asked for.
struct Role {
    cached: Cached,
    rules: OnceLock<Box<[PolicyRule]>>,
}

impl Role {
    fn rules(&self) -> &[PolicyRule] {
        self.rules.get_or_init(|| match self.cached.object() {
            Ok(role) => PolicyRule::of_role(&role).into(),
            Err(error) => {
                tracing::error!(%error, "a role cannot be read");
                Box::default()
            }
        })
    }
}

/// Grants of one scope: the cluster, or a namespace.
#[derive(Default)]
struct Scope {
    users: HashMap<Box<str>, Grants>,
    groups: HashMap<Box<str>, Grants>,
}

/// The kinds that are followed, in this order.
const KINDS: [&str; 4] = [
    "clusterroles",
    "roles",
    "clusterrolebindings",
    "rolebindings",
];

/// The caches of the kinds.
pub(super) struct Sources([Option<Arc<ResourceCache>>; 4]);

impl Sources {
    pub(super) fn new(cache: &Cache) -> Self {
        Self(KINDS.map(|kind| cache.kind(kind)))
    }

    fn revisions(&self) -> [u64; 4] {
        std::array::from_fn(|at| match self.0.get(at) {
            Some(Some(kind)) => kind.revision(),
            _ => 0,
        })
    }
}

/// The index.
#[derive(Default)]
pub(super) struct Index {
    seen: Option<[u64; 4]>,
    cluster_roles: HashMap<Box<str>, Role>,
    roles: HashMap<Box<str>, Role>,
    cluster: Scope,
    namespaces: HashMap<Box<str>, Scope>,
}

impl Index {
    /// Whether nothing has changed since it was brought up to date.
    pub(super) fn is_current(&self, sources: &Sources) -> bool {
        self.seen == Some(sources.revisions())
    }

    /// Brings it up to date.
    pub(super) fn catch_up(&mut self, sources: &Sources) {
        let seen = self.seen.unwrap_or_default();
        let mut reached = seen;
        for ((at, kind), reached) in sources.0.iter().enumerate().zip(&mut reached) {
            let Some(kind) = kind else { continue };
            let after = self.seen.and_then(|seen| seen.get(at).copied());
            match after.map(|after| kind.changes_after(after)) {
                Some(Ok((changes, revision))) => {
                    for change in changes {
                        self.change(at, &change.key, change.previous.as_ref(), false);
                        self.change(at, &change.key, change.current.as_ref(), true);
                    }
                    *reached = revision;
                }
                // The first time, or too much has changed meanwhile.
                None | Some(Err(_)) => {
                    self.clear(at);
                    let (objects, revision) = kind.all();
                    for (key, cached) in &objects {
                        self.change(at, key, Some(cached), true);
                    }
                    *reached = revision;
                }
            }
        }
        self.seen = Some(reached);
    }

    fn clear(&mut self, kind: usize) {
        match kind {
            0 => self.cluster_roles.clear(),
            1 => self.roles.clear(),
            2 => self.cluster = Scope::default(),
            _ => self.namespaces.clear(),
        }
    }

    /// Enters an object of a kind, or takes it out.
    fn change(&mut self, kind: usize, key: &Arc<str>, cached: Option<&Cached>, enter: bool) {
        let Some(cached) = cached else { return };
        let roles = match kind {
            0 => &mut self.cluster_roles,
            1 => &mut self.roles,
            _ => {
                return match cached.object() {
                    Ok(binding) => self.bind(key, &binding, enter),
                    Err(error) => tracing::error!(%key, %error, "a binding cannot be read"),
                };
            }
        };
        if enter {
            let role = Role {
                cached: cached.clone(),
                rules: OnceLock::new(),
            };
            roles.insert(key.as_ref().into(), role);
        } else {
            roles.remove(key.as_ref());
        }
    }

    fn bind(&mut self, key: &Arc<str>, binding: &Object, enter: bool) {
        let namespace = binding.namespace();
        let scope = if namespace.is_empty() {
            &mut self.cluster
        } else {
            self.namespaces.entry(namespace.into()).or_default()
        };
        let subjects = binding.get(&["subjects"]).and_then(Value::as_array);
        for subject in subjects.into_iter().flatten() {
            let Some(subject) = Subject::of(subject, namespace) else {
                continue;
            };
            let holders = if subject.is_group {
                &mut scope.groups
            } else {
                &mut scope.users
            };
            if enter {
                let grant = Grant {
                    role: role_of(binding),
                    by: describe(binding, &subject).into(),
                };
                let grants = holders.entry(subject.holder.into()).or_default();
                // Whom a binding names twice, it names first.
                grants.entry(key.clone()).or_insert(grant);
            } else if let Some(grants) = holders.get_mut(subject.holder.as_str()) {
                grants.remove(key);
                if grants.is_empty() {
                    holders.remove(subject.holder.as_str());
                }
            }
        }
        if scope.users.is_empty() && scope.groups.is_empty() {
            self.namespaces.remove(namespace);
        }
    }

    /// What a role allows; `None` if there is no such role.
    pub(super) fn rules(&self, role: &RoleKey) -> Option<&[PolicyRule]> {
        let role = match role {
            RoleKey::Cluster(name) => self.cluster_roles.get(name),
            RoleKey::Namespaced(key) => self.roles.get(key),
            RoleKey::Unknown(_) => None,
        };
        role.map(Role::rules)
    }

    /// The grants of a user, those of the cluster first: in no order, some perhaps twice.
    pub(super) fn grants<'a>(
        &'a self,
        user: &'a UserInfo,
        namespace: &str,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Grant)> {
        let scopes = std::iter::once(&self.cluster).chain(self.namespaces.get(namespace));
        scopes.flat_map(|scope| {
            let own = scope.users.get(user.name.as_str());
            let groups = user.groups.iter();
            let theirs = groups.filter_map(|group| scope.groups.get(group.as_str()));
            own.into_iter().chain(theirs).flatten()
        })
    }
}

/// Whom a binding means.
struct Subject {
    kind: String,
    name: String,
    /// The name of the user or of the group.
    holder: String,
    is_group: bool,
}

impl Subject {
    fn of(subject: &Value, binding_namespace: &str) -> Option<Self> {
        let text = |name: &str| {
            subject
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (kind, name) = (text("kind"), text("name"));
        let holder = match kind {
            "User" | "Group" => name.to_owned(),
            "ServiceAccount" => {
                let own = text("namespace");
                let namespace = if own.is_empty() {
                    binding_namespace
                } else {
                    own
                };
                if namespace.is_empty() {
                    return None;
                }
                return Some(Self {
                    kind: kind.to_owned(),
                    name: format!("{name}/{namespace}"),
                    holder: account_user(namespace, name),
                    is_group: false,
                });
            }
            _ => return None,
        };
        Some(Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            holder,
            is_group: kind == "Group",
        })
    }
}

fn role_of(binding: &Object) -> RoleKey {
    role_key(
        binding.str_at(&["roleRef", "kind"]),
        binding.str_at(&["roleRef", "name"]),
        binding.namespace(),
    )
}

/// The role that a binding in a namespace (none for the cluster) names.
pub(super) fn role_key(kind: &str, name: &str, namespace: &str) -> RoleKey {
    match kind {
        "ClusterRole" => RoleKey::Cluster(name.into()),
        "Role" => RoleKey::Namespaced(format!("{namespace}/{name}").into()),
        other => RoleKey::Unknown(other.into()),
    }
}

fn describe(binding: &Object, subject: &Subject) -> String {
    let (kind, name) = if binding.namespace().is_empty() {
        ("ClusterRoleBinding", binding.name().to_owned())
    } else {
        let name = format!("{}/{}", binding.name(), binding.namespace());
        ("RoleBinding", name)
    };
    format!(
        "{kind} {name:?} of {} {:?} to {} {:?}",
        binding.str_at(&["roleRef", "kind"]),
        binding.str_at(&["roleRef", "name"]),
        subject.kind,
        subject.name
    )
}
