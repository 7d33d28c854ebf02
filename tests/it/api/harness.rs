//! A server on a memory store, and a client that is a function call.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a harness is shared by modules that use parts of it"
)]

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Mutex;
use wkube::api::{
    AccountTokens, ApiConfig, ApiServer, Audit, Body, InProcessIdentity, Limits, ServiceRange,
    TokenTable, UserInfo,
};
use wkube::client::{Client, InProcess};
use wkube::controllers::{Controllers, ControllersConfig, Trust};
use wkube::resources::Scheme;
use wkube::stdx::{BoxStream, Clock, Dialer, NodeTransport, Shutdown};
use wkube::store::{MemoryStore, Store, StoreError, StoreOptions};

/// Connects to what a test has put there.
#[derive(Default)]
pub struct TestNet {
    streams: Mutex<Vec<BoxStream>>,
    pub dialed: Mutex<Vec<SocketAddr>>,
}

impl TestNet {
    /// The next connection will be this one.
    pub async fn expect(&self) -> tokio::io::DuplexStream {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        self.streams.lock().await.insert(0, Box::new(theirs));
        ours
    }
}

#[async_trait::async_trait]
impl Dialer for TestNet {
    async fn dial(&self, to: SocketAddr) -> io::Result<BoxStream> {
        self.dialed.lock().await.push(to);
        let next = self.streams.lock().await.pop();
        next.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))
    }
}

#[async_trait::async_trait]
impl NodeTransport for TestNet {
    async fn connect(&self, _node: &str) -> io::Result<BoxStream> {
        let next = self.streams.lock().await.pop();
        next.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn authorization(&self, _node: &str) -> String {
        "Bearer of-the-node".to_owned()
    }
}

pub struct Cluster {
    pub server: Arc<ApiServer>,
    pub net: Arc<TestNet>,
    pub shutdown: Shutdown,
}

pub fn admin() -> UserInfo {
    UserInfo::new("admin", &["system:masters"])
}

/// What an answer was.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub bytes: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("no JSON: {:?}", String::from_utf8_lossy(&self.bytes)))
    }

    /// The body, if the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}",
            String::from_utf8_lossy(&self.bytes)
        );
        self.json()
    }

    #[track_caller]
    pub fn message(self, status: u16) -> String {
        self.expect(status)["message"].as_str().unwrap().to_owned()
    }

    pub fn warnings(&self) -> Vec<String> {
        let all = self.headers.get_all("warning").into_iter();
        all.map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }
}

impl Cluster {
    pub async fn start() -> Self {
        Self::with(Limits::default(), Clock::real()).await
    }

    pub async fn with(limits: Limits, clock: Clock) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(StoreOptions::default()));
        Self::on(store, limits, clock).await
    }

    pub async fn on(store: Arc<dyn Store>, limits: Limits, clock: Clock) -> Self {
        let made = Self::made(store, limits, clock, None, None).await;
        made.unwrap()
    }

    /// A server that keeps an audit log.
    pub async fn audited(audit: Arc<Audit>) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(StoreOptions::default()));
        let made = Self::made(store, Limits::default(), Clock::real(), Some(audit), None).await;
        made.unwrap()
    }

    /// A server whose Services have their addresses from `range`.
    pub async fn of_range(store: Arc<dyn Store>, range: &str) -> Result<Self, StoreError> {
        let range = Some(range.parse().unwrap());
        Self::made(store, Limits::default(), Clock::real(), None, range).await
    }

    async fn made(
        store: Arc<dyn Store>,
        limits: Limits,
        clock: Clock,
        audit: Option<Arc<Audit>>,
        service_range: Option<ServiceRange>,
    ) -> Result<Self, StoreError> {
        let net = Arc::new(TestNet::default());
        let shutdown = Shutdown::new();
        let mut tokens = TokenTable::new();
        tokens.insert("admin-token", admin());
        tokens.insert("nobody-token", UserInfo::new("nobody", &[]));
        let server = ApiServer::start(ApiConfig {
            service_range,
            metrics: Default::default(),
            audit,
            store,
            scheme: Arc::new(Scheme::builtin()),
            dialer: net.clone(),
            nodes: net.clone(),
            clock,
            tokens,
            accounts: Arc::new(AccountTokens::ephemeral("https://test").unwrap()),
            admission: wkube::api::Admission::default(),
            authorization: wkube::api::STANDARD_MODES.to_vec(),
            client_ca: None,
            advertised: None,
            shutdown: shutdown.clone(),
            limits,
        })
        .await?;
        Ok(Self {
            server,
            net,
            shutdown,
        })
    }

    /// Sends a request as it is.
    pub async fn raw(&self, request: Request<Body>) -> Response<Body> {
        self.server.handle(request).await
    }

    /// Sends a request as `user`.
    pub async fn send(
        &self,
        user: Option<UserInfo>,
        method: Method,
        uri: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.into()).unwrap();
        if let Some(user) = user {
            request.extensions_mut().insert(InProcessIdentity(user));
        }
        self.raw(request).await
    }

    pub async fn call(
        &self,
        method: Method,
        uri: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        collect(self.send(Some(admin()), method, uri, headers, body).await).await
    }

    pub async fn get(&self, uri: &str) -> Answer {
        self.call(Method::GET, uri, &[], Body::empty()).await
    }

    pub async fn get_as(&self, uri: &str, accept: &str) -> Answer {
        self.call(Method::GET, uri, &[("accept", accept)], Body::empty())
            .await
    }

    pub async fn post(&self, uri: &str, body: &Value) -> Answer {
        self.call(Method::POST, uri, &[], body.to_string()).await
    }

    pub async fn put(&self, uri: &str, body: &Value) -> Answer {
        self.call(Method::PUT, uri, &[], body.to_string()).await
    }

    pub async fn patch(&self, uri: &str, kind: &str, body: &Value) -> Answer {
        let media = format!("application/{kind}");
        let headers = [("content-type", media.as_str())];
        self.call(Method::PATCH, uri, &headers, body.to_string())
            .await
    }

    pub async fn delete(&self, uri: &str) -> Answer {
        self.call(Method::DELETE, uri, &[], Body::empty()).await
    }

    /// Creates a ConfigMap in `default`.
    pub async fn config_map(&self, name: &str, data: &str) -> Value {
        let body = json!({ "metadata": { "name": name }, "data": { "k": data } });
        self.post("/api/v1/namespaces/default/configmaps", &body)
            .await
            .expect(201)
    }

    /// Creates a pod in `default`.
    pub async fn pod(&self, name: &str, containers: &[&str]) -> Value {
        let containers: Vec<Value> = containers
            .iter()
            .map(|name| json!({ "name": name, "image": "echo" }))
            .collect();
        let body = json!({ "metadata": { "name": name }, "spec": { "containers": containers } });
        self.post("/api/v1/namespaces/default/pods", &body)
            .await
            .expect(201)
    }

    /// A client of this server that is a function call.
    fn client(server: &Arc<ApiServer>, user: UserInfo) -> Client {
        let server = server.clone();
        let transport = InProcess::new(move |request: Request<Bytes>| {
            let (server, user) = (server.clone(), user.clone());
            async move {
                let mut request = request.map(Body::from);
                request.extensions_mut().insert(InProcessIdentity(user));
                let response = server.handle(request).await;
                response.map(|body| {
                    let parts = body.into_data_stream();
                    TryStreamExt::map_err(parts, io::Error::other).boxed()
                })
            }
            .boxed()
        });
        Client::new(Arc::new(transport), "kube-controller-manager")
    }

    /// The controllers of a cluster, as clients of this server.
    pub fn controllers(&self) -> Controllers {
        let server = self.server.clone();
        let manager = UserInfo::new("system:kube-controller-manager", &[]);
        Controllers::start(ControllersConfig {
            client: Self::client(&server, manager),
            account: Arc::new(move |name| {
                Self::client(&server, UserInfo::service_account("kube-system", name))
            }),
            trust: Trust {
                ca_pem: String::new(),
                sign: Box::new(|_, _, _| Err("a test signs none".to_owned())),
            },
            clock: Clock::real(),
            shutdown: self.shutdown.clone(),
            metrics: Default::default(),
        })
    }

    /// Opens a watch.
    pub async fn watch(&self, uri: &str) -> Frames {
        let response = self
            .send(Some(admin()), Method::GET, uri, &[], Body::empty())
            .await;
        assert_eq!(response.status(), 200, "{uri}");
        Frames {
            body: response.into_body(),
            buffer: Vec::new(),
        }
    }
}

pub async fn collect(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        bytes: body.collect().await.unwrap().to_bytes(),
    }
}

/// The frames of a watch.
pub struct Frames {
    body: Body,
    buffer: Vec<u8>,
}

impl Frames {
    /// The next frame; `None` at the end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.unwrap();
            self.buffer.extend_from_slice(&frame.into_data().unwrap());
        }
    }

    /// The next frame as `TYPE name`.
    pub async fn brief(&mut self) -> String {
        let frame = self.next().await.expect("the watch has ended");
        format!(
            "{} {}",
            frame["type"].as_str().unwrap(),
            frame["object"]["metadata"]["name"].as_str().unwrap_or("-")
        )
    }
}
