//! The components of this process as clients of its API server: each under its own user, through
//! the same chain of filters as anyone.

use crate::api::{ApiServer, Body, InProcessIdentity, UserInfo};
use crate::client::{Client, InProcess};
use futures::{FutureExt, StreamExt, TryStreamExt};
use http::Request;
use std::io;
use std::sync::Arc;

/// A client that acts as `user`; `manager` owns what it writes.
pub(crate) fn client(api: &Arc<ApiServer>, user: UserInfo, manager: &str) -> Client {
    let api = api.clone();
    let transport = InProcess::new(move |request: Request<bytes::Bytes>| {
        let (api, user) = (api.clone(), user.clone());
        async move {
            let mut request = request.map(Body::from);
            request.extensions_mut().insert(InProcessIdentity(user));
            let response = api.handle(request).await;
            response.map(|body| body.into_data_stream().map_err(io::Error::other).boxed())
        }
        .boxed()
    });
    Client::new(Arc::new(transport), manager)
}
