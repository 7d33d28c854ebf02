//! What is made in a namespace with ResourceQuotas is charged to them before it is written, and given
//! back when it is gone. Who writes at the same time writes the same quota, so none is overdrawn. Must
//! not know how usage is measured.
//! Kubernetes: admission plugin ResourceQuota; giving back is its controller's work there.

use crate::api::ApiServer;
use crate::api::registry::{Filter, WriteError, matching, served};
use crate::api::verbs::Target;
use crate::meta::quantity::Quantity;
use crate::meta::{ApiError, GroupResource, Object};
use crate::resources::DefRef;
use crate::resources::core::pod::sums::{Amounts, amounts};
use crate::resources::core::resource_quota::usage::{
    counted_by, is_in_scope, is_pods, missing, usage,
};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// How often a quota that others write meanwhile is tried.
const TRIES: usize = 100;

/// A change of an object that is charged.
pub(crate) struct Charge<'a> {
    pub(crate) server: &'a ApiServer,
    pub(crate) target: &'a Target,
    /// What will be there.
    pub(crate) new: Option<&'a Object>,
    /// What was there.
    pub(crate) old: Option<&'a Object>,
    /// Whether it is only asked.
    pub(crate) dry_run: bool,
}

impl Charge<'_> {
    /// Charges the difference, or refuses it.
    pub(crate) async fn make(&self) -> Result<(), ApiError> {
        let Some(def) = &self.quotas_def() else {
            return Ok(());
        };
        let mut charged = BTreeSet::new();
        for _ in 0..TRIES {
            let mut again = false;
            for (quota, revision) in self.quotas(def)? {
                if charged.contains(quota.name()) {
                    continue;
                }
                let written = match self.charged(&quota) {
                    Ok(None) => continue,
                    Ok(Some(_)) if self.dry_run => continue,
                    Ok(Some(new)) => self.server.registry.replace(def, &new, revision).await,
                    Err(error) => Err(WriteError::Api(error)),
                };
                match written {
                    Ok(_) => {
                        charged.insert(quota.name().to_owned());
                    }
                    Err(WriteError::Changed) => again = true,
                    Err(WriteError::Api(error)) => {
                        self.take_back(def, &charged).await;
                        return Err(error);
                    }
                }
            }
            if !again {
                return Ok(());
            }
        }
        self.take_back(def, &charged).await;
        Err(ApiError::internal("resource quota evaluation timed out"))
    }

    /// Gives back what was charged, because the write did not come to be or what it made is gone.
    pub(crate) async fn undo(&self) {
        // What cannot be given back the controller finds.
        if let Err(error) = self.reversed().make().await {
            tracing::warn!(%error, namespace = self.target.namespace, "a quota was not given back");
        }
    }

    /// The same difference the other way.
    fn reversed(&self) -> Self {
        Self {
            new: self.old,
            old: self.new,
            ..*self
        }
    }

    /// As quotas name the resource: both forms of one kind are one.
    fn counted_as(&self) -> GroupResource {
        let def = &self.target.def;
        let mut resource = def.group_resource();
        if let Some(conversion) = &def.conversion {
            resource.group = conversion.stored.0.to_string();
        }
        resource
    }

    async fn take_back(&self, def: &DefRef, charged: &BTreeSet<String>) {
        let back = self.reversed();
        let Ok(quotas) = self.quotas(def) else { return };
        for (quota, revision) in quotas {
            if let Ok(Some(new)) = back.charged(&quota)
                && charged.contains(quota.name())
                && self
                    .server
                    .registry
                    .replace(def, &new, revision)
                    .await
                    .is_err()
            {
                tracing::warn!(quota = quota.name(), "a quota was not given back");
            }
        }
    }

    /// The row of quotas, if the object is one that quotas can count.
    fn quotas_def(&self) -> Option<DefRef> {
        let def = &self.target.def;
        let counted = def.is_namespaced() && !def.storage_prefix.is_empty();
        // There are many, and Kubernetes does not count them either.
        if !counted || def.plural == "events" {
            return None;
        }
        let scheme = self.server.registry.scheme();
        scheme.resource("", "v1", "resourcequotas").cloned()
    }

    fn quotas(&self, def: &DefRef) -> Result<Vec<(Object, u64)>, ApiError> {
        let registry = &self.server.registry;
        let snapshot = registry.cache.snapshot(&*registry.kind(def)?);
        let filter = Filter::in_namespace(&self.target.namespace);
        matching(&snapshot.objects, &filter)
            .map(|(_, cached)| Ok((served(def, cached)?, cached.revision)))
            .collect()
    }

    /// The quota with the difference charged; `None` if it makes none to it.
    fn charged(&self, quota: &Object) -> Result<Option<Object>, ApiError> {
        let hard = amounts(quota.get(&["status", "hard"]));
        let used = amounts(quota.get(&["status", "used"]));
        let resource = self.counted_as();
        let of = |object: Option<&Object>| -> Amounts {
            let object = object.filter(|object| is_in_scope(quota, &resource, object));
            let mut all = object
                .map(|object| usage(&resource, object))
                .unwrap_or_default();
            all.retain(|name, _| hard.contains_key(name));
            all
        };
        let (new, old) = (of(self.new), of(self.old));
        if self.old.is_none() {
            self.check_demands(quota, &hard, &used)?;
        }
        let mut now = used.clone();
        let mut exceeded = Vec::new();
        let names: BTreeSet<&String> = new.keys().chain(old.keys()).collect();
        for name in names {
            let amount = |all: &Amounts| all.get(name).copied().unwrap_or(Quantity::ZERO);
            let (more, before) = (amount(&new), amount(&old));
            if more == before {
                continue;
            }
            let sum = amount(&used).plus(&more).minus(&before);
            let sum = if sum.is_negative() {
                Quantity::ZERO
            } else {
                sum
            };
            if more > before && sum > amount(&hard) {
                exceeded.push((name.as_str(), more.minus(&before)));
            }
            now.insert(name.clone(), sum);
        }
        if !exceeded.is_empty() {
            let told = |amount: &dyn Fn(&str, Quantity) -> Quantity| {
                let parts = exceeded.iter().map(|(name, asked)| {
                    let amount = amount(name, *asked);
                    format!("{name}={amount}")
                });
                parts.collect::<Vec<_>>().join(",")
            };
            let zero = Quantity::ZERO;
            let why = format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                quota.name(),
                told(&|_, asked| asked),
                told(&|name, _| used.get(name).copied().unwrap_or(zero)),
                told(&|name, _| hard.get(name).copied().unwrap_or(zero)),
            );
            return Err(self.refused(&why));
        }
        if now == used {
            return Ok(None);
        }
        let mut charged = quota.clone();
        let entries = now
            .iter()
            .map(|(name, amount)| (name.clone(), amount.to_string().into()));
        let entries: Map<String, Value> = entries.collect();
        charged.set(&["status", "used"], Value::Object(entries));
        Ok(Some(charged))
    }

    /// A quota that limits what this resource uses must know it, and a pod must say it.
    fn check_demands(
        &self,
        quota: &Object,
        hard: &Amounts,
        used: &Amounts,
    ) -> Result<(), ApiError> {
        let resource = self.counted_as();
        let Some(new) = self.new.filter(|new| is_in_scope(quota, &resource, new)) else {
            return Ok(());
        };
        let name = resource.to_string();
        let limited: Vec<&str> = hard
            .keys()
            .map(String::as_str)
            .filter(|limited| counted_by(limited) == name)
            .collect();
        if is_pods(&resource)
            && let Some(why) = missing(limited.iter().copied(), new)
        {
            return Err(self.refused(&format!("failed quota: {}: {why}", quota.name())));
        }
        if limited.iter().any(|name| !used.contains_key(*name)) {
            let why = format!(
                "status unknown for quota: {}, resources: {}",
                quota.name(),
                limited.join(",")
            );
            return Err(self.refused(&why));
        }
        Ok(())
    }

    fn refused(&self, why: &str) -> ApiError {
        let name = self.new.map_or(self.target.name.as_str(), Object::name);
        ApiError::forbidden(&self.target.def.group_resource(), name, why)
    }
}
