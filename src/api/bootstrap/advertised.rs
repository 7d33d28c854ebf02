//! What of the server stands in the cluster: `default/kubernetes`, by which pods find it, and
//! `kube-system/extension-apiserver-authentication`, by which other servers know their clients as
//! it does. Kept as it is now at each start. Must not take away what others have added.
//! Kubernetes: `pkg/controlplane/controller/{kubernetesservice,clusterauthenticationtrust}`,
//! `pkg/controlplane/reconcilers`.

use crate::api::Advertised;
use crate::api::registry::{Registry, WriteError};
use crate::api::service_addresses::{self, Place};
use crate::api::service_range::ServiceRange;
use crate::api::verbs::rules;
use crate::meta::Object;
use crate::stdx::Clock;
use crate::store::StoreError;
use serde_json::{Value, json};

const NAME: &str = "kubernetes";
const PORT_NAME: &str = "https";

/// An object, and what of it follows the server; the rest is whoever's who writes it.
type Wanted = (Value, &'static [&'static [&'static str]]);

/// Writes what is missing or not so any more, and then sees that Services have their addresses.
pub(crate) async fn advertise(
    place: Place<'_>,
    advertised: Option<&Advertised>,
) -> Result<(), StoreError> {
    let (registry, clock) = (place.registry, place.clock);
    let wanted = advertised.map(|advertised| objects(advertised, place.range));
    for (wanted, follows) in wanted.into_iter().flatten() {
        let wanted = Object::from_value(wanted).unwrap_or_default();
        let written = write(registry, clock, wanted, follows).await;
        if let Err(WriteError::Api(error)) = written {
            return Err(StoreError::Data(error.message));
        }
    }
    let repaired = service_addresses::repair(place).await;
    repaired.map_err(|error| StoreError::Data(error.message))
}

fn objects(advertised: &Advertised, range: &ServiceRange) -> Vec<Wanted> {
    let port = advertised.address.port();
    let ip = advertised.address.ip();
    let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "namespace": "default", "name": NAME,
            "labels": { "component": "apiserver", "provider": NAME } },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": range.api_server(),
            "ports": [{ "name": PORT_NAME, "port": 443, "protocol": "TCP", "targetPort": port }],
        },
    });
    let endpoints = json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": { "namespace": "default", "name": NAME,
            "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" } },
        "subsets": [{
            "addresses": [{ "ip": ip }],
            "ports": [{ "name": PORT_NAME, "port": port, "protocol": "TCP" }],
        }],
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": { "namespace": "default", "name": NAME,
            "labels": { "kubernetes.io/service-name": NAME } },
        "addressType": family,
        "endpoints": [{ "addresses": [ip], "conditions": { "ready": true } }],
        "ports": [{ "name": PORT_NAME, "port": port, "protocol": "TCP" }],
    });
    let trust = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "namespace": "kube-system", "name": "extension-apiserver-authentication" },
        "data": { "client-ca-file": advertised.client_ca_pem },
    });
    vec![
        (service, &[&["spec", "ports"]]),
        (endpoints, &[&["subsets"]]),
        (slice, &[&["endpoints"], &["ports"]]),
        (trust, &[&["data", "client-ca-file"]]),
    ]
}

async fn write(
    registry: &Registry,
    clock: &Clock,
    mut wanted: Object,
    follows: &[&[&str]],
) -> Result<(), WriteError> {
    let scheme = registry.scheme();
    let Some(def) = scheme.by_api_version(wanted.api_version(), wanted.kind()) else {
        return Ok(());
    };
    def.strategy.default(&mut wanted);
    let Some((found, revision)) = registry.find(def, wanted.namespace(), wanted.name())? else {
        rules::begin_create(def, &mut wanted, clock);
        return registry.insert(def, &wanted).await.map(|_| ());
    };
    let mut now = found.clone();
    for path in follows {
        if let Some(value) = wanted.get(path) {
            now.set(path, value.clone());
        }
    }
    if now == found {
        return Ok(());
    }
    registry.replace(def, &now, revision).await.map(|_| ())
}
