//! # mod_reqtimeout: how slowly a client may send its request, and take its answer
//!
//! ```text
//! RequestReadTimeout header=20-40,MinRate=500 body=20,MinRate=500
//!                           │  │          └─ each 500 bytes give it another second,
//!                           │  └─ up to 40 seconds
//!                           └─ 20 seconds for the whole head
//!
//! MinSendRate 100 60        100 bytes a second, over each 60 seconds: our own
//! ```
//!
//! Without them one byte for each `TimeOut` would hold a connection for ever. `connection` keeps these limits.

use std::time::Duration;

use herdgate_conf::{Args, Directive, Overrides, Problem, Word};

use super::{HOST, Module};
use crate::config::HostSettings;

/// mod_reqtimeout's settings of one virtual host.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestTimeouts {
    handshake: Option<Stage>,
    header: Option<Stage>,
    body: Option<Stage>,
    send: Option<SendRate>,
}

/// How long one part of a request may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stage {
    /// 0: no limit.
    initial_secs: u32,
    /// 0: no limit on what the rate adds.
    max_secs: u32,
    bytes_per_sec_min: Option<u32>,
}

const HEADER: Stage = Stage { initial_secs: 20, max_secs: 40, bytes_per_sec_min: Some(500) };
const BODY: Stage = Stage { initial_secs: 20, max_secs: 0, bytes_per_sec_min: Some(500) };

impl RequestTimeouts {
    /// What a virtual host sees that says `inner` within a main server that says `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self {
            handshake: inner.handshake.or(self.handshake),
            header: inner.header.or(self.header),
            body: inner.body.or(self.body),
            send: inner.send.or(self.send),
        }
    }

    /// For a request's head.
    pub fn header(&self) -> Stage {
        self.header.unwrap_or(HEADER)
    }

    /// For a request's body.
    pub fn body(&self) -> Stage {
        self.body.unwrap_or(BODY)
    }

    /// For a response.
    pub fn send_rate(&self) -> SendRate {
        self.send.unwrap_or_default()
    }
}

/// `MinSendRate`: so many bytes a second a client must take at least of its answer, over each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendRate {
    /// 0: no limit.
    bytes_per_sec: u32,
    window_secs: u32,
}

/// Nobody who waits for a document is slower: a modem of 1985 takes 120 bytes a second. And a connection that is so bad
/// for a minute mostly takes nothing at all then, which `TimeOut` ends as soon.
impl Default for SendRate {
    fn default() -> Self {
        Self::new(100, 60)
    }
}

impl SendRate {
    /// So many bytes a second, over so many seconds.
    pub const fn new(bytes_per_sec: u32, window_secs: u32) -> Self {
        Self { bytes_per_sec, window_secs }
    }

    /// How long is looked at as a whole; `None`: nobody looks.
    pub fn window(self) -> Option<Duration> {
        let window = Duration::from_secs(self.window_secs.into());
        Some(window).filter(|window| self.bytes_per_sec > 0 && !window.is_zero())
    }

    /// What must be taken in a window.
    pub fn bytes_per_window(self) -> u64 {
        u64::from(self.bytes_per_sec) * u64::from(self.window_secs)
    }
}

impl Stage {
    /// How long it may take from its beginning on if so many bytes have come; `None`: as long as it likes.
    pub fn limit(self, bytes: u64) -> Option<Duration> {
        if self.initial_secs == 0 {
            return None;
        }
        let initial = Duration::from_secs(self.initial_secs.into());
        let Some(rate) = self.bytes_per_sec_min else { return Some(initial) };
        let earned = Duration::from_millis(bytes.saturating_mul(1000) / u64::from(rate));
        let limit = initial.saturating_add(earned);
        match self.max_secs {
            0 => Some(limit),
            max => Some(limit.min(Duration::from_secs(max.into()))),
        }
    }

    /// Reads `20-40,MinRate=500`.
    fn parse(text: &str) -> Result<Stage, &'static str> {
        let lower = text.to_ascii_lowercase();
        let (times, rate) = match lower.split_once(",minrate=") {
            Some((times, rate)) => (times, Some(seconds(rate)?)),
            None => (lower.as_str(), None),
        };
        if rate == Some(0) {
            return Err("Minimum data rate must be larger than 0");
        }
        let (initial, max) = match times.split_once('-') {
            Some(_) if rate.is_none() => {
                return Err("Must set MinRate option if using timeout range");
            }
            Some((initial, max)) => (seconds(initial)?, seconds(max)?),
            None => (seconds(times)?, 0),
        };
        if max > 0 && initial >= max {
            return Err("Maximum timeout must be larger than initial timeout");
        }
        Ok(Stage { initial_secs: initial, max_secs: max, bytes_per_sec_min: rate })
    }
}

fn seconds(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "cannot parse number")
}

pub(super) const MODULE: Module = Module {
    name: "reqtimeout_module",
    file: "mod_reqtimeout.c",
    server: &[],
    host: DIRECTIVES,
    directory: &[],
};

const DIRECTIVES: &[Directive<HostSettings>] = &[
    Directive {
        name: "RequestReadTimeout",
        syntax: "RequestReadTimeout stage=initial[-max][,MinRate=rate]...",
        default: Some("handshake=0 header=20-40,MinRate=500 body=20,MinRate=500"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "How many seconds a client may take for the head of a request, and for a body that is thrown away: so many at \
           first, one more for each `rate` bytes, `max` at the most; 0 is no limit. TimeOut still holds for each wait. \
           For the head the first host of the address counts. The stage `handshake` is accepted: there is no TLS yet.",
        apply: |settings, args| {
            let first = args.required()?;
            for word in std::iter::once(first).chain(args.by_ref()) {
                set(&mut settings.reqtimeout, word)?;
            }
            Ok(())
        },
    },
    Directive {
        name: "MinSendRate",
        syntax: "MinSendRate rate [seconds]",
        default: Some("100 60"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Herdgate's own: how many bytes a second a client must take of its answer at least, on average over each so many \
           seconds (60) in which the answer waits for it; a slower one is cut off. What its machine has acknowledged \
           counts as taken. 0 is no limit. TimeOut still ends the wait for one that takes nothing at all.",
        apply: |settings, args| {
            let bytes_per_sec = whole(args, 0)?;
            let window_secs = if args.peek().is_some() { whole(args, 1)? } else { 60 };
            settings.reqtimeout.send = Some(SendRate::new(bytes_per_sec, window_secs));
            Ok(())
        },
    },
];

fn whole(args: &mut Args<'_>, least: u32) -> Result<u32, Problem> {
    let number = args.number(i64::from(least)..=i64::from(u32::MAX))?;
    Ok(u32::try_from(number).expect("within the range"))
}

fn set(timeouts: &mut RequestTimeouts, word: &Word) -> Result<(), Problem> {
    let Some((name, value)) = word.text.split_once('=') else {
        let message = "Invalid RequestReadTimeout parameter. Parameter must be in form name=value";
        return Err(Problem::at(word, message));
    };
    let stage = match name.to_ascii_lowercase().as_str() {
        "handshake" => &mut timeouts.handshake,
        "header" => &mut timeouts.header,
        "body" => &mut timeouts.body,
        _ => return Err(Problem::at(word, "Unknown RequestReadTimeout parameter")),
    };
    let parsed = Stage::parse(value);
    *stage =
        Some(parsed.map_err(|why| {
            Problem::at(word, format!("RequestReadTimeout: {name}={value}: {why}"))
        })?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_earn_time_up_to_the_maximum() {
        let secs = |stage: Stage, bytes| stage.limit(bytes).map(|limit| limit.as_secs_f64());
        assert_eq!(secs(HEADER, 0), Some(20.0));
        assert_eq!(secs(HEADER, 750), Some(21.5));
        assert_eq!(secs(HEADER, 1_000_000), Some(40.0));
        assert_eq!(secs(BODY, 1_000_000), Some(2020.0));
        assert_eq!(secs(Stage::parse("5").unwrap(), 1_000_000), Some(5.0));
        assert_eq!(secs(Stage::parse("0").unwrap(), 0), None);
    }

    #[test]
    fn mistakes_are_told_in_apaches_words() {
        for (text, why) in [
            ("20-40", "Must set MinRate option if using timeout range"),
            ("20,MinRate=0", "Minimum data rate must be larger than 0"),
            ("40-20,minrate=1", "Maximum timeout must be larger than initial timeout"),
            ("x", "cannot parse number"),
        ] {
            assert_eq!(Stage::parse(text), Err(why));
        }
        assert_eq!(Stage::parse("20-40,MINRATE=500"), Ok(HEADER));
    }
}
