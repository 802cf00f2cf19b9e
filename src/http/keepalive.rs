//! # keepalive: does the connection outlive this response
//!
//! - Decided once, when the response head is built, from facts alone; nothing is changed by asking.
//! - `MaxKeepAliveRequests 100` serves 101 requests, and the first response says `max=100`. So does
//!   Apache.
//! - Closing is always announced, staying only to those who asked for it.

use crate::http::head::{Version, Wish};
use crate::http::status::Status;

/// What the configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAliveSettings {
    /// `KeepAlive`
    pub enabled: bool,
    /// `KeepAliveTimeout` in seconds, rounded up; 0 switches keep-alive off.
    pub timeout_secs: u64,
    /// `MaxKeepAliveRequests`; 0 is unlimited.
    pub requests_max: u32,
}

/// Apache's defaults: on, 5 seconds, 100 requests.
impl Default for KeepAliveSettings {
    fn default() -> KeepAliveSettings {
        KeepAliveSettings { enabled: true, timeout_secs: 5, requests_max: 100 }
    }
}

/// What is known about the connection, the request and its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The request's version. A request that could not be read counts as HTTP/1.0.
    pub version: Version,
    /// What the request's `Connection` says.
    pub wish: Wish,
    /// The response's status.
    pub status: Status,
    /// The client can tell where the response ends: it has no body, a Content-Length, or chunks.
    pub end_is_known: bool,
    /// Already decided otherwise: a broken request body, an aborted response, a handler's
    /// `Connection: close`.
    pub must_close: bool,
    /// The client still waits for our `100 Continue`, so nobody knows whether its body will come.
    pub awaits_continue: bool,
    /// The variable `nokeepalive` is set, and the request did not come through a proxy (`Via`).
    pub switched_off: bool,
    /// The process finishes what it has and takes nothing new.
    pub draining: bool,
    /// How many responses on this connection have kept it alive so far.
    pub kept_so_far: u32,
}

/// What becomes of the connection, and what the response head says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It ends after this response: `Connection: close`.
    Close,
    /// It stays, which the client takes for granted: no field.
    Keep,
    /// It stays, because the client asked: `Keep-Alive: timeout=N, max=LEFT` and `Connection:
    /// Keep-Alive`.
    KeepAnnounced {
        /// How long it may be idle.
        timeout_secs: u64,
        /// How many more requests may keep it, this one included; `None` if unlimited.
        left: Option<u32>,
    },
}

impl Fate {
    /// Whether another request may follow.
    pub const fn keeps(self) -> bool {
        !matches!(self, Fate::Close)
    }
}

/// Decides the connection's fate.
pub fn decide(settings: &KeepAliveSettings, exchange: &Exchange) -> Fate {
    let left = match settings.requests_max {
        0 => None,
        max => Some(max.saturating_sub(exchange.kept_so_far)),
    };
    let allowed = settings.enabled && settings.timeout_secs > 0 && left != Some(0);
    let unsafe_to_keep = exchange.must_close
        || exchange.awaits_continue
        || !exchange.end_is_known
        || exchange.status.closes_connection();
    if !allowed || unsafe_to_keep || exchange.switched_off || exchange.draining {
        return Fate::Close;
    }
    match (exchange.wish, exchange.version) {
        (Wish::Close, _) | (Wish::Unsaid, Version::Http10) | (_, Version::Http09) => Fate::Close,
        (Wish::KeepAlive, _) => Fate::KeepAnnounced { timeout_secs: settings.timeout_secs, left },
        (Wish::Unsaid, Version::Http11) => Fate::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::{Exchange, Fate, KeepAliveSettings, decide};
    use crate::http::head::{Version, Wish};
    use crate::http::status::Status;

    const USUAL: Exchange = Exchange {
        version: Version::Http11,
        wish: Wish::Unsaid,
        status: Status::OK,
        end_is_known: true,
        must_close: false,
        awaits_continue: false,
        switched_off: false,
        draining: false,
        kept_so_far: 0,
    };

    const ASKED: Exchange = Exchange { wish: Wish::KeepAlive, ..USUAL };

    fn fate(exchange: Exchange) -> Fate {
        decide(&KeepAliveSettings::default(), &exchange)
    }

    #[test]
    fn the_version_decides_unless_the_client_speaks() {
        let announced = Fate::KeepAnnounced { timeout_secs: 5, left: Some(100) };
        let old = Version::Http10;
        assert_eq!(fate(USUAL), Fate::Keep);
        assert_eq!(fate(ASKED), announced);
        assert_eq!(fate(Exchange { wish: Wish::Close, ..USUAL }), Fate::Close);
        assert_eq!(fate(Exchange { version: old, ..USUAL }), Fate::Close);
        assert_eq!(fate(Exchange { version: old, ..ASKED }), announced);
        assert_eq!(fate(Exchange { version: old, wish: Wish::Close, ..USUAL }), Fate::Close);
    }

    #[test]
    fn any_reason_to_close_is_enough() {
        for exchange in [
            Exchange { must_close: true, ..ASKED },
            Exchange { awaits_continue: true, ..ASKED },
            Exchange { end_is_known: false, ..ASKED },
            Exchange { switched_off: true, ..ASKED },
            Exchange { draining: true, ..ASKED },
        ] {
            assert_eq!(fate(exchange), Fate::Close, "{exchange:?}");
        }
        let usual = KeepAliveSettings::default();
        for settings in [
            KeepAliveSettings { enabled: false, ..usual },
            KeepAliveSettings { timeout_secs: 0, ..usual },
        ] {
            assert_eq!(decide(&settings, &ASKED), Fate::Close, "{settings:?}");
        }
    }

    #[test]
    fn some_errors_end_the_connection_and_some_do_not() {
        for code in [400, 408, 411, 413, 414, 500, 501, 503] {
            let status = Status::new(code).unwrap();
            assert!(!fate(Exchange { status, ..ASKED }).keeps(), "{code}");
        }
        for code in [200, 206, 304, 301, 403, 404, 405, 412, 416, 417, 502] {
            let status = Status::new(code).unwrap();
            assert!(fate(Exchange { status, ..ASKED }).keeps(), "{code}");
        }
    }

    #[test]
    fn one_request_more_than_the_maximum_is_served() {
        let settings = KeepAliveSettings { requests_max: 2, ..KeepAliveSettings::default() };
        let said: Vec<_> = (0..3)
            .map(|kept_so_far| decide(&settings, &Exchange { kept_so_far, ..ASKED }))
            .collect();
        let kept = |left| Fate::KeepAnnounced { timeout_secs: 5, left: Some(left) };
        assert_eq!(said, [kept(2), kept(1), Fate::Close]);
        let unlimited = KeepAliveSettings { requests_max: 0, ..settings };
        let late = Exchange { kept_so_far: u32::MAX, ..ASKED };
        assert_eq!(decide(&unlimited, &late), Fate::KeepAnnounced { timeout_secs: 5, left: None });
    }
}
