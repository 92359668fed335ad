//! The decisions: keys and reports in, screens out. Nothing here waits, reads or prints.

use cluster_web::log::{Severity, failure_among};

use super::facts::Facts;
use super::job::ShownJob;
use super::key::Key;
use super::place::{Move, Place, View};
use super::report::{Report, Wanted};
use super::row::{Row, Target, Tone, columns_of, cut};
use super::view;

/// The most characters that are searched for.
const MAX_FILTER: usize = 100;

/// Everything that is on the screen, or could be.
pub(super) struct Top {
    /// The scheduler's address, for the title.
    address: String,
    /// The list of pools, which is never left.
    home: Place,
    /// What was opened from there, one after the other. The last one is shown.
    places: Vec<Place>,
    facts: Facts,
    /// What is typed to search for it.
    prompt: Option<String>,
    /// Whether the lines of a log have times.
    shows_times: bool,
    /// The columns and rows of the screen.
    size: (usize, usize),
    is_over: bool,
}

/// What a terminal shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Screen {
    pub(super) title: Row,
    /// As many rows as fit, or fewer.
    pub(super) body: Vec<Row>,
    /// Which of them is selected.
    pub(super) selected: Option<usize>,
    /// Which of them have what was searched for.
    pub(super) matches: Vec<usize>,
    pub(super) footer: Row,
}

impl Top {
    pub(super) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            home: Place::new(View::Pools),
            places: Vec::new(),
            facts: Facts::default(),
            prompt: None,
            shows_times: false,
            size: (80, 24),
            is_over: false,
        }
    }

    /// Returns whether the user has ended it.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Returns what is needed from the scheduler.
    pub(super) fn wanted(&self) -> Wanted {
        let pool = match self.view() {
            View::Pool(pool) | View::Worker { pool, .. } | View::Ticket { pool, .. } => {
                Some(pool.clone())
            }
            View::Pools | View::Job(_) | View::Help => None,
        };
        Wanted {
            pool,
            job: self.facts.job.as_ref().map(|job| job.id.clone()),
            log: self.facts.job.as_ref().and_then(ShownJob::wanted_log),
            times: match (&self.facts.job, self.shows_times) {
                (Some(job), true) => job.wanted_times(),
                _ => None,
            },
        }
    }

    /// Takes a report of the scheduler's.
    pub(super) fn take(&mut self, report: Report) {
        self.facts.take(report);
    }

    /// Takes a key.
    pub(super) fn press(&mut self, key: Key) {
        if key == Key::Interrupt {
            self.is_over = true;
        } else if self.prompt.is_some() {
            self.type_key(key);
        } else {
            self.command(key);
        }
    }

    fn command(&mut self, key: Key) {
        let page = self.height().saturating_sub(1).max(1);
        match key {
            Key::Char('q') => self.is_over = true,
            Key::Char('?') if *self.view() != View::Help => self.open(View::Help),
            Key::Char('/') => self.prompt = Some(String::new()),
            Key::Char('j') | Key::Down => self.go(Move::Down(1)),
            Key::Char('k') | Key::Up => self.go(Move::Up(1)),
            Key::Char(' ') | Key::PageDown => self.go(Move::Down(page)),
            Key::PageUp => self.go(Move::Up(page)),
            Key::Char('g') | Key::Home => self.go(Move::First),
            Key::Char('G') | Key::End => self.go(Move::Last),
            // As on pages.
            Key::Char('f') if matches!(self.view(), View::Job(_)) => self.go(Move::Last),
            Key::Char('e') if matches!(self.view(), View::Job(_)) => self.go_to_failure(),
            Key::Char('t') if matches!(self.view(), View::Job(_)) => self.shows_times ^= true,
            Key::Char('n') => self.go(Move::NextMatch),
            Key::Char('N') => self.go(Move::PreviousMatch),
            Key::Tab => self.go(Move::NextList),
            Key::Enter => self.enter(),
            Key::Escape | Key::Backspace => self.leave(),
            Key::Char(_) | Key::Interrupt => {}
        }
    }

    /// Takes a key of what is searched for. A list shows what has it while it is typed.
    fn type_key(&mut self, key: Key) {
        let Some(mut typed) = self.prompt.take() else {
            return;
        };
        match key {
            Key::Char(c) if typed.chars().count() < MAX_FILTER => typed.push(c),
            Key::Backspace if typed.is_empty() => return self.filter(String::new()),
            Key::Backspace => drop(typed.pop()),
            Key::Escape => return self.filter(String::new()),
            Key::Enter => {
                self.filter(typed);
                let rows = self.rows();
                let height = self.height();
                self.place_mut().search(&rows, height);
                return;
            }
            _ => {}
        }
        if self.place().is_list() {
            self.filter(typed.clone());
        }
        self.prompt = Some(typed);
    }

    fn filter(&mut self, filter: String) {
        self.place_mut().filter = filter;
    }

    fn go(&mut self, movement: Move) {
        let rows = self.rows();
        let height = self.height();
        self.place_mut().go(movement, &rows, height);
    }

    /// Goes to where a log says what went wrong, as far as its words show.
    fn go_to_failure(&mut self) {
        let rows = self.rows();
        let height = self.height();
        let severities = rows.iter().map(|row| match row.is_of_log() {
            true => Severity::of(&row.log_text()),
            false => Severity::Plain,
        });
        let severities: Vec<_> = severities.collect();
        if let Some(failure) = failure_among(&severities) {
            self.place_mut().go_to(failure, &rows, height);
        }
    }

    fn enter(&mut self) {
        let rows = self.rows();
        let height = self.height();
        self.place_mut().window(&rows, height);
        let view = match self.place().target().cloned() {
            Some(Target::Pool(pool)) => View::Pool(pool),
            Some(Target::Worker { pool, worker }) => View::Worker { pool, worker },
            Some(Target::Ticket { pool, ticket }) => View::Ticket { pool, ticket },
            Some(Target::Job(id)) => {
                self.facts.job = Some(ShownJob::new(&id));
                View::Job(id)
            }
            None => return,
        };
        self.open(view);
    }

    fn open(&mut self, view: View) {
        self.places.push(Place::new(view));
    }

    /// Forgets what was searched for, or goes back.
    fn leave(&mut self) {
        if !self.place().filter.is_empty() {
            return self.filter(String::new());
        }
        self.places.pop();
        let shows_job = |place: &Place| matches!(place.view, View::Job(_));
        if !self.places.iter().any(shows_job) {
            self.facts.job = None;
        }
    }

    /// Takes the size of the terminal.
    pub(super) fn resize(&mut self, columns: u16, rows: u16) {
        self.size = (columns.into(), rows.into());
    }

    /// Returns what the terminal shows.
    pub(super) fn screen(&mut self) -> Screen {
        let rows = self.rows();
        let height = self.height();
        let window = self.place_mut().window(&rows, height);
        let place = self.place();
        let body: Vec<Row> = rows.into_iter().skip(window.first).take(height).collect();
        let matching = |row: &Row| !place.filter.is_empty() && row.matches(&place.filter);
        let matches = match place.is_list() {
            true => Vec::new(),
            false => {
                let found = body.iter().enumerate().filter(|(_, row)| matching(row));
                found.map(|(index, _)| index).collect()
            }
        };
        Screen {
            title: self.title(),
            body,
            selected: window.selected.map(|row| row.saturating_sub(window.first)),
            matches,
            footer: self.footer(),
        }
    }

    /// Returns all rows of the view; of a list, those that have what was searched for, and the headings.
    fn rows(&self) -> Vec<Row> {
        let place = self.place();
        let mut rows = view::rows(&self.facts, &place.view, self.size.0, self.shows_times);
        if place.is_list() && !place.filter.is_empty() {
            rows.retain(|row| row.target.is_none() || row.matches(&place.filter));
        }
        rows
    }

    fn title(&self) -> Row {
        let places = std::iter::once(&self.home).chain(&self.places);
        let path: Vec<String> = places.map(|place| self.name(place)).collect();
        let path = format!(" {}", path.join(" › "));
        let (state, tone) = match &self.facts.lost {
            None if self.facts.pools.is_none() => ("connecting".to_owned(), Tone::Faint),
            None => (self.address.clone(), Tone::Faint),
            Some(why) => (format!("reconnecting: {why}"), Tone::Bad),
        };
        // A lost connection matters more than where we are.
        let room = self.size.0.saturating_sub(2);
        let state = cut(&state, room * 2 / 3);
        let path = cut(&path, room.saturating_sub(columns_of(&state) + 1));
        let used = columns_of(&path) + columns_of(&state) + 1;
        let mut row = Row::new(&path, Tone::Heading);
        let blanks = " ".repeat(self.size.0.saturating_sub(used));
        row.pieces.extend(Row::plain(&blanks).pieces);
        row.pieces.extend(Row::new(&state, tone).pieces);
        row
    }

    fn footer(&self) -> Row {
        if let Some(typed) = &self.prompt {
            return Row::plain(&format!(" /{typed}▏"));
        }
        let place = self.place();
        let searched = match place.filter.as_str() {
            "" => String::new(),
            filter if place.is_list() => format!(" only \"{filter}\" · esc all ·"),
            filter => format!(" \"{filter}\" · n N next, previous ·"),
        };
        let keys = match (&place.view, place.is_list()) {
            (View::Pools, _) => "j k move · enter open · / filter · ? keys · q quit",
            (_, true) => "j k move · enter open · tab next list · / filter · esc back · ? keys",
            (View::Help, _) => "esc back · q quit",
            (View::Job(_), _) => {
                "j k scroll · f follow · e failure · t times · / search · esc back · ? keys"
            }
            (_, false) => "j k scroll · g G begin, end · / search · esc back · ? keys",
        };
        Row::new(
            &cut(&format!("{searched} {keys}"), self.size.0),
            Tone::Faint,
        )
    }

    /// Returns the name of a place in the title; of a job, with its state, which its log can hide.
    fn name(&self, place: &Place) -> String {
        match &place.view {
            View::Pools => "pools".to_owned(),
            View::Pool(pool) => pool.clone(),
            View::Worker { worker, .. } => worker.clone(),
            View::Ticket { ticket, .. } => format!("job number {ticket}"),
            View::Job(id) => {
                let job = self.facts.job.as_ref();
                let state = job
                    .and_then(ShownJob::state)
                    .map(|state| format!(", {state}"));
                format!("job {id}{}", state.unwrap_or_default())
            }
            View::Help => "keys".to_owned(),
        }
    }

    /// Returns how many rows there are between title and footer.
    fn height(&self) -> usize {
        self.size.1.saturating_sub(2)
    }

    fn view(&self) -> &View {
        &self.place().view
    }

    fn place(&self) -> &Place {
        self.places.last().unwrap_or(&self.home)
    }

    fn place_mut(&mut self) -> &mut Place {
        self.places.last_mut().unwrap_or(&mut self.home)
    }
}
