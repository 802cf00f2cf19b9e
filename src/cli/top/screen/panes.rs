//! The lower part: a line for each child, a letter for each worker, or a line for each request.

use herdgate_mpm::scoreboard::State;
use herdgate_mpm::scoreboard::reader::AtGate;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::live::{App, Column, Pane};
use super::super::view::{ChildView, Standing, Told};
use super::super::words::{bytes, escaped, lasted, per_second};
use super::colours::{dim, state_style};

/// How many lines the lower part has, headings left out.
pub(in super::super) fn lines(app: &App) -> usize {
    match app.pane {
        Pane::Children | Pane::Workers => app.view.children.len(),
        Pane::Requests => app.view.children.iter().map(|child| child.requests_told.len()).sum(),
    }
}

pub(super) fn tab_line(app: &App) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    for pane in Pane::ALL {
        let style = if pane == app.pane {
            Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
        } else {
            dim()
        };
        spans.push(Span::styled(pane.name(), style));
        spans.push(Span::raw("   "));
    }
    let (above, all) = (app.scroll, lines(app));
    if above > 0 {
        spans.push(Span::styled(format!("from line {} of {all}", above + 1), dim()));
    }
    Line::from(spans)
}

pub(super) fn draw_pane(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let (heading, lines) = match app.pane {
        Pane::Children => (Some(child_heading(app)), child_lines(app)),
        Pane::Workers => (None, worker_map(app, area.width.into())),
        Pane::Requests => (Some(request_heading()), request_lines(app)),
    };
    let shown = heading.into_iter().chain(lines.into_iter().skip(app.scroll));
    let shown: Vec<Line<'_>> = shown.take(area.height.into()).collect();
    frame.render_widget(Paragraph::new(shown), area);
}

/// Columns of the children with their widths.
fn columns(app: &App) -> [(Column, usize, &'static str); 7] {
    let memory = if app.with_pss { "PSS" } else { "MEMORY" };
    [
        (Column::Pid, 8, "PID"),
        (Column::Generation, 5, "GEN"),
        (Column::Connections, 6, "CONN"),
        (Column::Requests, 8, "REQ/S"),
        (Column::Accepted, 8, "ACC/S"),
        (Column::Cpu, 6, "CPU%"),
        (Column::Memory, 9, memory),
    ]
}

fn child_heading(app: &App) -> Line<'static> {
    let mut spans = Vec::new();
    for (column, width, name) in columns(app) {
        if column == app.sort {
            let arrow = if app.descending { '▼' } else { '▲' };
            let style = Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD);
            spans.push(Span::styled(format!("{:>width$}", format!("{arrow}{name}")), style));
        } else {
            spans.push(Span::styled(format!("{name:>width$}"), dim()));
        }
    }
    let rest = if app.view.is_event() { "  LOOP%  JOBS WORKERS" } else { "  WORKERS" };
    spans.push(Span::styled(rest, dim()));
    Line::from(spans)
}

fn child_lines(app: &App) -> Vec<Line<'static>> {
    app.sorted_children().into_iter().map(|child| child_line(app, child)).collect()
}

fn child_line(app: &App, child: &ChildView) -> Line<'static> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let percent = |share: f64| format!("{:.0}", share * 100.0);
    let mut spans = Vec::new();
    for (column, width, _) in columns(app) {
        let text = match column {
            Column::Pid => child.pid.to_string(),
            Column::Generation => child.generation.to_string(),
            Column::Connections => child.connections.to_string(),
            Column::Requests => or_dash(child.request_rate.map(per_second)),
            Column::Accepted => or_dash(child.accept_rate.map(per_second)),
            Column::Cpu => or_dash(child.cpu.map(percent)),
            Column::Memory => or_dash(child.memory.map(bytes)),
        };
        spans.push(Span::raw(format!("{text:>width$}")));
    }
    if app.view.is_event() {
        let busy = or_dash(child.loop_busy.map(percent));
        spans.push(Span::raw(format!("{busy:>7}{:>6}", child.jobs)));
    }
    let keeps_waiting = app.view.gate.keeps_waiting();
    spans.push(Span::raw(match child.at_gate {
        _ if !keeps_waiting => "  ",
        AtGate::Away => "  ",
        AtGate::Waiting => " \u{b7}",
        AtGate::Inside => " \u{2192}",
    }));
    spans.extend(standing(child.standing));
    spans.extend(letters(&child.states));
    Line::from(spans)
}

/// Only what is out of the ordinary is worth a word.
fn standing(standing: Standing) -> Option<Span<'static>> {
    let colour = match standing {
        Standing::Serving => return None,
        Standing::Full => Color::Yellow,
        Standing::Finishing => Color::Magenta,
        Standing::Gone => Color::Red,
    };
    Some(Span::styled(format!("{} ", standing.word()), Style::new().fg(colour)))
}

/// A letter for each worker. Neighbours that do the same share a span.
fn letters(states: &[State]) -> Vec<Span<'static>> {
    states
        .chunk_by(|a, b| a == b)
        .map(|same| {
            let text = same[0].letter().to_string().repeat(same.len());
            Span::styled(text, state_style(same[0]))
        })
        .collect()
}

/// Children with one worker stand side by side; others have lines of their own.
fn worker_map(app: &App, width: usize) -> Vec<Line<'static>> {
    let children = app.sorted_children();
    let room = width.saturating_sub(2).max(1);
    if children.iter().all(|child| child.states.len() <= 1) {
        let states: Vec<State> = children.iter().flat_map(|child| child.states.clone()).collect();
        return states
            .chunks(room)
            .map(|row| Line::from([vec![Span::raw(" ")], letters(row)].concat()))
            .collect();
    }
    let mut lines = Vec::new();
    for child in children {
        let room = room.saturating_sub(9).max(1);
        for (nth, row) in child.states.chunks(room).enumerate() {
            let pid = if nth == 0 { child.pid.to_string() } else { String::new() };
            let label = Span::styled(format!("{pid:>8}  "), dim());
            lines.push(Line::from([vec![label], letters(row)].concat()));
        }
    }
    lines
}

fn request_heading() -> Line<'static> {
    Line::styled(format!(" ST {:>9}  {:<15} {:<18} REQUEST", "AGO", "CLIENT", "HOST"), dim())
}

/// Those who work first, and among them whoever has done so for the longest time.
fn request_lines(app: &App) -> Vec<Line<'static>> {
    let mut told: Vec<&Told> =
        app.view.children.iter().flat_map(|child| &child.requests_told).collect();
    let is_idle = |told: &Told| !matches!(told.state, State::Writing | State::Reading);
    told.sort_by_key(|told| (is_idle(told), std::cmp::Reverse(told.request_for)));
    told.into_iter()
        .map(|told| {
            let words = &told.words;
            Line::from(vec![
                Span::styled(format!(" {}  ", told.state.letter()), state_style(told.state)),
                Span::raw(format!("{:>9}  ", lasted(told.request_for))),
                Span::raw(format!("{:<15} ", escaped(&words.client))),
                Span::raw(format!("{:<18} ", escaped(&words.host))),
                Span::raw(escaped(&words.request)),
            ])
        })
        .collect()
}
