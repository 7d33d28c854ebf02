//! A client whose writes fail at random: some are refused before they are done, of some the answer is
//! lost after they were. Everything takes a random moment, so that the order of things differs.

use futures::FutureExt;
use http::Method;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wkube::api::{ApiServer, Body, InProcessIdentity, UserInfo};
use wkube::client::{Client, InProcess, ResponseBody};
use wkube::stdx::Clock;

/// The longest that a request is on its way.
const DELAY_MAX: Duration = Duration::from_millis(40);

/// What goes wrong, and how often.
pub(super) struct Faults {
    rng: Mutex<StdRng>,
    /// Writes in a thousand that are refused.
    refused: u32,
    /// Writes in a thousand that are done, and said to have failed.
    lost: u32,
    on: AtomicBool,
    /// Pods that were made although their maker was told otherwise.
    pub(super) unknown_pods: AtomicU64,
}

/// What becomes of a request.
enum Fate {
    Done,
    Refused,
    Lost,
}

impl Faults {
    pub(super) fn new(seed: u64, refused: u32, lost: u32) -> Arc<Self> {
        Arc::new(Self {
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            refused,
            lost,
            on: AtomicBool::new(true),
            unknown_pods: AtomicU64::new(0),
        })
    }

    /// From now on nothing goes wrong.
    pub(super) fn end(&self) {
        self.on.store(false, Ordering::Relaxed);
    }

    fn fate(&self, write: bool) -> (Duration, Fate) {
        let mut rng = self.rng.lock().unwrap();
        let delay = rng.random_range(Duration::ZERO..DELAY_MAX);
        let number = rng.random_range(0..1_000);
        let fate = match number {
            _ if !write || !self.on.load(Ordering::Relaxed) => Fate::Done,
            number if number < self.refused => Fate::Refused,
            number if number < self.refused + self.lost => Fate::Lost,
            _ => Fate::Done,
        };
        (delay, fate)
    }

    /// A client of `user` to whom this happens.
    pub(super) fn client(
        self: &Arc<Self>,
        server: &Arc<ApiServer>,
        clock: &Clock,
        user: &UserInfo,
        manager: &str,
    ) -> Client {
        let (faults, server, clock, user) =
            (self.clone(), server.clone(), clock.clone(), user.clone());
        let transport = InProcess::new(move |request: http::Request<bytes::Bytes>| {
            let (faults, server, clock, user) =
                (faults.clone(), server.clone(), clock.clone(), user.clone());
            async move {
                let write = request.method() != Method::GET;
                let makes_pod =
                    request.method() == Method::POST && request.uri().path().ends_with("/pods");
                let (delay, fate) = faults.fate(write);
                clock.sleep(delay).await;
                if matches!(fate, Fate::Refused) {
                    return failed();
                }
                let mut request = request.map(Body::from);
                request.extensions_mut().insert(InProcessIdentity(user));
                let response = server.handle(request).await;
                if matches!(fate, Fate::Lost) {
                    if makes_pod && response.status().is_success() {
                        faults.unknown_pods.fetch_add(1, Ordering::Relaxed);
                    }
                    return failed();
                }
                response.map(whole)
            }
            .boxed()
        });
        Client::new(Arc::new(transport), manager)
    }
}

fn whole(body: Body) -> ResponseBody {
    use futures::StreamExt;
    let parts = http_body_util::BodyExt::into_data_stream(body);
    parts.map(|part| part.map_err(io::Error::other)).boxed()
}

fn failed() -> http::Response<ResponseBody> {
    let status = serde_json::json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "InternalError",
        "code": 500, "message": "a simulated failure",
    });
    let response = http::Response::builder()
        .status(500)
        .header("content-type", "application/json");
    response
        .body(whole(Body::from(bytes::Bytes::from(status.to_string()))))
        .unwrap()
}
