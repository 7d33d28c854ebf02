//! The API server: filters, routing, verbs, registry, admission, authentication, authorization,
//! discovery, streams. One door, [`ApiServer::handle`], for callers in this process and over TLS.
//! Must never import another room of layer 4: it reaches nodes and addresses only through the two
//! traits of `stdx` that `serve/` fills in.

mod admission;
mod audit;
mod authentication;
mod authorization;
mod bootstrap;
mod chain;
mod codec;
mod compress;
mod context;
mod definitions;
mod discovery;
mod fairness;
mod guard;
mod health;
mod impersonation;
mod metrics;
mod openapi;
mod quota;
mod registry;
mod request_info;
mod respond;
mod route;
mod server;
mod service_addresses;
mod service_range;
mod streams;
mod subresources;
mod verbs;
mod version;

pub use admission::{Admission, UnknownPlugin};
pub use audit::{Audit, AuditLogConfig, AuditMode};
pub use authentication::{
    AccountTokens, CertificateAuthority, GROUP_AUTHENTICATED, GROUP_MASTERS, GROUP_NODES,
    InProcessIdentity, TokenTable, UserInfo,
};
pub use authorization::{
    Attributes, AuthorizationMode, Authorizer, Decision, Rules, STANDARD_MODES,
};
pub use axum::body::Body;
pub use guard::Guard;
pub use request_info::RequestInfo;
pub use server::{ServeError, TlsFiles, serve};
pub use service_range::ServiceRange;

use crate::resources::Scheme;
use crate::stdx::{Clock, Dialer, Metrics, NodeTransport, Shutdown};
use crate::store::{Store, StoreError};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Limits of the server; the defaults are what `wkube serve` runs with.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `--max-mutating-requests-inflight`: with the next one, the seats that priority levels share.
    pub mutating_in_flight_max: usize,
    /// `--max-requests-inflight`.
    pub reading_in_flight_max: usize,
    /// Bytes of a request's body; more is 413.
    pub body_bytes_max: usize,
    /// Seconds that a request may take which is not a watch or a stream.
    pub request_seconds_max: u64,
    /// Connections at the TLS edge.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            mutating_in_flight_max: 200,
            reading_in_flight_max: 400,
            body_bytes_max: 3 << 20,
            request_seconds_max: 60,
            connections_max: 16_384,
        }
    }
}

/// How clients of the cluster find the server and are known by it.
pub struct Advertised {
    /// Where it listens: what `default/kubernetes` leads to.
    pub address: SocketAddr,
    /// The authority of client certificates, as PEM: what `extension-apiserver-authentication` tells
    /// to servers that know their clients as this one does.
    pub client_ca_pem: String,
}

/// What a server is made of.
pub struct ApiConfig {
    /// Where objects are kept.
    pub store: Arc<dyn Store>,
    /// The rows.
    pub scheme: Arc<Scheme>,
    /// How addresses of the cluster are reached.
    pub dialer: Arc<dyn Dialer>,
    /// How nodes' agents are reached.
    pub nodes: Arc<dyn NodeTransport>,
    /// The clock.
    pub clock: Clock,
    /// Bearer tokens that are known.
    pub tokens: TokenTable,
    /// What signs and checks service accounts' tokens.
    pub accounts: Arc<AccountTokens>,
    /// Who is asked whether a request is allowed, in this order.
    pub authorization: Vec<AuthorizationMode>,
    /// Which admission plugins act.
    pub admission: Admission,
    /// The authority of client certificates, if they are accepted.
    pub client_ca: Option<CertificateAuthority>,
    /// Where Services' addresses come from; `None` is what the store says, or Kubernetes' usual range.
    pub service_range: Option<ServiceRange>,
    /// What of it stands in the cluster; `None` where nobody is to find it.
    pub advertised: Option<Advertised>,
    /// The audit log, if there is one.
    pub audit: Option<Arc<Audit>>,
    /// Tells when to end watches and streams.
    pub shutdown: Shutdown,
    /// Limits.
    pub limits: Limits,
    /// Where the figures of the process are; `/metrics` shows all of them.
    pub metrics: Metrics,
}

/// The server.
pub struct ApiServer {
    registry: registry::Registry,
    authorization: authorization::Authorization,
    admission: Admission,
    metrics: metrics::ApiMetrics,
    fairness: Arc<fairness::Fairness>,
    openapi: openapi::Documents,
    service_addresses: service_addresses::ServiceAddresses,
    dialer: Arc<dyn Dialer>,
    nodes: Arc<dyn NodeTransport>,
    /// What nodes and pods were last seen to use.
    usage: subresources::Usage,
    clock: Clock,
    tokens: TokenTable,
    accounts: Arc<AccountTokens>,
    client_ca: Option<CertificateAuthority>,
    audit: Option<Arc<Audit>>,
    shutdown: Shutdown,
    limits: Limits,
    /// How far its end is.
    ending: AtomicU8,
}

/// It is told that it will end: `/readyz` fails, and all is served as before.
const ENDING: u8 = 1;
/// Requests from outside that come now are refused.
const REFUSING: u8 = 2;

impl ApiServer {
    /// Reads the store and is ready to answer. Makes what every cluster has.
    pub async fn start(config: ApiConfig) -> Result<Arc<Self>, StoreError> {
        let registry = registry::Registry::open(config.store, config.scheme).await?;
        let range = ServiceRange::of_cluster(&registry, config.service_range.as_ref())?;
        bootstrap::objects(&registry, &config.clock, &range).await?;
        let place = service_addresses::Place {
            registry: &registry,
            clock: &config.clock,
            range: &range,
        };
        bootstrap::advertise(place, config.advertised.as_ref()).await?;
        let metrics = metrics::ApiMetrics::new(config.metrics, &registry.cache, &registry.store);
        let fairness = fairness::Fairness::new(
            &registry.cache,
            &registry.scheme(),
            &config.limits,
            &config.clock,
            metrics.all(),
        );
        let server = Arc::new(Self {
            authorization: authorization::of_modes(&config.authorization, &registry.cache),
            admission: config.admission,
            metrics,
            fairness,
            openapi: openapi::Documents::default(),
            service_addresses: service_addresses::ServiceAddresses::new(range),
            registry,
            dialer: config.dialer,
            nodes: config.nodes,
            usage: subresources::Usage::default(),
            clock: config.clock,
            tokens: config.tokens,
            accounts: config.accounts,
            client_ca: config.client_ca,
            audit: config.audit,
            shutdown: config.shutdown,
            limits: config.limits,
            ending: AtomicU8::new(0),
        });
        server.shutdown.spawn_until_stopped(fairness::keep(&server));
        definitions::start(&server);
        Ok(server)
    }

    /// Answers a request: the one door. Who asks stands in the request's extensions
    /// ([`InProcessIdentity`], or the TLS edge's), or in its `Authorization` header.
    pub async fn handle(self: &Arc<Self>, request: http::Request<Body>) -> http::Response<Body> {
        chain::run(self, request).await
    }

    /// Runs what is left of a request after its connection was upgraded, until the server stops.
    pub(crate) fn upgraded(
        &self,
        context: &context::Context,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let life = context.life.clone();
        self.shutdown.spawn_until_stopped(async move {
            task.await;
            drop(life);
        });
    }

    /// Says that the server will end: `/readyz` fails from now on, so that nobody new is sent here.
    pub fn announce_end(&self) {
        self.ending.fetch_max(ENDING, Ordering::Relaxed);
    }

    /// Refuses new requests from outside; those that are being served go on.
    pub fn refuse_new(&self) {
        self.ending.fetch_max(REFUSING, Ordering::Relaxed);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed) >= ENDING || self.shutdown.is_stopped()
    }

    fn is_refusing(&self) -> bool {
        self.ending.load(Ordering::Relaxed) >= REFUSING
    }

    /// Follows the store no longer: the last call, after which the server can be dropped.
    pub fn close(&self) {
        self.registry.cache.close();
    }

    /// Forgets what happened up to `revision`: a watch or a page that needs it gets 410.
    pub async fn compact(&self, revision: u64) -> Result<(), StoreError> {
        self.registry.cache.forget(revision);
        self.registry.store.compact(revision).await
    }

    /// Where the Services' addresses come from.
    pub fn service_range(&self) -> &ServiceRange {
        &self.service_addresses.range
    }

    /// The revision that reads are served at.
    pub fn revision(&self) -> u64 {
        self.registry.cache.revision()
    }
}
