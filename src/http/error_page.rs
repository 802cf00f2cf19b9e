//! # error_page: the built-in answer when something went wrong, or is elsewhere
//!
//! - Apache's pages, byte for byte where its wording is an interface that scripts match on: frame,
//!   titles and texts.
//! - Everything that a client can choose (method, expectation, location, host name) is escaped.
//! - Notes are HTML of the caller's own making; [`crate::http::fault::Fault::explanation`] has
//!   some.

use std::io::Write as _;

use crate::http::escape;
use crate::http::status::Status;

/// The `Content-Type` of every page.
pub const CONTENT_TYPE: &str = "text/html; charset=iso-8859-1";

/// `ServerAdmin`, if it was not given.
pub const NO_ADMIN: &str = "[no address given]";

/// What a page speaks about.
#[derive(Clone, Copy, Debug)]
pub struct ErrorPage<'p> {
    /// The status; it chooses the text.
    pub status: Status,
    /// The request's method; `-` if it could not be read.
    pub method: &'p str,
    /// Where a redirect leads to.
    pub location: &'p [u8],
    /// The value of `Expect`, for a 417.
    pub expectation: &'p [u8],
    /// What the module that failed has to say, as HTML; may be empty.
    pub notes: &'p str,
    /// `ServerAdmin`
    pub admin: &'p str,
    /// `ServerSignature`
    pub signature: Signature<'p>,
    /// The status of the `ErrorDocument` that failed while it should have answered, if one did.
    pub failed_document: Option<Status>,
}

impl<'p> ErrorPage<'p> {
    /// A page about `status` that knows nothing else.
    pub const fn new(status: Status) -> ErrorPage<'p> {
        ErrorPage {
            status,
            method: "-",
            location: b"",
            expectation: b"",
            notes: "",
            admin: NO_ADMIN,
            signature: Signature::Off,
            failed_document: None,
        }
    }

    /// Appends the page.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Self { status, signature, .. } = self;
        let reason = status.reason();
        push(out, DOCTYPE);
        push_all(out, &["<html><head>\n<title>", &status.to_string(), "</title>\n</head><body>\n"]);
        push_all(out, &["<h1>", reason, "</h1>\n"]);
        self.push_text(out);
        if let Some(failed) = self.failed_document {
            push_all(out, &["<p>Additionally, a ", &failed.to_string()]);
            push(
                out,
                "\nerror was encountered while trying to use an ErrorDocument \
                 to handle the request.</p>\n",
            );
        }
        signature.push(out, self.admin);
        push(out, "</body></html>\n");
    }

    /// The paragraphs that belong to the status, with the line ends and blanks of the original.
    fn push_text(&self, out: &mut Vec<u8>) {
        match self.status {
            Status::MULTIPLE_CHOICES => push(out, self.notes),
            Status::MOVED_PERMANENTLY
            | Status::FOUND
            | Status::TEMPORARY_REDIRECT
            | Status::PERMANENT_REDIRECT => self.push_link(out, "The document has moved"),
            Status::SEE_OTHER => self.push_link(out, "The answer to your request is located"),
            Status::BAD_REQUEST => push_all(
                out,
                &[
                    "<p>Your browser sent a request that this server could not understand.<br />\n",
                    self.notes,
                    "</p>\n",
                ],
            ),
            Status::FORBIDDEN => push_all(
                out,
                &["<p>You don't have permission to access this resource.", self.notes, "</p>\n"],
            ),
            Status::METHOD_NOT_ALLOWED => {
                let after = " is not allowed for this URL.</p>\n";
                self.push_around_method(out, "<p>The requested method ", after);
            }
            Status::NOT_ACCEPTABLE => push_all(
                out,
                &[
                    "<p>An appropriate representation of the requested resource \
                     could not be found on this server.</p>\n",
                    self.notes,
                ],
            ),
            Status::LENGTH_REQUIRED => {
                self.push_around_method(
                    out,
                    "<p>A request of the requested method ",
                    " requires a valid Content-length.<br />\n",
                );
                push_all(out, &[self.notes, "</p>\n"]);
            }
            Status::REQUEST_ENTITY_TOO_LARGE => self.push_around_method(
                out,
                "The requested resource does not allow request data with ",
                " requests, or the amount of data provided in\n\
                 the request exceeds the capacity limit.\n",
            ),
            Status::REQUEST_URI_TOO_LONG => push_all(
                out,
                &[
                    "<p>The requested URL's length exceeds the capacity\n\
                     limit for this server.<br />\n",
                    self.notes,
                    "</p>\n",
                ],
            ),
            Status::EXPECTATION_FAILED => {
                push(out, "<p>The expectation given in the Expect request-header\n");
                push(out, "field could not be met by this server.\n");
                push(out, "The client sent<pre>\n    Expect: ");
                escape::push_html(out, self.expectation);
                push_all(out, &["\n</pre>\n", self.notes]);
                push(out, "</p><p>Only the 100-continue expectation is supported.</p>\n");
            }
            Status::UNAVAILABLE_FOR_LEGAL_REASONS => push_all(
                out,
                &[
                    "<p>Access to this URL has been denied for legal reasons.<br />\n",
                    self.notes,
                    "</p>\n",
                ],
            ),
            Status::NOT_IMPLEMENTED => {
                self.push_around_method(out, "<p>", " not supported for current URL.<br />\n");
                push_all(out, &[self.notes, "</p>\n"]);
            }
            Status::BAD_GATEWAY => push_all(
                out,
                &[
                    "<p>The proxy server received an invalid\r\n\
                     response from an upstream server.<br />\r\n",
                    self.notes,
                    "</p>\n",
                ],
            ),
            other => match fixed_text(other) {
                Some(text) => push(out, text),
                None => self.push_internal_error(out),
            },
        }
    }

    fn push_link(&self, out: &mut Vec<u8>, words: &str) {
        push_all(out, &["<p>", words, " <a href=\""]);
        escape::push_html(out, self.location);
        push(out, "\">here</a>.</p>\n");
    }

    fn push_around_method(&self, out: &mut Vec<u8>, before: &str, after: &str) {
        push(out, before);
        escape::push_html(out, self.method.as_bytes());
        push(out, after);
    }

    /// Also what Apache says about every status that it has no text for.
    fn push_internal_error(&self, out: &mut Vec<u8>) {
        push(out, "<p>The server encountered an internal error or\n");
        push(out, "misconfiguration and was unable to complete\nyour request.</p>\n");
        push(out, "<p>Please contact the server administrator at \n ");
        escape::push_html(out, self.admin.as_bytes());
        push(out, " to inform them of the time this error occurred,\n");
        push(out, " and the actions you performed just before this error.</p>\n");
        push(
            out,
            "<p>More information about this error may be available\nin the server error log.</p>\n",
        );
    }
}

const DOCTYPE: &str = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \
                       \"http://www.w3.org/TR/html4/strict.dtd\">\n";

/// The texts that depend on nothing but the status.
fn fixed_text(status: Status) -> Option<&'static str> {
    Some(match status {
        Status::UNAUTHORIZED | Status::PROXY_AUTHENTICATION_REQUIRED => {
            "<p>This server could not verify that you\n\
             are authorized to access the document\n\
             requested.  Either you supplied the wrong\n\
             credentials (e.g., bad password), or your\n\
             browser doesn't understand how to supply\n\
             the credentials required.</p>\n"
        }
        Status::NOT_FOUND => "<p>The requested URL was not found on this server.</p>\n",
        Status::REQUEST_TIMEOUT => {
            "<p>Server timeout waiting for the HTTP request from the client.</p>\n"
        }
        Status::GONE => {
            "<p>The requested resource is no longer available on this server \
             and there is no forwarding address.\n\
             Please remove all references to this resource.</p>\n"
        }
        Status::PRECONDITION_FAILED => {
            "<p>The precondition on the request for this URL evaluated to false.</p>\n"
        }
        Status::UNSUPPORTED_MEDIA_TYPE => {
            "<p>The supplied request data is not in a format\n\
             acceptable for processing by this resource.</p>\n"
        }
        Status::RANGE_NOT_SATISFIABLE => {
            "<p>None of the range-specifier values in the Range\n\
             request-header field overlap the current extent\n\
             of the selected resource.</p>\n"
        }
        Status::MISDIRECTED_REQUEST => {
            "<p>The client needs a new connection for this\n\
             request as the requested host name does not match\n\
             the Server Name Indication (SNI) in use for this\n\
             connection.</p>\n"
        }
        Status::UNPROCESSABLE_ENTITY => {
            "<p>The server understands the media type of the\n\
             request entity, but was unable to process the\n\
             contained instructions.</p>\n"
        }
        Status::PRECONDITION_REQUIRED => "<p>The request is required to be conditional.</p>\n",
        Status::TOO_MANY_REQUESTS => {
            "<p>The user has sent too many requests\nin a given amount of time.</p>\n"
        }
        Status::HEADER_FIELDS_TOO_LARGE => {
            "<p>The server refused this request because\n\
             the request header fields are too large.</p>\n"
        }
        Status::SERVICE_UNAVAILABLE => {
            "<p>The server is temporarily unable to service your\n\
             request due to maintenance downtime or capacity\n\
             problems. Please try again later.</p>\n"
        }
        Status::VARIANT_ALSO_NEGOTIATES => {
            "<p>A variant for the requested resource\n<pre>\n\n</pre>\n\
             is itself a negotiable resource. This indicates a configuration error.</p>\n"
        }
        Status::GATEWAY_TIMEOUT => {
            "<p>The gateway did not receive a timely response\n\
             from the upstream server or application.</p>\n"
        }
        _ => return None,
    })
}

/// `ServerSignature`: the line under pages that the server makes itself, listings included.
#[derive(Clone, Copy, Debug)]
pub enum Signature<'p> {
    /// `Off`: nothing.
    Off,
    /// `On`: who answered.
    On(Answerer<'p>),
    /// `EMail`: and whom to write to.
    EMail(Answerer<'p>),
}

/// Who answered a request.
#[derive(Clone, Copy, Debug)]
pub struct Answerer<'p> {
    /// The value of the `Server` field.
    pub banner: &'p str,
    /// The server's name, which the client may have chosen by its Host field.
    pub name: &'p str,
    /// Its port.
    pub port: u16,
}

impl Signature<'_> {
    /// Appends the signature with the line above it, if it is on.
    pub fn push(&self, out: &mut Vec<u8>, admin: &str) {
        let (answerer, mail) = match self {
            Signature::Off => return,
            Signature::On(answerer) => (answerer, false),
            Signature::EMail(answerer) => (answerer, true),
        };
        push(out, "<hr>\n<address>");
        escape::push_html(out, answerer.banner.as_bytes());
        push(out, " Server at ");
        if mail {
            push(out, "<a href=\"mailto:");
            escape::push_html(out, admin.as_bytes());
            push(out, "\">");
        }
        escape::push_html(out, answerer.name.as_bytes());
        push(out, if mail { "</a>" } else { "" });
        writeln!(out, " Port {}</address>", answerer.port).expect("a Vec takes every byte");
    }
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn push_all(out: &mut Vec<u8>, texts: &[&str]) {
    for text in texts {
        push(out, text);
    }
}

#[cfg(test)]
mod tests {
    use super::{Answerer, ErrorPage, Signature};
    use crate::http::status::Status;

    const ANSWERER: Answerer<'static> =
        Answerer { banner: "Herdgate/0.1", name: "a.example", port: 8080 };

    fn page(page: ErrorPage<'_>) -> String {
        let mut out = Vec::new();
        page.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// The text of a page, without its frame.
    fn text(subject: ErrorPage<'_>) -> String {
        let page = page(subject);
        let (_, text) = page.split_once("</h1>\n").unwrap();
        text.strip_suffix("</body></html>\n").unwrap().to_owned()
    }

    #[test]
    fn a_page_is_apaches_to_the_byte() {
        let subject =
            ErrorPage { signature: Signature::On(ANSWERER), ..ErrorPage::new(Status::NOT_FOUND) };
        assert_eq!(
            page(subject),
            "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \
             \"http://www.w3.org/TR/html4/strict.dtd\">\n\
             <html><head>\n<title>404 Not Found</title>\n</head><body>\n<h1>Not Found</h1>\n\
             <p>The requested URL was not found on this server.</p>\n\
             <hr>\n<address>Herdgate/0.1 Server at a.example Port 8080</address>\n</body></html>\n"
        );
    }

    #[test]
    fn the_signature_may_carry_an_address() {
        let subject = ErrorPage {
            signature: Signature::EMail(ANSWERER),
            admin: "root@\"a",
            ..ErrorPage::new(Status::NOT_FOUND)
        };
        let expected = "<address>Herdgate/0.1 Server at \
                        <a href=\"mailto:root@&quot;a\">a.example</a> Port 8080</address>\n";
        assert!(page(subject).contains(expected));
    }

    #[test]
    fn a_failed_document_adds_a_paragraph() {
        let subject = ErrorPage {
            failed_document: Some(Status::FORBIDDEN),
            ..ErrorPage::new(Status::NOT_FOUND)
        };
        assert_eq!(
            text(subject),
            "<p>The requested URL was not found on this server.</p>\n\
             <p>Additionally, a 403 Forbidden\n\
             error was encountered while trying to use an ErrorDocument \
             to handle the request.</p>\n"
        );
    }

    #[test]
    fn texts_speak_about_the_request() {
        let about = |status| ErrorPage {
            method: "A&B",
            location: b"/x?\"<&",
            expectation: b"<tea>",
            notes: "NOTES",
            admin: "<me>",
            ..ErrorPage::new(status)
        };
        let check = |status, expected: &str| assert_eq!(text(about(status)), expected);
        check(Status::MULTIPLE_CHOICES, "NOTES");
        check(
            Status::FOUND,
            "<p>The document has moved <a href=\"/x?&quot;&lt;&amp;\">here</a>.</p>\n",
        );
        check(
            Status::SEE_OTHER,
            "<p>The answer to your request is located \
             <a href=\"/x?&quot;&lt;&amp;\">here</a>.</p>\n",
        );
        check(
            Status::BAD_REQUEST,
            "<p>Your browser sent a request that this server could not understand.<br />\n\
             NOTES</p>\n",
        );
        check(
            Status::FORBIDDEN,
            "<p>You don't have permission to access this resource.NOTES</p>\n",
        );
        check(
            Status::METHOD_NOT_ALLOWED,
            "<p>The requested method A&amp;B is not allowed for this URL.</p>\n",
        );
        check(
            Status::NOT_IMPLEMENTED,
            "<p>A&amp;B not supported for current URL.<br />\nNOTES</p>\n",
        );
        check(
            Status::EXPECTATION_FAILED,
            "<p>The expectation given in the Expect request-header\n\
             field could not be met by this server.\n\
             The client sent<pre>\n    Expect: &lt;tea&gt;\n</pre>\nNOTES</p>\
             <p>Only the 100-continue expectation is supported.</p>\n",
        );
        let internal = "<p>The server encountered an internal error or\n\
                        misconfiguration and was unable to complete\nyour request.</p>\n\
                        <p>Please contact the server administrator at \n\x20\
                        &lt;me&gt; to inform them of the time this error occurred,\n\x20\
                        and the actions you performed just before this error.</p>\n\
                        <p>More information about this error may be available\n\
                        in the server error log.</p>\n";
        check(Status::INTERNAL_SERVER_ERROR, internal);
        check(Status::CONFLICT, internal);
        check(Status::VERSION_NOT_SUPPORTED, internal);
    }

    #[test]
    fn nothing_that_a_client_chooses_is_markup() {
        let evil = "<script>\"&";
        for code in 300..600 {
            let subject = ErrorPage {
                method: evil,
                location: evil.as_bytes(),
                expectation: evil.as_bytes(),
                admin: evil,
                signature: Signature::EMail(Answerer { banner: "b", name: evil, port: 1 }),
                ..ErrorPage::new(Status::new(code).unwrap())
            };
            assert!(!page(subject).contains("<script>"), "{code}");
        }
    }
}
