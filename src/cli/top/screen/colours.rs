//! What workers do, in a word and a colour.

use herdgate_mpm::scoreboard::State;
use ratatui::style::{Color, Modifier, Style};

pub(super) fn state_word(state: State) -> &'static str {
    match state {
        State::Dead => "nobody",
        State::Starting => "starting",
        State::Ready => "idle",
        State::Reading => "reading",
        State::Writing => "writing",
        State::KeepAlive => "keep-alive",
        State::Logging => "logging",
        State::Dns => "looking up a name",
        State::Closing => "closing",
        State::Graceful => "finishing",
        State::Retiring => "retiring",
    }
}

pub(super) fn state_style(state: State) -> Style {
    match state {
        State::Dead | State::Ready => dim(),
        State::Starting => Style::new(),
        State::Reading => Style::new().fg(Color::Cyan),
        State::Writing => Style::new().fg(Color::Green).add_modifier(Modifier::BOLD),
        State::KeepAlive => Style::new().fg(Color::Blue),
        State::Logging | State::Dns => Style::new().fg(Color::Yellow),
        State::Closing => Style::new().fg(Color::Magenta),
        State::Graceful | State::Retiring => Style::new().fg(Color::Red),
    }
}

pub(super) fn dim() -> Style {
    Style::new().fg(Color::DarkGray)
}
