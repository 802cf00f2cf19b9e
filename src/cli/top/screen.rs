//! The live view's picture, from a terminal of 80 columns and 24 lines upwards.
//!
//! ```text
//!   model, generation, life, uptime
//!   rates with their history              three lines
//!   workers, a letter each                two lines; in event two more for the connections that wait
//!   gate                                  what happens before accept
//!   queue                                 how many wait there, and for how long
//!   ended                                 connections that did not end by agreement, by cause
//!   refused                               requests that came too fast, if any did
//!   children │ workers │ requests         what is left
//!   keys
//! ```
//!
//! Colours help the eye, letters carry the meaning: the picture is complete without colours.

mod colours;
mod help;
mod panes;

use herdgate_mpm::scoreboard::State;
use herdgate_mpm::scoreboard::reader::Life;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::live::App;
use super::text;
use super::view::{Rates, View};
use super::words::{self, bytes, grouped, lasted, per_second, scaled};
use colours::{dim, state_style, state_word};
use help::{draw_help, key_line};
pub(super) use panes::lines;
use panes::{draw_pane, tab_line};

/// The labels at the left edge.
const LABEL: usize = 13;

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App) {
    let view = &app.view;
    let parked_lines = if view.is_event() { 2 } else { 0 };
    let refused_text = text::refused(view);
    let [
        head,
        facts,
        _,
        rates,
        _,
        workers,
        parked,
        gate,
        queue,
        ended,
        refused,
        _,
        tabs,
        pane,
        keys,
    ] = Layout::vertical([
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
        Constraint::Length(refused_text.is_some().into()),
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
    frame.render_widget(queue_line(view), queue);
    frame.render_widget(ended_line(view), ended);
    if let Some(text) = refused_text {
        frame.render_widget(Line::from(vec![label_span("refused"), Span::raw(text)]), refused);
    }
    frame.render_widget(tab_line(app), tabs);
    draw_pane(frame, pane, app);
    frame.render_widget(key_line(app), keys);
    if app.help {
        draw_help(frame);
    }
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let view = &app.view;
    let colour = life_colour(view.life);
    let bar = Style::new().bg(colour).fg(Color::Black).add_modifier(Modifier::BOLD);
    let generation = view.server.generation;
    let left = format!(" herdgate top   {}, generation {generation}", words::model(view));
    let mut right = words::life(view);
    if view.is_alive() {
        right = format!("{right}, up {}", words::clock(view.uptime));
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
    Line::from(vec![label_span("gate"), Span::raw(text::gate(view))])
}

fn ended_line(view: &View) -> Line<'static> {
    Line::from(vec![label_span("ended"), Span::raw(view.endings.to_string())])
}

/// How long one waits now, and the worst that anybody had to wait.
fn queue_line(view: &View) -> Line<'static> {
    let queue = &view.queue;
    let full = queue.waiting * 2 > queue.limit;
    let style = if full { Style::new().fg(Color::Red) } else { Style::new() };
    let mut spans = vec![label_span("queue")];
    spans.push(match queue.limit {
        0 => Span::raw("unknown"),
        limit => Span::styled(format!("{} of {limit}", queue.waiting), style),
    });
    match (queue.lately, queue.by_length) {
        (Some(waits), _) => {
            spans.push(Span::styled("   wait ", dim()));
            spans.push(Span::raw(lasted(waits.median)));
            spans.push(Span::styled(", 99 % ", dim()));
            spans.push(Span::raw(lasted(waits.percentile_99)));
        }
        (None, Some(mean)) if !mean.is_zero() => {
            spans.push(Span::styled("   wait about ", dim()));
            spans.push(Span::raw(lasted(mean)));
        }
        _ => {}
    }
    if let Some(ever) = queue.ever {
        spans.push(Span::styled("   longest ever ", dim()));
        spans.push(Span::raw(lasted(ever.longest)));
    }
    Line::from(spans)
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
                " gate        exclusive, 0 % woken in vain",
                " queue       3 of 511   wait 10 ms, 99 % 10 ms   longest ever 10 ms",
                " ended       2 request timeout, 1 idle timeout",
                " refused     1,000 requests too fast",
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
