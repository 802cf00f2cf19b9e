//! How things are written for people: numbers in few characters, times, states of life.

use std::time::Duration;

use herdgate_mpm::scoreboard::reader::Life;

use super::view::View;

/// Only what every terminal shows as it is: clients choose these words.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(character),
            other => out.extend(other.escape_unicode()),
        }
    }
    out
}

/// `1,234`
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `12.3 MB`: four characters and a unit, by thousands.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(super) fn bytes(number: u64) -> String {
    scaled(number as f64)
}

/// `12.3 MB`, of a number that need not be whole.
pub(super) fn scaled(number: f64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut number, mut unit) = (number, 0);
    while number >= 999.5 && unit + 1 < UNITS.len() {
        number /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || number >= 99.95 { 0 } else { 1 };
    format!("{number:.digits$} {}", UNITS[unit])
}

/// `812` or `0.4`: a rate, with a digit behind the point where it is small.
pub(super) fn per_second(number: f64) -> String {
    if number == 0.0 || number >= 9.95 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded")]
        return grouped(number.round() as u64);
    }
    format!("{number:.1}")
}

/// `3 d 02:14:05`, `02:14:05`, `14:05`
pub(super) fn clock(time: Duration) -> String {
    let secs = time.as_secs();
    let (days, hours, minutes, secs) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60, secs % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes:02}:{secs:02}"),
        (0, _) => format!("{hours:02}:{minutes:02}:{secs:02}"),
        _ => format!("{days} d {hours:02}:{minutes:02}:{secs:02}"),
    }
}

/// `1.2 s`, `45 ms`: how long something has lasted.
pub(super) fn lasted(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{:.1} s", time.as_secs_f64()),
        _ => clock(time),
    }
}

/// The server's life in a few words.
pub(super) fn life(view: &View) -> String {
    use herdgate_mpm::scoreboard::Stage;
    match view.life {
        Life::Well => match view.server.stage {
            Stage::Starting => "starting".to_owned(),
            Stage::Serving | Stage::Over => "serving".to_owned(),
            Stage::Finishing => "finishing".to_owned(),
        },
        Life::Silent(time) => format!("silent for {}", lasted(time)),
        Life::Dead => match view.silence {
            Some(silence) => format!("DEAD, last seen {} ago", lasted(silence)),
            None => "DEAD".to_owned(),
        },
        Life::Over => "stopped".to_owned(),
    }
}

/// The model's name.
pub(super) fn model(view: &View) -> String {
    view.server.model.map_or_else(|| "unknown model".to_owned(), |model| model.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_choose_cannot_move_the_cursor() {
        assert_eq!(escaped("GET /\u{1b}[2J\u{202e}\\"), r"GET /\u{1b}[2J\u{202e}\\");
    }

    #[test]
    fn numbers_are_short_and_readable() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(123), "123");
        for (number, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1500, "1.5 kB"),
            (999_999, "1.0 MB"),
            (123_456_789, "123 MB"),
        ] {
            assert_eq!(bytes(number), expected);
        }
        assert_eq!((per_second(0.0), per_second(0.44)), ("0".to_owned(), "0.4".to_owned()));
        assert_eq!(per_second(12_431.4), "12,431");
        for (secs, expected) in
            [(65, "01:05"), (3_600, "01:00:00"), (3 * 86_400 + 8_045, "3 d 02:14:05")]
        {
            assert_eq!(clock(Duration::from_secs(secs)), expected);
        }
    }
}
