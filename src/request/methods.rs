//! The methods that do not ask for content: OPTIONS, TRACE, and all that static files do not know.

use super::{Refusal, Request, Stop};
use crate::http::framing::Framing;
use crate::http::status::Status;
use crate::log::{Level, Quoted};
use crate::modules::core::Trace;
use crate::response::{Body, Fields, Response};

/// Fields of a request that belong to the user, and that a script which makes a browser send TRACE must not read (RFC
/// 9110 section 9.3.8). Apache sends them back.
const PRIVATE_FIELDS: [&str; 3] = ["Authorization", "Cookie", "Proxy-Authorization"];

/// `OPTIONS *`: the server as a whole. It says that it lives.
pub(super) fn options_of_server(request: &Request<'_>) -> Response {
    request.response(Status::OK, Fields::default(), None, Body::Empty, Some(0))
}

/// `OPTIONS /path`, which need not exist.
pub(super) fn options(request: &Request<'_>) -> Response {
    let mut fields = Fields::default();
    fields.push("Allow", allow(request).as_bytes());
    request.response(Status::OK, fields, None, Body::Empty, Some(0))
}

/// What static content knows.
fn allow(request: &Request<'_>) -> &'static str {
    match request.host().settings.core.trace() {
        Trace::Off => "OPTIONS,HEAD,GET,POST",
        Trace::On | Trace::Extended => "OPTIONS,HEAD,GET,POST,TRACE",
    }
}

/// 405: a method that is known, and not for static files.
pub(super) fn not_allowed(request: &Request<'_>) -> Stop {
    refused_with_allow(request, Status::METHOD_NOT_ALLOWED)
}

/// 501: a method that nobody here has heard of.
pub(super) fn not_implemented(request: &Request<'_>) -> Stop {
    request.log(Level::Error, "core").say(format_args!(
        "AH00135: Invalid method in request {}",
        Quoted(request.head.request_line())
    ));
    refused_with_allow(request, Status::NOT_IMPLEMENTED)
}

fn refused_with_allow(request: &Request<'_>, status: Status) -> Stop {
    Stop::Refused(Refusal::new(status).with("Allow", allow(request).as_bytes()))
}

/// TRACE: the head comes back as it arrived, but for what is private. Bodies are refused, also with `TraceEnable
/// Extended`: nobody reads them here.
pub(super) fn trace(request: &Request<'_>) -> Result<Response, Stop> {
    if request.host().settings.core.trace() == Trace::Off {
        return Err(not_allowed(request));
    }
    if request.head.framing() != Framing::None {
        return Err(Refusal::stop(Status::REQUEST_ENTITY_TOO_LARGE));
    }
    let mut echo = request.head.request_line().to_vec();
    echo.extend_from_slice(b"\r\n");
    for (name, value) in request.head.fields() {
        if PRIVATE_FIELDS.iter().any(|private| name.eq_ignore_ascii_case(private.as_bytes())) {
            continue;
        }
        echo.extend_from_slice(name);
        echo.extend_from_slice(b": ");
        echo.extend_from_slice(value);
        echo.extend_from_slice(b"\r\n");
    }
    echo.extend_from_slice(b"\r\n");
    let length = echo.len() as u64;
    let content_type = Some("message/http".into());
    Ok(request.response(
        Status::OK,
        Fields::default(),
        content_type,
        Body::Memory(echo),
        Some(length),
    ))
}
