//! # http: what HTTP/1.1 says, as pure functions
//!
//! ```text
//! bytes in ──▶ head ──▶ Head ─┬─▶ framing ──▶ body       which bytes belong to this request
//!              (field,        ├─▶ conditional, etag      304 and 412
//!               method)       ├─▶ range                  which bytes of the file
//!                             └─▶ keepalive              does the connection live on
//!                                     │
//! bytes out ◀── response ◀── error_page, multipart ◀── escape, date, status
//! ```
//!
//! - Nothing here opens, reads, sends or asks for the time: bytes and seconds are passed in,
//!   answers come back.
//! - Requests are parsed into views of the caller's buffer; no usual request allocates.
//! - RFC 9110 and RFC 9112 win where Apache differs from them; everywhere else Apache's behaviour
//!   is the model.

pub mod body;
pub mod coding;
pub mod conditional;
pub mod date;
pub mod error_page;
pub mod escape;
pub mod etag;
pub mod fault;
pub mod field;
pub mod framing;
pub mod head;
pub mod keepalive;
pub mod method;
pub mod multipart;
pub mod proxy_protocol;
pub mod range;
pub mod response;
pub mod status;
pub mod target;
