//! The live view's picture, from a terminal of 80 columns and 24 lines upwards.
//!
//! ```text
//!   model, generation, life, uptime
//!   rates with their history              three lines
//!   workers, a letter each                two lines; in event two more for the connections that wait
//!   gate and queue
//!   children │ workers │ requests         what is left
//!   keys
//! ```
//!
//! Colours help the eye, letters carry the meaning: the picture is complete without colours.

use herdgate_mpm::scoreboard::State;
use herdgate_mpm::scoreboard::reader::{AtGate, Life};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::live::{App, Column, Pane};
use super::text;
use super::view::{
    self, ChildView, Rates, STATES, Standing, Told, View, bytes, escaped, grouped, lasted,
    per_second, scaled,
};

/// The labels at the left edge.
const LABEL: usize = 13;

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App) {
    let view = &app.view;
    let parked_lines = if view.is_event() { 2 } else { 0 };
    let [head, facts, _, rates, _, workers, parked, gate, _, tabs, pane, keys] =
        Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(3),
            Constraint::Length(1),
            Constraint::Length(2),
            Constraint::Length(parked_lines),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
    draw_head(frame, head, app);
    frame.render_widget(facts_line(view), facts);
    draw_rates(frame, rates, app);
    frame.render_widget(Paragraph::new(worker_lines(view, workers.width.into())), workers);
    frame.render_widget(Paragraph::new(parked_lines_of(view, parked.width.into())), parked);
    frame.render_widget(gate_line(view), gate);
    frame.render_widget(tab_line(app), tabs);
    draw_pane(frame, pane, app);
    frame.render_widget(key_line(app), keys);
    if app.help {
        draw_help(frame);
    }
}

/// How many lines the lower part has, headings left out.
pub(super) fn lines(app: &App) -> usize {
    match app.pane {
        Pane::Children | Pane::Workers => app.view.children.len(),
        Pane::Requests => app.view.children.iter().map(|child| child.requests_told.len()).sum(),
    }
}

// --- the upper part ---

fn draw_head(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let view = &app.view;
    let colour = life_colour(view.life);
    let bar = Style::new().bg(colour).fg(Color::Black).add_modifier(Modifier::BOLD);
    let generation = view.server.generation;
    let left = format!(" herdgate top   {}, generation {generation}", view::model(view));
    let mut right = view::life(view);
    if view.is_alive() {
        right = format!("{right}, up {}", view::clock(view.uptime));
    }
    if app.paused {
        right = format!("PAUSED   {right}");
    }
    let gap = usize::from(area.width).saturating_sub(left.len() + right.len() + 1);
    frame.render_widget(Line::styled(format!("{left}{:gap$}{right} ", ""), bar), area);
}

fn life_colour(life: Life) -> Color {
    match life {
        Life::Well => Color::Green,
        Life::Silent(_) | Life::Over => Color::Yellow,
        Life::Dead => Color::Red,
    }
}

fn facts_line(view: &View) -> Line<'static> {
    let mut facts = vec![format!("pid {}", view.server.pid)];
    facts.push(match view.server.children_max {
        0 => format!("{} children", view.children.len()),
        max => format!("{} children, {max} at most", view.children.len()),
    });
    facts.extend(view.memory.map(bytes));
    if !view.listen.is_empty() {
        facts.push(view.listen.clone());
    }
    let mut line = Line::styled(format!(" {}", facts.join("   ")), dim());
    if !view.is_alive() {
        let style = Style::new().fg(life_colour(view.life)).add_modifier(Modifier::BOLD);
        line.spans.insert(0, Span::styled(" the last state: ", style));
    }
    line
}

fn draw_rates(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let totals = app.view.totals;
    let rates = app.view.rates.unwrap_or_default();
    let width = usize::from(area.width).saturating_sub(LABEL + 12 + 22);
    let line = |label, rate: String, value: fn(&Rates) -> f64, total: String| {
        let values: Vec<f64> = app.history.iter().map(value).collect();
        Line::from(vec![
            label_span(label),
            Span::styled(format!("{rate:>9}/s  "), Style::new().add_modifier(Modifier::BOLD)),
            Span::styled(spark(&values, width), Style::new().fg(Color::Cyan)),
            Span::styled(format!("{total:>13} in all"), dim()),
        ])
    };
    let lines = vec![
        line("requests", per_second(rates.requests), |r| r.requests, grouped(totals.requests)),
        line(
            "connections",
            per_second(rates.connections),
            |r| r.connections,
            grouped(totals.connections),
        ),
        line("sent", scaled(rates.bytes), |r| r.bytes, bytes(totals.bytes)),
    ];
    frame.render_widget(Paragraph::new(lines), area);
}

/// The last values as a row of bars, the newest at the right, the largest as high as a line is.
fn spark(values: &[f64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = &values[values.len().saturating_sub(width)..];
    let max = shown.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| {
        if *value <= 0.0 {
            return ' ';
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 7")]
        BARS[((value / max * 8.0).ceil() as usize).clamp(1, 8) - 1]
    };
    let bars: String = shown.iter().map(bar).collect();
    format!("{:>width$}", bars)
}

fn worker_lines(view: &View, width: usize) -> Vec<Line<'static>> {
    let workers = &view.workers;
    let count = format!("{:>4} of {:<5}", workers.busy(), workers.all());
    let parts: Vec<(State, u32)> = workers.by_state().collect();
    let mut first =
        vec![label_span("workers"), Span::styled(count, Style::new().add_modifier(Modifier::BOLD))];
    first.extend(letter_bar(&parts, width.saturating_sub(LABEL + 14)));
    let words: Vec<(State, u32, &str)> =
        parts.into_iter().map(|(state, count)| (state, count, state_word(state))).collect();
    let mut second = legend(&words);
    if let Some(busy) = view.loops_busy() {
        second.push_span(Span::raw(format!("loops {:.0} % busy", busy * 100.0)));
    }
    vec![Line::from(first), second]
}

/// Event: connections that wait in loops, as if each were a worker.
fn parked_lines_of(view: &View, width: usize) -> Vec<Line<'static>> {
    let parked = view.parked;
    let parts = [
        (State::Reading, parked.request, "request"),
        (State::Writing, parked.response, "response"),
        (State::KeepAlive, parked.idle, "keep-alive"),
        (State::Closing, parked.linger, "closing"),
    ];
    let counts: Vec<(State, u32)> =
        parts.iter().map(|(state, count, _)| (*state, *count)).collect();
    let open = format!("{:>4} {:<8}", view.connections(), "open");
    let mut first =
        vec![label_span("in loops"), Span::styled(open, Style::new().add_modifier(Modifier::BOLD))];
    first.extend(letter_bar(&counts, width.saturating_sub(LABEL + 14)));
    let shown: Vec<_> = parts.into_iter().filter(|(_, count, _)| *count > 0).collect();
    let mut second = legend(&shown);
    if view.jobs > 0 {
        second.push_span(Span::raw(format!("{} jobs  ", view.jobs)));
    }
    vec![Line::from(first), second]
}

/// A letter for each, in groups; where there are too many, for each share. Whoever is there has one at least.
fn letter_bar(parts: &[(State, u32)], width: usize) -> Vec<Span<'static>> {
    let all: usize = parts.iter().map(|(_, count)| *count as usize).sum();
    let mut left = width;
    let mut spans = Vec::new();
    for (state, count) in parts.iter().filter(|(_, count)| *count > 0) {
        let count = *count as usize;
        let letters = if all <= width { count } else { (count * width / all).max(1) }.min(left);
        left -= letters;
        spans.push(Span::styled(state.letter().to_string().repeat(letters), state_style(*state)));
    }
    spans
}

fn legend(parts: &[(State, u32, &'static str)]) -> Line<'static> {
    let mut spans = vec![Span::raw(" ".repeat(LABEL))];
    for (state, count, word) in parts {
        spans.push(Span::styled(state.letter().to_string(), state_style(*state)));
        spans.push(Span::raw(format!(" {count} ")));
        spans.push(Span::styled(format!("{word}  "), dim()));
    }
    Line::from(spans)
}

fn gate_line(view: &View) -> Line<'static> {
    let mut spans = vec![label_span("gate"), Span::raw(text::gate(view))];
    if let Some((waiting, limit)) = view.gate.queue {
        let full = waiting * 2 > limit;
        let style = if full { Style::new().fg(Color::Red) } else { Style::new() };
        spans.push(Span::styled("   queue ", dim()));
        spans.push(Span::styled(format!("{waiting} of {limit}"), style));
    }
    Line::from(spans)
}

// --- the lower part ---

fn tab_line(app: &App) -> Line<'static> {
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

fn draw_pane(frame: &mut Frame<'_>, area: Rect, app: &App) {
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

// --- the last line, and help ---

fn key_line(app: &App) -> Line<'static> {
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

fn draw_help(frame: &mut Frame<'_>) {
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
        "gate     what stands before accept; contended: somebody was in the way;",
        "         wasted: woken for a connection that another child had taken",
        "queue    connections that the kernel holds until they are accepted",
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

// --- words and colours ---

fn state_word(state: State) -> &'static str {
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

fn state_style(state: State) -> Style {
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

fn dim() -> Style {
    Style::new().fg(Color::DarkGray)
}

fn label_span(label: &str) -> Span<'static> {
    Span::styled(format!(" {label:<width$}", width = LABEL - 1), dim())
}

#[cfg(test)]
mod tests {
    use herdgate_mpm::Model;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::KeyCode;

    use super::super::view::tests::look;
    use super::*;

    fn app(model: Model) -> App {
        let mut app = App::new(look(model, 100));
        app.see(look(model, 101));
        app.see(look(model, 102));
        app
    }

    fn picture(app: &App, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, app)).unwrap();
        let buffer = terminal.backend().buffer();
        buffer
            .content()
            .chunks(width.into())
            .map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().into())
            .collect()
    }

    fn check(app: &App, expected: &[&str]) {
        let rows = picture(app, 80, 24);
        for line in expected {
            assert!(rows.iter().any(|row| row == line), "no {line:?} in:\n{}", rows.join("\n"));
        }
    }

    #[test]
    fn one_glance_on_a_small_terminal() {
        check(
            &app(Model::Worker),
            &[
                " herdgate top   worker, generation 1                          serving, up 01:42",
                " pid 100   2 children   30.0 MB   127.0.0.1:8080",
                " workers        2 of 4    WK__",
                "             W 1 writing  K 1 keep-alive  _ 2 idle",
                " gate        exclusive, 0 % of wakeups wasted   queue 3 of 511",
                " children   workers   requests",
                "     101    1     1      50      10   100  10.0 MB  W_",
                "     102    1     1       0      10     0  10.0 MB  finishing K_",
            ],
        );
    }

    #[test]
    fn event_shows_what_waits_in_its_loops() {
        check(
            &app(Model::Event),
            &[
                " in loops      12 open    RWWKKKKKKKKC",
                "             R 1 request  W 2 response  K 8 keep-alive  C 1 closing",
                "             W 1 writing  K 1 keep-alive  _ 2 idle  loops 70 % busy",
                "     101    1    12      50      10   100  10.0 MB     40     0  W_",
            ],
        );
    }

    #[test]
    fn a_dead_server_is_seen_at_once() {
        let mut dead = look(Model::Worker, 102);
        dead.life = Life::Dead;
        dead.processes.clear();
        let app = App::new(dead);
        let rows = picture(&app, 80, 24);
        assert!(rows[0].ends_with("DEAD, last seen 0 ms ago"), "{}", rows[0]);
        assert!(rows[1].starts_with(" the last state:  pid 100"), "{}", rows[1]);
        assert!(rows.iter().any(|row| row.ends_with("gone W_")), "{}", rows.join("\n"));
    }

    #[test]
    fn requests_are_shown_escaped_and_workers_side_by_side() {
        let mut app = app(Model::Worker);
        app.press(KeyCode::Char('3').into());
        check(
            &app,
            &[" W      4.0 s  203.0.113.7     www.example.org:80 GET /\\u{1b}[31mred HTTP/1.1"],
        );
        app.press(KeyCode::Char('2').into());
        check(&app, &["     101  W_", "     102  K_"]);
    }

    #[test]
    fn no_size_and_no_pane_is_too_small() {
        for model in [Model::Prefork, Model::Worker, Model::Event] {
            let mut app = app(model);
            for (width, height) in [(1, 1), (10, 3), (80, 24), (200, 60)] {
                for key in ['1', '2', '3', '?'] {
                    app.press(KeyCode::Char(key).into());
                    assert_eq!(picture(&app, width, height).len(), usize::from(height));
                }
                app.press(KeyCode::Enter.into());
            }
        }
    }

    #[test]
    fn the_help_fits_on_a_small_terminal() {
        let mut app = app(Model::Event);
        app.press(KeyCode::Char('?').into());
        let rows = picture(&app, 80, 24);
        assert!(rows.iter().any(|row| row.contains("any key closes this")), "{}", rows.join("\n"));
    }

    #[test]
    fn bars_are_as_long_as_there_is_room() {
        assert_eq!(spark(&[1.0, 4.0, 8.0], 5), "  ▁▄█");
        assert_eq!(spark(&[8.0, 0.0, 4.0], 2), " █");
        let parts = [(State::Writing, 1), (State::Ready, 999)];
        let bar: String = letter_bar(&parts, 20).iter().map(|span| span.content.clone()).collect();
        assert_eq!(bar, format!("W{}", "_".repeat(19)));
    }
}
