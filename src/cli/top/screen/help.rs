//! The last line, which says what the keys do, and the help, which says what the words mean.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::super::live::App;
use super::super::view::STATES;
use super::colours::{dim, state_style, state_word};

pub(super) fn key_line(app: &App) -> Line<'static> {
    let keys = [
        ("q", "quit"),
        ("space", if app.paused { "go on" } else { "pause" }),
        ("tab", "view"),
        ("\u{2190}\u{2192}", "sort"),
        ("r", "turn"),
        ("\u{2191}\u{2193}", "scroll"),
        ("p", if app.with_pss { "RSS" } else { "PSS" }),
        ("?", "help"),
    ];
    let mut spans = vec![Span::raw(" ")];
    for (key, word) in keys {
        spans.push(Span::styled(key, Style::new().add_modifier(Modifier::BOLD)));
        spans.push(Span::styled(format!(" {word}   "), dim()));
    }
    Line::from(spans)
}

pub(super) fn draw_help(frame: &mut Frame<'_>) {
    let mut lines = vec![Line::from(vec![
        Span::raw("workers  "),
        Span::styled("a letter each, as in Apache's server-status", dim()),
    ])];
    for pair in STATES.chunks(2) {
        let mut spans = vec![Span::raw("  ")];
        for state in pair {
            spans.push(Span::styled(state.letter().to_string(), state_style(*state)));
            spans.push(Span::raw(format!("  {:<26}", state_word(*state))));
        }
        lines.push(Line::from(spans));
    }
    let words = [
        "",
        "in loops connections of the event model: they wait without a worker",
        "gate     what stands before accept; had to wait: somebody was in the way;",
        "         woken in vain: for a connection that another child had taken",
        "queue    connections that the kernel holds until they are accepted; wait: what",
        "         half of them did at most in the last second, and 99 of 100",
        "ended    connections that did not end by agreement, by cause, since the start",
        "refused  requests beyond ClientMaxRequestRate",
        "LOOP%    event: share of the time in which the loop did not wait",
        "MEMORY   resident, shared pages counted in each child; p: their share (PSS)",
        "\u{2192} \u{b7}      inside the gate, queued at it",
        "",
        "any key closes this",
    ];
    lines.extend(words.into_iter().map(Line::from));
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let area = centred(frame.area(), 78, height);
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" help ")), area);
}

fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    }
}
