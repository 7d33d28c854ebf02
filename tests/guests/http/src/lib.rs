//! A `wasi:http` handler: the path says what it does. `/` answers, `/count` counts the requests of
//! its instance, `/echo` returns the body, `/trap` traps, `/spin` never answers, `/get?URL` asks
//! another server, `/get-soon?URL` waits only 100 ms for each step of it, `/env` prints the
//! environment.

use std::sync::atomic::{AtomicU32, Ordering};
use wasip2::http::types::*;
use wasip2::io::streams::StreamError;

struct Handler;
wasip2::http::proxy::export!(Handler);

static REQUESTS: AtomicU32 = AtomicU32::new(0);

impl wasip2::exports::http::incoming_handler::Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let count = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let body = match path {
            "/count" => count.to_string().into_bytes(),
            "/echo" => read(request.consume().unwrap()),
            "/trap" => core::arch::wasm32::unreachable(),
            "/spin" => loop {
                std::hint::black_box(count);
            },
            "/get" => get(query, None),
            "/get-soon" => get(query, Some(soon())),
            "/env" => format!("{:?}", wasip2::cli::environment::get_environment()).into_bytes(),
            "/authority" => request.authority().unwrap_or_default().into_bytes(),
            "/allocate" => {
                let mut kept: Vec<Vec<u8>> = Vec::new();
                loop {
                    kept.push(vec![1; 1 << 20]);
                }
            }
            _ => b"hello\n".to_vec(),
        };
        answer(out, 200, &body);
    }
}

fn answer(out: ResponseOutparam, status: u16, bytes: &[u8]) {
    let fields = Fields::new();
    let _ = fields.set("content-length", &[bytes.len().to_string().into_bytes()]);
    let response = OutgoingResponse::new(fields);
    response.set_status_code(status).unwrap();
    let body = response.body().unwrap();
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().unwrap();
    for chunk in bytes.chunks(4096) {
        if stream.blocking_write_and_flush(chunk).is_err() {
            return;
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn read(body: IncomingBody) -> Vec<u8> {
    let stream = body.stream().unwrap();
    let mut all = Vec::new();
    loop {
        match stream.blocking_read(65536) {
            Ok(bytes) => all.extend(bytes),
            Err(StreamError::Closed) => return all,
            Err(error) => return format!("{error:?}").into_bytes(),
        }
    }
}

/// 100 ms for each step of a request.
fn soon() -> RequestOptions {
    let options = RequestOptions::new();
    options.set_connect_timeout(Some(100_000_000)).unwrap();
    options.set_first_byte_timeout(Some(100_000_000)).unwrap();
    options.set_between_bytes_timeout(Some(100_000_000)).unwrap();
    options
}

fn get(url: &str, options: Option<RequestOptions>) -> Vec<u8> {
    let (scheme, rest) = match url.strip_prefix("https://") {
        Some(rest) => (Scheme::Https, rest),
        None => (Scheme::Http, url.strip_prefix("http://").unwrap_or(url)),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&scheme)).unwrap();
    request.set_authority(Some(authority)).unwrap();
    request.set_path_with_query(Some(&format!("/{path}"))).unwrap();
    let pending = match wasip2::http::outgoing_handler::handle(request, options) {
        Ok(pending) => pending,
        Err(error) => return format!("{error:?}").into_bytes(),
    };
    pending.subscribe().block();
    match pending.get() {
        Some(Ok(Ok(response))) => read(response.consume().unwrap()),
        other => format!("{other:?}").into_bytes(),
    }
}
