//! Which requests a log tells of: `CustomLog … env=` and `expr=`, judged when the response has left.

use std::io;
use std::net::IpAddr;

use herdgate_sys::file::Stat;

use super::access::Record;
use crate::expr::{Facts, Groups};
use crate::modules::log_config::Only;

impl Record<'_> {
    /// Whether a log with this condition tells of the request.
    pub(super) fn is_one_of(&self, only: &Only) -> bool {
        let has = |name: &str| self.env.is_some_and(|env| env.get(name).is_some());
        match only {
            Only::With(name) => has(name),
            Only::Without(name) => !has(name),
            // A condition that cannot be judged here, as that about a file, does not hold.
            Only::If(condition) => condition.holds(self, &mut Groups::new()).unwrap_or(false),
        }
    }
}

/// What a line of a log can show. Nobody waits for a disk here, so there are no files.
impl Facts for Record<'_> {
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        let bytes = |bytes: &[u8]| Some(bytes.to_vec());
        let text = |text: String| Some(text.into_bytes());
        let field = |name: &str| self.field(name);
        match name {
            "HTTP_ACCEPT" => field("Accept"),
            "HTTP_COOKIE" => field("Cookie"),
            "HTTP_FORWARDED" => field("Forwarded"),
            "HTTP_HOST" => field("Host"),
            "HTTP_PROXY_CONNECTION" => field("Proxy-Connection"),
            "HTTP_REFERER" => field("Referer"),
            "HTTP_USER_AGENT" => field("User-Agent"),
            "CONTENT_TYPE" => self.response_field("Content-Type"),
            "HANDLER" => bytes(self.handler?.as_bytes()),
            "HTTPS" | "HTTP2" => bytes(b"off"),
            "IPV6" => bytes(if self.client?.is_ipv6() { b"on" } else { b"off" }),
            "QUERY_STRING" => bytes(self.query.unwrap_or_default()),
            "REMOTE_ADDR" | "REMOTE_HOST" | "CONN_REMOTE_ADDR" => {
                text(self.client?.ip().to_canonical().to_string())
            }
            "REMOTE_PORT" => text(self.client?.port().to_string()),
            "REMOTE_USER" => bytes(self.user?),
            "REQUEST_FILENAME" | "SCRIPT_FILENAME" => bytes(self.file?),
            "REQUEST_METHOD" => bytes(self.method),
            "REQUEST_SCHEME" => bytes(b"http"),
            "REQUEST_STATUS" => text(self.status.to_string()),
            "REQUEST_URI" | "DOCUMENT_URI" => bytes(self.path),
            "SERVER_ADDR" => text(self.local?.ip().to_canonical().to_string()),
            "SERVER_NAME" => bytes(self.host_name),
            "SERVER_PORT" => text(self.server_port.to_string()),
            "SERVER_PROTOCOL" => bytes(self.protocol),
            "THE_REQUEST" => bytes(self.request_line),
            _ => None,
        }
    }

    fn field(&self, name: &str) -> Option<Vec<u8>> {
        self.request_fields.field(name).map(<[u8]>::to_vec)
    }

    fn response_field(&self, name: &str) -> Option<Vec<u8>> {
        self.response_fields.field(name).map(<[u8]>::to_vec)
    }

    fn env(&self, name: &str) -> Option<Vec<u8>> {
        self.env?.get(name).map(<[u8]>::to_vec)
    }

    fn note(&self, _: &str) -> Option<Vec<u8>> {
        None
    }

    fn client(&self) -> Option<IpAddr> {
        self.client.map(|client| client.ip())
    }

    fn look(&self, _: &[u8], _: bool) -> io::Result<Option<Stat>> {
        Ok(None)
    }

    fn read(&self, _: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn would_serve(&self, _: &[u8], _: bool) -> io::Result<bool> {
        Ok(false)
    }
}
