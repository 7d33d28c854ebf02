//! The components of this process as clients of its API server: each under its own user, through
//! the same chain of filters as anyone, and counted.

use crate::api::{ApiServer, Body, InProcessIdentity, UserInfo};
use crate::client::{Client, InProcess};
use crate::stdx::Metrics;
use futures::{FutureExt, StreamExt, TryStreamExt};
use http::Request;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::io;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Requests of all components of this process that are under way; one more waits. Fewer than wait in
/// the queues of one flow, so that a thousand pods that start at once are slowed down and not refused.
const REQUESTS_MAX: usize = 256;
/// What stands for the server's address where none is needed.
const HOST: &str = "in-process";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    code: u16,
    host: &'static str,
    method: String,
}

/// Makes clients of one API server.
#[derive(Clone)]
pub(crate) struct Clients {
    api: Arc<ApiServer>,
    requests: Family<RequestLabels, Counter>,
    turns: Arc<Semaphore>,
}

impl Clients {
    pub(crate) fn new(api: &Arc<ApiServer>, metrics: &Metrics) -> Self {
        Self {
            api: api.clone(),
            turns: Arc::new(Semaphore::new(REQUESTS_MAX)),
            requests: metrics.register(
                "rest_client_requests",
                "Number of HTTP requests, partitioned by status code, method, and host",
                Family::default(),
            ),
        }
    }

    /// A client that acts as a controller's service account.
    pub(crate) fn controller(&self, account: &str, manager: &str) -> Client {
        self.client(UserInfo::service_account("kube-system", account), manager)
    }

    /// A client that acts as `user`; `manager` owns what it writes.
    pub(crate) fn client(&self, user: UserInfo, manager: &str) -> Client {
        let own = self.clone();
        let transport = InProcess::new(move |request: Request<bytes::Bytes>| {
            let (own, user) = (own.clone(), user.clone());
            async move {
                let method = request.method().as_str().to_owned();
                let mut request = request.map(Body::from);
                request.extensions_mut().insert(InProcessIdentity(user));
                // A watch gives its turn back when it has begun.
                let turn = own.turns.acquire().await;
                let response = own.api.handle(request).await;
                drop(turn);
                let labels = RequestLabels {
                    code: response.status().as_u16(),
                    host: HOST,
                    method,
                };
                own.requests.get_or_create(&labels).inc();
                response.map(|body| body.into_data_stream().map_err(io::Error::other).boxed())
            }
            .boxed()
        });
        Client::new(Arc::new(transport), manager)
    }
}
