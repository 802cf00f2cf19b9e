//! # fault: what can be wrong with a request as it arrives
//!
//! - Each fault is the client's: it has a 4xx or 5xx status, and one sentence for the page and the
//!   log.
//! - After any of them the stream cannot be trusted: answer once and close the connection.

use crate::http::status::Status;

/// Why a request was refused before anything looked at what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`explanation` says what each one means")]
pub enum Fault {
    TooManyEmptyLines,
    NotHttp,
    MethodTooLong,
    RequestLineTooLong,
    RequestLineMalformed,
    TargetMalformed,
    TargetControl,
    VersionMissing,
    VersionMalformed,
    VersionUnsupported,
    BareLineFeed,
    FieldTooLong,
    TooManyFields,
    HeadTooLong,
    FieldFolded,
    FieldNameMalformed,
    FieldValueMalformed,
    FieldContradicts,
    HostMissing,
    HostRepeated,
    HostMalformed,
    ContentLengthMalformed,
    ContentLengthRepeated,
    TransferEncodingMalformed,
    TransferEncodingUnknown,
    TransferEncodingTooOld,
    TwoLengths,
    ChunkMalformed,
    BodyCut,
}

impl Fault {
    /// The status of the answer.
    pub const fn status(self) -> Status {
        match self {
            Fault::RequestLineTooLong => Status::REQUEST_URI_TOO_LONG,
            Fault::HeadTooLong => Status::HEADER_FIELDS_TOO_LARGE,
            Fault::MethodTooLong | Fault::TransferEncodingUnknown => Status::NOT_IMPLEMENTED,
            Fault::VersionUnsupported => Status::VERSION_NOT_SUPPORTED,
            Fault::TooManyEmptyLines
            | Fault::NotHttp
            | Fault::RequestLineMalformed
            | Fault::TargetMalformed
            | Fault::TargetControl
            | Fault::VersionMissing
            | Fault::VersionMalformed
            | Fault::BareLineFeed
            | Fault::FieldTooLong
            | Fault::TooManyFields
            | Fault::FieldFolded
            | Fault::FieldNameMalformed
            | Fault::FieldValueMalformed
            | Fault::FieldContradicts
            | Fault::HostMissing
            | Fault::HostRepeated
            | Fault::HostMalformed
            | Fault::ContentLengthMalformed
            | Fault::ContentLengthRepeated
            | Fault::TransferEncodingMalformed
            | Fault::TransferEncodingTooOld
            | Fault::TwoLengths
            | Fault::ChunkMalformed
            | Fault::BodyCut => Status::BAD_REQUEST,
        }
    }

    /// One sentence for the error page and the error log. Plain ASCII without markup.
    pub const fn explanation(self) -> &'static str {
        match self {
            Fault::TooManyEmptyLines => "Too many empty lines stand before the request.",
            Fault::NotHttp => "This port speaks plain HTTP, and the request does not begin as one.",
            Fault::MethodTooLong => "The method is longer than any that this server knows.",
            Fault::RequestLineTooLong => "The request line is longer than this server allows.",
            Fault::RequestLineMalformed => {
                "The request line is not a method, a target and a version with one space between."
            }
            Fault::TargetMalformed => {
                "The request target is malformed or does not suit the method."
            }
            Fault::TargetControl => "The request target contains an encoded NUL, CR or LF.",
            Fault::VersionMissing => "The request line names no protocol version.",
            Fault::VersionMalformed => "The protocol version is not of the form HTTP/1.1.",
            Fault::VersionUnsupported => "This server speaks HTTP/1.0 and HTTP/1.1 only.",
            Fault::BareLineFeed => "A line of the request head does not end with CR LF.",
            Fault::FieldContradicts => {
                "A request header field that may stand once stands twice, with different values."
            }
            Fault::FieldTooLong => "A request header field is longer than this server allows.",
            Fault::TooManyFields => "The request has more header fields than this server allows.",
            Fault::HeadTooLong => "The request head is longer than this server allows.",
            Fault::FieldFolded => "A request header field is folded over several lines.",
            Fault::FieldNameMalformed => "The name of a request header field is malformed.",
            Fault::FieldValueMalformed => "The value of a request header field is malformed.",
            Fault::HostMissing => "An HTTP/1.1 request needs a Host field.",
            Fault::HostRepeated => "The request has more than one Host field.",
            Fault::HostMalformed => "The host of the request is malformed.",
            Fault::ContentLengthMalformed => "The Content-Length of the request is no length.",
            Fault::ContentLengthRepeated => "The request has more than one Content-Length.",
            Fault::TransferEncodingMalformed => {
                "The Transfer-Encoding of the request does not end with one chunked."
            }
            Fault::TransferEncodingUnknown => "The request body is in an unknown transfer coding.",
            Fault::TransferEncodingTooOld => "An HTTP/1.0 request has no Transfer-Encoding.",
            Fault::TwoLengths => "The request has both a Transfer-Encoding and a Content-Length.",
            Fault::ChunkMalformed => "The chunks of the request body are malformed.",
            Fault::BodyCut => "The connection ended before the request body did.",
        }
    }
}
