//! A `wasi:http` handler that greets whoever asks. It opens no socket: the host calls it once a
//! request, and holds no instance of it while there is none.

use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

/// What every request gets.
const GREETING: &[u8] = b"Hello Docker!!";

struct Hello;

wasip2::http::proxy::export!(Hello);

impl wasip2::exports::http::incoming_handler::Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let headers = Fields::new();
        let wants_body = !matches!(request.method(), Method::Head);
        // Names and values are well formed, so that these calls cannot fail.
        let _ = headers.append("content-type", b"text/plain; charset=utf-8");
        if wants_body {
            // The host holds a handler to the length it announces: not for HEAD.
            let _ = headers.append("content-length", GREETING.len().to_string().as_bytes());
        }
        let response = OutgoingResponse::new(headers);
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(out, Ok(response));
        if wants_body {
            let Ok(stream) = body.write() else { return };
            // A client that has left is no failure of this handler.
            let _ = stream.blocking_write_and_flush(GREETING);
        }
        let _ = OutgoingBody::finish(body, None);
    }
}
