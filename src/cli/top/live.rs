//! The live view: a look each second, and keys in between.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::looking::Watch;
use super::screen;
use super::view::{ChildView, Look, Rates, View};

/// Rates are remembered for so many looks: as many as a wide terminal can show.
const HISTORY_MAX: usize = 240;

/// Shows it until somebody wants to leave.
///
/// # Errors
/// The terminal fails.
pub(super) fn run(watch: Watch, interval: Duration) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let result = show(&mut terminal, watch, interval);
    ratatui::restore();
    result
}

fn show(terminal: &mut DefaultTerminal, mut watch: Watch, interval: Duration) -> io::Result<()> {
    let mut app = App::new(watch.look(false));
    let mut next_look = Instant::now() + interval;
    loop {
        terminal.draw(|frame| screen::draw(frame, &app))?;
        let left = next_look.saturating_duration_since(Instant::now());
        // Anything else, a new size of the window above all, is answered by drawing anew.
        if event::poll(left)?
            && let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
            && app.press(key) == Wish::Leave
        {
            return Ok(());
        }
        if Instant::now() >= next_look {
            next_look = Instant::now() + interval;
            if !app.paused {
                app.see(watch.look(app.with_pss));
            }
        }
    }
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To see more.
    Stay,
    /// To see no more.
    Leave,
}

/// What the lower part shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    /// A line for each child.
    Children,
    /// A letter for each worker.
    Workers,
    /// A line for each request.
    Requests,
}

impl Pane {
    /// In the order of the keys 1, 2, 3.
    pub(super) const ALL: [Self; 3] = [Self::Children, Self::Workers, Self::Requests];

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Children => "children",
            Self::Workers => "workers",
            Self::Requests => "requests",
        }
    }
}

/// A column of the children, which they may be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// Process id.
    Pid,
    /// Generation.
    Generation,
    /// Connections held.
    Connections,
    /// Requests a second.
    Requests,
    /// Connections accepted a second.
    Accepted,
    /// CPU time.
    Cpu,
    /// Memory.
    Memory,
}

impl Column {
    /// From left to right.
    pub(super) const ALL: [Self; 7] = [
        Self::Pid,
        Self::Generation,
        Self::Connections,
        Self::Requests,
        Self::Accepted,
        Self::Cpu,
        Self::Memory,
    ];

    fn beside(self, step: isize) -> Self {
        let count = Self::ALL.len().cast_signed();
        let at = Self::ALL.iter().position(|column| *column == self).map_or(0, usize::cast_signed);
        Self::ALL[(at + step).rem_euclid(count).cast_unsigned()]
    }

    #[expect(clippy::cast_precision_loss, reason = "an order for people")]
    fn value(self, child: &ChildView) -> f64 {
        match self {
            Self::Pid => f64::from(child.pid),
            Self::Generation => f64::from(child.generation),
            Self::Connections => f64::from(child.connections),
            Self::Requests => child.request_rate.unwrap_or(0.0),
            Self::Accepted => child.accept_rate.unwrap_or(0.0),
            Self::Cpu => child.cpu.unwrap_or(0.0),
            Self::Memory => child.memory.unwrap_or(0) as f64,
        }
    }
}

/// All that the screen shows, and how.
#[derive(Debug)]
pub(super) struct App {
    last: Look,
    /// The present view.
    pub(super) view: View,
    /// Rates, the newest last.
    pub(super) history: VecDeque<Rates>,
    /// What the lower part shows.
    pub(super) pane: Pane,
    /// What the children are sorted by.
    pub(super) sort: Column,
    /// The largest first.
    pub(super) descending: bool,
    /// Lines of the lower part that are above its top.
    pub(super) scroll: usize,
    /// No looks are taken.
    pub(super) paused: bool,
    /// Memory is counted with a share of what is shared.
    pub(super) with_pss: bool,
    /// The help is open.
    pub(super) help: bool,
}

impl App {
    /// Begins with a look.
    pub(super) fn new(look: Look) -> Self {
        Self {
            view: View::of(&look, None),
            last: look,
            history: VecDeque::new(),
            pane: Pane::Children,
            sort: Column::Pid,
            descending: false,
            scroll: 0,
            paused: false,
            with_pss: false,
            help: false,
        }
    }

    /// Another look.
    pub(super) fn see(&mut self, look: Look) {
        let rates = self.view.rates;
        self.view = View::of(&look, Some(&self.last));
        if !self.view.is_alive() {
            self.view.rates = rates; // The last state stays, its rates included.
            self.last = look;
            return;
        }
        match self.view.rates {
            Some(rates) => self.history.push_back(rates),
            None => self.history.clear(), // Another server.
        }
        if self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
        self.last = look;
    }

    /// The children in the order that was asked for.
    pub(super) fn sorted_children(&self) -> Vec<&ChildView> {
        let mut children: Vec<&ChildView> = self.view.children.iter().collect();
        children.sort_by(|a, b| {
            let order = self.sort.value(a).total_cmp(&self.sort.value(b));
            let order = if self.descending { order.reverse() } else { order };
            order.then(a.pid.cmp(&b.pid))
        });
        children
    }

    /// A key.
    pub(super) fn press(&mut self, key: KeyEvent) -> Wish {
        const PAGE: usize = 10;
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Wish::Leave;
        }
        if self.help {
            self.help = false; // Any key.
            return Wish::Stay;
        }
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "there are many keys, and few mean something"
        )]
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Leave,
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Char('p') => self.with_pss = !self.with_pss,
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char('r') => self.descending = !self.descending,
            KeyCode::Char(digit @ '1'..='3') => {
                self.turn_to(Pane::ALL[digit as usize - '1' as usize]);
            }
            KeyCode::Tab => self.turn_to(self.pane_beside(1)),
            KeyCode::BackTab => self.turn_to(self.pane_beside(2)),
            KeyCode::Left => self.sort_by(self.sort.beside(-1)),
            KeyCode::Right => self.sort_by(self.sort.beside(1)),
            KeyCode::Up => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Down => self.scroll += 1,
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(PAGE),
            KeyCode::PageDown => self.scroll += PAGE,
            KeyCode::Home => self.scroll = 0,
            _ => {}
        }
        self.scroll = self.scroll.min(screen::lines(self).saturating_sub(1));
        Wish::Stay
    }

    fn turn_to(&mut self, pane: Pane) {
        (self.pane, self.scroll) = (pane, 0);
    }

    fn pane_beside(&self, step: usize) -> Pane {
        let at = Pane::ALL.iter().position(|pane| *pane == self.pane).unwrap_or(0);
        Pane::ALL[(at + step) % Pane::ALL.len()]
    }

    /// Numbers are wanted with the largest first; pids and generations with the smallest.
    fn sort_by(&mut self, column: Column) {
        self.sort = column;
        self.descending = !matches!(column, Column::Pid | Column::Generation);
    }
}

#[cfg(test)]
mod tests {
    use herdgate_mpm::Model;

    use super::super::view::tests::look;
    use super::*;

    fn app() -> App {
        let mut app = App::new(look(Model::Worker, 100));
        app.see(look(Model::Worker, 101));
        app
    }

    fn pids(app: &App) -> Vec<i32> {
        app.sorted_children().iter().map(|child| child.pid).collect()
    }

    #[test]
    fn arrows_choose_the_column_and_r_turns_the_order() {
        let mut app = app();
        assert_eq!(pids(&app), [101, 102]);
        app.press(KeyCode::Char('r').into());
        assert_eq!(pids(&app), [102, 101]);
        app.press(KeyCode::Left.into());
        assert_eq!((app.sort, app.descending), (Column::Memory, true));
        app.press(KeyCode::Left.into());
        assert_eq!((app.sort, pids(&app)), (Column::Cpu, vec![101, 102]));
        app.press(KeyCode::Right.into());
        app.press(KeyCode::Right.into());
        assert_eq!((app.sort, app.descending), (Column::Pid, false));
    }

    #[test]
    fn keys_do_what_the_last_line_says() {
        let mut app = app();
        app.press(KeyCode::Char(' ').into());
        assert!(app.paused);
        app.press(KeyCode::Tab.into());
        assert_eq!(app.pane, Pane::Workers);
        app.press(KeyCode::BackTab.into());
        assert_eq!(app.pane, Pane::Children);
        app.press(KeyCode::Char('3').into());
        assert_eq!(app.pane, Pane::Requests);
        app.press(KeyCode::PageDown.into());
        assert_eq!(app.scroll, 0, "there is one line only");
        app.press(KeyCode::Char('?').into());
        assert!(app.help);
        assert_eq!(app.press(KeyCode::Char('q').into()), Wish::Stay, "it closes the help");
        assert_eq!(app.press(KeyCode::Char('q').into()), Wish::Leave);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(app.press(interrupt), Wish::Leave);
    }

    #[test]
    fn the_rates_of_the_last_state_stay() {
        let mut app = app();
        for secs in [102, 103] {
            let mut dead = look(Model::Worker, secs);
            dead.life = herdgate_mpm::scoreboard::reader::Life::Dead;
            app.see(dead);
        }
        assert_eq!(app.view.rates.map(|rates| rates.requests), Some(50.0));
        assert_eq!(app.history.len(), 1);
    }

    #[test]
    fn history_is_bounded_and_ends_with_its_server() {
        let mut app = app();
        for secs in 0..2 * HISTORY_MAX as u64 {
            app.see(look(Model::Worker, 102 + secs));
        }
        assert_eq!(app.history.len(), HISTORY_MAX);
        let mut other = look(Model::Worker, 1000);
        other.snapshot.server.pid = 99;
        app.see(other);
        assert!(app.history.is_empty());
    }
}
