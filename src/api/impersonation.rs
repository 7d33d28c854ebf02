//! Acting as somebody else, by the `Impersonate-` headers. Each part of whom somebody wants to be is
//! asked for: first in the ways that bind it to what is done meanwhile, then in the one way that
//! does not. Must not know what the request does.
//! Kubernetes: apiserver `endpoints/filters/impersonation`.

use crate::api::authentication::{
    GROUP_AUTHENTICATED, GROUP_MASTERS, GROUP_NODES, GROUP_UNAUTHENTICATED, USER_ANONYMOUS,
    UserInfo, split_account,
};
use crate::api::authorization::{Attributes, Authorizer, check_attributes};
use crate::api::context::Context;
use crate::api::request_info::{RequestInfo, decode};
use crate::meta::{ApiError, names};
use http::HeaderMap;

const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA: &str = "impersonate-extra-";
/// The group of what is impersonated beside users, groups and service accounts.
const AUTHENTICATION: &str = "authentication.k8s.io";
/// What a service account's token knows of the node that it is used on.
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// Whom the request wants to be, if somebody else.
pub(crate) fn impersonate(
    authorizer: &dyn Authorizer,
    context: &Context,
) -> Result<Option<UserInfo>, ApiError> {
    let Some(wanted) = wanted(&context.headers)? else {
        return Ok(None);
    };
    let mut first = None;
    for mode in MODES {
        if !(mode.fits)(&wanted, &context.user) {
            continue;
        }
        let check = Check {
            authorizer,
            context,
            mode,
        };
        match check.run(&wanted) {
            Ok(user) => {
                tracing::debug!(
                    user = context.user.name,
                    as_user = user.name,
                    "impersonates"
                );
                return Ok(Some(user));
            }
            Err(error) => {
                first.get_or_insert(error);
            }
        }
    }
    Err(first.unwrap_or_else(|| ApiError::internal("all impersonation modes failed")))
}

/// Takes the headers away: nobody behind the filter may act on them.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let ours = |name: &str| matches!(name, USER | UID | GROUP) || name.starts_with(EXTRA);
    let names: Vec<_> = headers.keys().filter(|name| ours(name.as_str())).collect();
    for name in names.into_iter().cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
}

/// What the headers ask for, as it stands there.
fn wanted(headers: &HeaderMap) -> Result<Option<UserInfo>, ApiError> {
    let texts = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).into_iter();
        let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        texts.collect()
    };
    let first = |name: &str| texts(name).into_iter().next().unwrap_or_default();
    let mut wanted = UserInfo {
        name: first(USER),
        uid: first(UID),
        groups: texts(GROUP),
        ..UserInfo::default()
    };
    for name in headers.keys() {
        if let Some(key) = name.as_str().strip_prefix(EXTRA) {
            let key = decode(key).unwrap_or_else(|| key.to_owned());
            let values = wanted.extra.entry(key).or_default();
            values.extend(texts(name.as_str()));
        }
    }
    if !wanted.name.is_empty() {
        return Ok(Some(wanted));
    }
    if wanted == UserInfo::default() {
        return Ok(None);
    }
    Err(ApiError::bad_request(format!(
        "requested {} without impersonating a user name",
        in_go(&wanted)
    )))
}

/// A user as Kubernetes' message shows it.
fn in_go(user: &UserInfo) -> String {
    let list = |texts: &[String]| {
        let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
        format!("[]string{{{}}}", texts.join(", "))
    };
    let groups = if user.groups.is_empty() {
        "[]string(nil)".to_owned()
    } else {
        list(&user.groups)
    };
    let extra: Vec<String> = user
        .extra
        .iter()
        .map(|(key, values)| format!("{key:?}:{}", list(values)))
        .collect();
    let extra = if extra.is_empty() {
        "map[string][]string(nil)".to_owned()
    } else {
        format!("map[string][]string{{{}}}", extra.join(", "))
    };
    format!(
        "&user.DefaultInfo{{Name:{:?}, UID:{:?}, Groups:{groups}, Extra:{extra}}}",
        user.name, user.uid
    )
}

/// A way to impersonate.
struct Mode {
    /// Its name in verbs; empty for the one that does not look at what is done meanwhile.
    name: &'static str,
    /// Whether it is a way to be `wanted` for the one who asks.
    fits: fn(wanted: &UserInfo, asks: &UserInfo) -> bool,
}

/// The ways, in the order they are tried.
const MODES: &[Mode] = &[
    Mode {
        name: "associated-node",
        fits: |wanted, asks| {
            let on_it = |node: &str| {
                let own = asks.extra.get(NODE_NAME).map(Vec::as_slice);
                matches!(own, Some([own]) if own == node)
            };
            is_bare(wanted)
                && split_account(&asks.name).is_some()
                && node_of(&wanted.name).is_some_and(on_it)
        },
    },
    Mode {
        name: "arbitrary-node",
        fits: |wanted, _| is_bare(wanted) && node_of(&wanted.name).is_some(),
    },
    Mode {
        name: "serviceaccount",
        fits: |wanted, _| is_bare(wanted) && split_account(&wanted.name).is_some(),
    },
    Mode {
        name: "user-info",
        fits: |wanted, _| node_of(&wanted.name).is_none() && split_account(&wanted.name).is_none(),
    },
    Mode {
        name: "",
        fits: |_, _| true,
    },
];

/// Whether only a name is asked for.
fn is_bare(wanted: &UserInfo) -> bool {
    wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty()
}

/// The node that a user's name stands for.
fn node_of(user: &str) -> Option<&str> {
    user.strip_prefix("system:node:")
        .filter(|name| names::dns1123_subdomain(name).is_empty())
}

/// One way, tried for one request.
struct Check<'a> {
    authorizer: &'a dyn Authorizer,
    context: &'a Context,
    mode: &'a Mode,
}

impl Check<'_> {
    fn is_bound(&self) -> bool {
        !self.mode.name.is_empty()
    }

    fn run(&self, wanted: &UserInfo) -> Result<UserInfo, ApiError> {
        if self.is_bound() {
            let done = &self.context.info;
            self.ask(&RequestInfo {
                verb: format!("impersonate-on:{}:{}", self.mode.name, done.verb),
                ..done.clone()
            })?;
        }
        let mut user = wanted.clone();
        self.name(&mut user)?;
        if !wanted.uid.is_empty() {
            self.ask(&self.part(AUTHENTICATION, "uids", "", &wanted.uid))?;
        }
        self.groups(&wanted.groups)?;
        self.extra(wanted)?;
        let unknown = user.is_in(GROUP_UNAUTHENTICATED);
        let group = match user.name.as_str() {
            USER_ANONYMOUS => Some(GROUP_UNAUTHENTICATED),
            _ if unknown => None,
            _ => Some(GROUP_AUTHENTICATED),
        };
        if let Some(group) = group.filter(|group| !user.is_in(group)) {
            user.groups.push(group.to_owned());
        }
        Ok(user)
    }

    /// Asks for the name, and adds the groups that go with it.
    fn name(&self, user: &mut UserInfo) -> Result<(), ApiError> {
        let group = self.group();
        if let Some((namespace, name)) = split_account(&user.name) {
            let part = self.part(group, "serviceaccounts", "", name);
            self.ask(&RequestInfo {
                namespace: namespace.to_owned(),
                ..part
            })?;
            if user.groups.is_empty() {
                user.groups = UserInfo::service_account(namespace, name).groups;
            }
            return Ok(());
        }
        if let Some(node) = node_of(&user.name).filter(|_| self.is_bound()) {
            let any = self.mode.name == "associated-node";
            let name = if any { "*" } else { node };
            self.ask(&self.part(group, "nodes", "", name))?;
            user.groups = vec![GROUP_NODES.to_owned()];
            return Ok(());
        }
        self.ask(&self.part(group, "users", "", &user.name))
    }

    fn groups(&self, groups: &[String]) -> Result<(), ApiError> {
        for group in groups {
            let part = self.part(self.group(), "groups", "", group);
            let why = match group.as_str() {
                "" => "impersonating the empty string group is not allowed",
                GROUP_MASTERS => "impersonating the system:masters group is not allowed",
                _ => "",
            };
            if self.is_bound() && !why.is_empty() {
                return Err(self.refuse(&part, why));
            }
            self.ask(&part)?;
        }
        Ok(())
    }

    fn extra(&self, wanted: &UserInfo) -> Result<(), ApiError> {
        for (key, values) in &wanted.extra {
            if self.is_bound() && (key.is_empty() || values.iter().any(String::is_empty)) {
                let part = self.part(AUTHENTICATION, "userextras", "", "");
                let what = if key.is_empty() { "key" } else { "value" };
                let why = format!("impersonating the empty string {what} in extra is not allowed");
                return Err(self.refuse(&part, &why));
            }
            for value in values {
                self.ask(&self.part(AUTHENTICATION, "userextras", key, value))?;
            }
        }
        Ok(())
    }

    /// The group of users, groups and service accounts.
    fn group(&self) -> &'static str {
        if self.is_bound() { AUTHENTICATION } else { "" }
    }

    fn part(&self, group: &str, resource: &str, subresource: &str, name: &str) -> RequestInfo {
        let verb = if self.is_bound() {
            format!("impersonate:{}", self.mode.name)
        } else {
            "impersonate".to_owned()
        };
        RequestInfo {
            is_resource: true,
            verb,
            group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            name: name.to_owned(),
            ..RequestInfo::default()
        }
    }

    fn attributes<'a>(&'a self, info: &'a RequestInfo) -> Attributes<'a> {
        Attributes {
            user: &self.context.user,
            info,
            field_selector: "",
        }
    }

    fn ask(&self, info: &RequestInfo) -> Result<(), ApiError> {
        check_attributes(self.authorizer, &self.attributes(info))
    }

    fn refuse(&self, info: &RequestInfo, why: &str) -> ApiError {
        crate::api::authorization::forbidden(&self.context.user, info, why)
    }
}
