//! Gives Services their addresses and ports before they are written, and takes them back. An
//! address that is in use is an IPAddress object, so no two Services get the same; ports are
//! those that no stored Service has and no write under way is to have. Must not know what of it a
//! Service needs.
//! Kubernetes: `pkg/registry/core/service/ipallocator`, `portallocator` and their `controller`s.

use crate::api::ApiServer;
use crate::api::registry::{Cached, Filter, Registry, WriteError, matching, served};
use crate::api::service_range::{DEFAULT_CIDR, ServiceRange};
use crate::api::verbs::{Target, rules};
use crate::meta::{ApiError, FieldError, Object};
use crate::resources::core::service::allocation::{
    Failure, Refusal, addresses, family_errors, give_node_ports, needs_address, needs_node_ports,
    node_ports, set_address,
};
use crate::resources::{DefRef, Part};
use crate::stdx::Clock;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

/// Times that another address is tried.
const ADDRESS_TRIES: usize = 1_000;

/// The services' ports on the nodes. Kubernetes: `--service-node-port-range`.
const NODE_PORTS: RangeInclusive<i64> = 30_000..=32_767;
/// Likewise for the first ports.
const NODE_PORTS_LEFT: i64 = 86;

/// Kubernetes' name for who made an IPAddress.
const MANAGER: &str = "ipallocator.k8s.io";
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";

/// What there is to give.
pub(crate) struct ServiceAddresses {
    /// Where addresses come from.
    pub(crate) range: ServiceRange,
    /// The ports of writes that are under way.
    ports: Mutex<BTreeSet<i64>>,
}

impl ServiceAddresses {
    pub(crate) fn new(range: ServiceRange) -> Self {
        Self {
            range,
            ports: Mutex::default(),
        }
    }

    fn place<'a>(&'a self, server: &'a ApiServer) -> Place<'a> {
        Place {
            registry: &server.registry,
            clock: &server.clock,
            range: &self.range,
        }
    }
}

/// Where addresses are taken.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) clock: &'a Clock,
    pub(crate) range: &'a ServiceRange,
}

/// What a write has been given. Its ports are everyone's again when it is dropped; by then they
/// stand in the stored Service.
#[must_use]
pub(crate) struct Given<'a> {
    server: &'a ApiServer,
    addresses: Vec<String>,
    ports: Vec<i64>,
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        let mut under_way = self.server.service_addresses.ports.lock();
        for port in &self.ports {
            under_way.remove(port);
        }
    }
}

impl Given<'_> {
    /// The write has not come to be.
    pub(crate) async fn undo(self) {
        for ip in &self.addresses {
            remove(&self.server.registry, ip, None).await;
        }
    }
}

/// Gives a Service what it needs and has not; `None` if the object is none.
pub(crate) async fn give<'a>(
    server: &'a ApiServer,
    target: &Target,
    part: Part,
    new: &mut Object,
    old: Option<&Object>,
    dry_run: bool,
) -> Result<Option<Given<'a>>, ApiError> {
    if !is_services(&target.def) || part != Part::Main {
        return Ok(None);
    }
    let invalid =
        |name: &str, errors: &[FieldError]| ApiError::invalid("", "Service", name, errors);
    let errors = family_errors(new);
    if !errors.is_empty() && old.is_none_or(|old| family_errors(old).is_empty()) {
        return Err(invalid(new.name(), &errors));
    }
    let mut given = Given {
        server,
        addresses: Vec::new(),
        ports: Vec::new(),
    };
    give_ports(server, &mut given, new, old).map_err(|failure| match failure {
        Failure::Invalid(error) => invalid(new.name(), &[error]),
        Failure::Full(what) => ApiError::internal(format!("{what}: range is full")),
    })?;
    let place = server.service_addresses.place(server);
    let has: Vec<&str> = old.into_iter().flat_map(addresses).collect();
    if needs_address(new) {
        let ip = any_address(place, new, dry_run).await?;
        set_address(new, &ip);
        given.addresses.push(ip);
    } else {
        let asked: Vec<String> = addresses(new)
            .filter(|ip| !has.contains(ip))
            .map(str::to_owned)
            .collect();
        for ip in asked {
            let took = this_address(place, new, &ip, dry_run).await;
            if let Err(refused) = took {
                given.undo().await;
                return Err(match refused {
                    Refused::Api(error) => error,
                    Refused::Asked(why) => {
                        let detail = format!("failed to allocate IP {ip}: {why}");
                        let error = FieldError::invalid("spec.clusterIPs", json!([ip]), detail);
                        invalid(new.name(), &[error])
                    }
                });
            }
            given.addresses.push(ip);
        }
    }
    if dry_run {
        given.addresses.clear();
    }
    Ok(Some(given))
}

/// Takes back what the Service had and has no more.
pub(crate) async fn take_back(
    server: &ApiServer,
    def: &DefRef,
    old: &Object,
    new: Option<&Object>,
) {
    if !is_services(def) {
        return;
    }
    let keeps: Vec<&str> = new.into_iter().flat_map(addresses).collect();
    for ip in addresses(old).filter(|ip| !keeps.contains(ip)) {
        remove(&server.registry, ip, Some(old)).await;
    }
}

fn is_services(def: &DefRef) -> bool {
    def.group.is_empty() && def.plural == "services"
}

fn give_ports(
    server: &ApiServer,
    given: &mut Given<'_>,
    new: &mut Object,
    old: Option<&Object>,
) -> Result<(), Failure> {
    if !needs_node_ports(new) {
        return Ok(());
    }
    let own = old.map(node_ports).unwrap_or_default();
    let mut under_way = server.service_addresses.ports.lock();
    let mut taken = stored_ports(&server.registry);
    taken.extend(under_way.iter());
    give_node_ports(new, &own, &mut |asked| {
        let port = match asked {
            Some(port) if !NODE_PORTS.contains(&port) => {
                let (first, last) = (NODE_PORTS.start(), NODE_PORTS.end());
                return Err(Refusal::Wrong(format!(
                    "provided port is not in the valid range. The range of valid ports is \
                     {first}-{last}"
                )));
            }
            Some(port) if taken.contains(&port) => {
                let why = "provided port is already allocated";
                return Err(Refusal::Wrong(why.to_owned()));
            }
            Some(port) => port,
            None => any_port(&taken).ok_or(Refusal::Full)?,
        };
        taken.insert(port);
        under_way.insert(port);
        given.ports.push(port);
        Ok(port)
    })
}

fn stored_ports(registry: &Registry) -> BTreeSet<i64> {
    let services = all(registry, "", "services");
    services.iter().flat_map(node_ports).collect()
}

/// A free port at random, the first ones last.
fn any_port(taken: &BTreeSet<i64>) -> Option<i64> {
    let middle = NODE_PORTS.start() + NODE_PORTS_LEFT;
    for range in [middle..=*NODE_PORTS.end(), *NODE_PORTS.start()..=middle] {
        let free: Vec<i64> = range.filter(|port| !taken.contains(port)).collect();
        if let Some(index) = usize::try_from(rand::random::<u32>()).ok()
            && !free.is_empty()
        {
            return free.get(index % free.len()).copied();
        }
    }
    None
}

/// All objects of a resource.
fn all(registry: &Registry, group: &str, resource: &str) -> Vec<Object> {
    let scheme = registry.scheme();
    let Some(def) = scheme.resource(group, "v1", resource) else {
        return Vec::new();
    };
    let Ok(kind) = registry.kind(def) else {
        return Vec::new();
    };
    let snapshot = registry.cache.snapshot(&kind);
    matching(&snapshot.objects, &Filter::default())
        .filter_map(|(_, cached)| served(def, cached).ok())
        .collect()
}

fn address_def(registry: &Registry) -> Result<DefRef, ApiError> {
    let scheme = registry.scheme();
    let def = scheme.resource("networking.k8s.io", "v1", "ipaddresses");
    def.cloned()
        .ok_or_else(|| ApiError::internal("ipaddresses are not served"))
}

/// Takes an address at random, the first ones last.
async fn any_address(
    place: Place<'_>,
    service: &Object,
    dry_run: bool,
) -> Result<String, ApiError> {
    let (first, last) = place.range.addresses().into_inner();
    let middle = first + place.range.left();
    for number in 0..ADDRESS_TRIES {
        let from = if number < ADDRESS_TRIES / 2 {
            middle
        } else {
            first
        };
        let ip = Ipv4Addr::from_bits(from + rand::random::<u32>() % (last - from + 1)).to_string();
        match take(place, service, &ip, dry_run).await {
            Ok(_) => return Ok(ip),
            Err(WriteError::Changed) => {}
            Err(WriteError::Api(error)) => return Err(error),
        }
    }
    let why = "failed to allocate a serviceIP: range is full";
    Err(ApiError::internal(why))
}

/// Why an address that is asked for is not given.
enum Refused {
    /// It cannot be had.
    Asked(String),
    /// Anything else.
    Api(ApiError),
}

/// Takes the address that a Service asks for.
async fn this_address(
    place: Place<'_>,
    service: &Object,
    ip: &str,
    dry_run: bool,
) -> Result<(), Refused> {
    let number = ip.parse::<Ipv4Addr>().map(Ipv4Addr::to_bits);
    if !number.is_ok_and(|number| place.range.addresses().contains(&number)) {
        return Err(Refused::Asked(format!(
            "the provided IP ({ip}) is not in the valid range. The range of valid IPs is \
             {}",
            place.range
        )));
    }
    match take(place, service, ip, dry_run).await {
        Ok(_) => Ok(()),
        Err(WriteError::Changed) => {
            let why = "provided IP is already allocated";
            Err(Refused::Asked(why.to_owned()))
        }
        Err(WriteError::Api(error)) => Err(Refused::Api(error)),
    }
}

/// Takes an address if it is free.
async fn take(
    place: Place<'_>,
    service: &Object,
    ip: &str,
    dry_run: bool,
) -> Result<Option<Cached>, WriteError> {
    let registry = place.registry;
    let def = address_def(registry)?;
    if registry.find_cached(&def, "", ip)?.is_some() {
        return Err(WriteError::Changed);
    }
    if dry_run {
        return Ok(None);
    }
    let object = Object::from_value(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": { "name": ip, "labels": {
            "ipaddress.kubernetes.io/ip-family": "IPv4",
            MANAGED_BY: MANAGER,
        }},
        "spec": { "parentRef": {
            "group": "",
            "resource": "services",
            "namespace": service.namespace(),
            "name": service.name(),
        }},
    }));
    let mut object = object.unwrap_or_default();
    rules::begin_create(&def, &mut object, place.clock);
    registry.insert(&def, &object).await.map(Some)
}

/// Gives an address back, if it is this Service's.
async fn remove(registry: &Registry, ip: &str, of: Option<&Object>) {
    let Ok(def) = address_def(registry) else {
        return;
    };
    let Ok(Some((object, revision))) = registry.find(&def, "", ip) else {
        return;
    };
    let parent = |field: &str| object.str_at(&["spec", "parentRef", field]);
    let is_its = |service: &Object| {
        parent("resource") == "services"
            && parent("namespace") == service.namespace()
            && parent("name") == service.name()
    };
    if of.is_none_or(is_its)
        && let Err(error) = registry.remove(&def, &object, revision).await
    {
        // It is found at the next start.
        tracing::warn!(address = ip, ?error, "an address was not given back");
    }
}

/// Makes addresses and Services agree, as they may not after an end in the middle of a write: what a
/// Service has is taken, what nobody has is free, and who has none and needs one gets one.
pub(crate) async fn repair(place: Place<'_>) -> Result<(), ApiError> {
    let registry = place.registry;
    let services = all(registry, "", "services");
    let used: BTreeSet<&str> = services.iter().flat_map(addresses).collect();
    for address in all(registry, "networking.k8s.io", "ipaddresses") {
        if address.label(MANAGED_BY) == Some(MANAGER) && !used.contains(address.name()) {
            remove(registry, address.name(), None).await;
        }
    }
    let scheme = registry.scheme();
    let Some(def) = scheme.resource("", "v1", "services") else {
        return Ok(());
    };
    for service in &services {
        for ip in addresses(service) {
            match take(place, service, ip, false).await {
                Ok(_) | Err(WriteError::Changed) => {}
                Err(WriteError::Api(error)) => return Err(error),
            }
        }
        if needs_address(service) {
            let mut with = service.clone();
            let ip = any_address(place, service, false).await?;
            set_address(&mut with, &ip);
            let revision = service.resource_version().parse().unwrap_or(0);
            if let Err(WriteError::Api(error)) = registry.replace(def, &with, revision).await {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// The object that tells where the addresses come from.
pub(crate) fn service_cidr(range: &ServiceRange, now: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": { "name": DEFAULT_CIDR },
        "spec": { "cidrs": [range.to_string()] },
        "status": { "conditions": [{
            "type": "Ready",
            "status": "True",
            "reason": "",
            "message": "Kubernetes default Service CIDR is ready",
            "lastTransitionTime": now,
        }]},
    })
}
