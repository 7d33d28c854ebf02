//! `wasi:http` 0.2 and 0.3, outgoing: requests leave through the pod's network and its resolver,
//! never through the host's sockets. What comes in is `http_server`'s.

mod errors;
mod exchange;
mod tls;

use super::HostFeature;
use crate::wasm_runtime::course::Course;
use crate::wasm_runtime::meter::{Meter, Metered};
use crate::wasm_runtime::net_use::NetUse;
use crate::wasm_runtime::state::State;
use http::uri::Scheme;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{OnceCell, Semaphore};
use wasmtime::component::Linker;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use tls::TlsClient;
pub use tls::Trust;

/// TLS connections that one container may have open at once: what they hold (some 50 KiB each) is
/// not charged to its memory.
const TLS_CONNECTIONS_MAX: usize = 256;

pub(super) const FEATURE: HostFeature = HostFeature {
    name: "wasi:http",
    link,
};

fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Io), Error>;

/// Sends a container's requests through its pod. Clones are the same container's.
#[derive(Clone)]
pub(in crate::wasm_runtime) struct OutgoingHttp(Arc<Outgoing>);

struct Outgoing {
    net: Arc<NetUse>,
    meter: Arc<Meter>,
    trust: Trust,
    tls: OnceCell<TlsClient>,
    tls_places: Arc<Semaphore>,
}

impl OutgoingHttp {
    pub(in crate::wasm_runtime) fn new(net: Arc<NetUse>, meter: Arc<Meter>, trust: Trust) -> Self {
        Self(Arc::new(Outgoing {
            net,
            meter,
            trust,
            tls: OnceCell::new(),
            tls_places: Arc::new(Semaphore::new(TLS_CONNECTIONS_MAX)),
        }))
    }
}

impl Outgoing {
    /// Work of the host's that is done for the guest alone counts as the guest's processor time.
    fn metered<F: Future>(&self, work: F) -> Metered<F> {
        Metered::new(work, self.meter.clone(), Arc::new(Course::default()))
    }

    async fn tls(&self) -> Result<&TlsClient, Error> {
        self.tls.get_or_try_init(|| self.trust.client()).await
    }
}

impl WasiHttpHooks for OutgoingHttp {
    fn is_supported_scheme(&mut self, scheme: &Scheme) -> bool {
        *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS
    }

    /// In a cluster a bare authority means plain HTTP; the stock default is HTTPS.
    fn default_scheme(&mut self) -> Option<Scheme> {
        Some(Scheme::HTTP)
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_done: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let outgoing = self.0.clone();
        let options = options.unwrap_or_default();
        Box::new(async move { exchange::send(&outgoing, request, options).await })
    }
}
