//! # mod_ratelimit: so many bytes a second
//!
//! ```text
//! SetOutputFilter RATE_LIMIT
//! SetEnv rate-limit 400            KiB a second
//! SetEnv rate-initial-burst 512    KiB that leave at once
//! ```
//!
//! It has no directives; `connection::pacing` keeps the pace, by deadlines.

use super::Module;
use crate::log::{Level, Quoted};
use crate::request::Request;
use crate::response::Pace;

pub(super) const MODULE: Module = Module::without_directives("ratelimit_module", "mod_ratelimit.c");

/// The pace that the variables set, if they set one.
pub(crate) fn pace(request: &Request<'_>) -> Option<Pace> {
    let limit = request.env.get("rate-limit")?;
    let Some(bytes_per_sec) = kibibytes(limit) else {
        request.log(Level::Info, "ratelimit").say(format_args!(
            "AH03488: rl: disabling: rate-limit = {} (too high?)",
            Quoted(limit)
        ));
        return None;
    };
    let burst_bytes = request.env.get("rate-initial-burst").and_then(|burst| {
        let bytes = kibibytes(burst);
        if bytes.is_none() {
            request.log(Level::Info, "ratelimit").say(format_args!(
                "AH03489: rl: disabling burst: rate-initial-burst = {} (too high?)",
                Quoted(burst)
            ));
        }
        bytes
    });
    Some(Pace { bytes_per_sec, burst_bytes: burst_bytes.unwrap_or(0) })
}

/// The number that the text begins with, as Apache reads it. `None`: no number, or none that makes sense.
fn kibibytes(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number: u32 = str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    Some(u64::from(number) * 1024).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::kibibytes;

    #[test]
    fn what_begins_with_a_number_is_one() {
        assert_eq!(kibibytes(b"4"), Some(4096));
        assert_eq!(kibibytes(b" 4k"), Some(4096));
        for text in [&b""[..], b"0", b"fast", b"-1", b"99999999999"] {
            assert_eq!(kibibytes(text), None);
        }
    }
}
