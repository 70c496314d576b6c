//! The part of the output that shows what happens while it happens.

use std::{
    collections::BTreeMap,
    env,
    io::{self, IsTerminal, Write},
    mem,
    time::Duration,
};

use pulumi_deployments_operator::api::deployment::Phase;

use crate::{
    board::{Board, Run},
    table::{self, Cell, Colour},
};

/// Writes a line for the person who watches, who may be gone.
pub fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Whether colours are wanted.
#[must_use]
pub fn colours() -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !refused
}

/// Shows boards: as a table that is drawn again in its place, or a line for each change.
pub struct Screen {
    in_place: bool,
    /// Lines of the table that is on the terminal.
    drawn: usize,
    /// What was said last of each run, and of all the rest.
    said: BTreeMap<String, String>,
}

impl Screen {
    /// `in_place`: draw a table on a terminal.
    #[must_use]
    pub fn new(in_place: bool) -> Self {
        Self { in_place: in_place && io::stdout().is_terminal(), drawn: 0, said: BTreeMap::new() }
    }

    /// Shows how everything stands.
    pub fn show(&mut self, board: &Board, elapsed: Duration) {
        if self.in_place {
            self.draw(board, elapsed);
        } else {
            self.tell(board, elapsed);
        }
    }

    /// Takes the table away: the final one takes its place.
    pub fn finish(&mut self) {
        if self.in_place {
            write(&self.erase());
        }
    }

    fn draw(&mut self, board: &Board, elapsed: Duration) {
        let rows = board
            .runs
            .iter()
            .map(|run| {
                let colour = colour(run);
                [
                    (&run.name).into(),
                    (&run.operation).into(),
                    Cell::new(run.word(), colour),
                    where_it_stands(run).into(),
                ]
            })
            .collect();
        let mut lines = vec![String::new()];
        lines.extend(table::lines(["DEPLOYMENT", "OPERATION", "PHASE", "STEP, OR WHAT IT WAITS FOR"], rows, colours()));
        lines.push(format!("  {} s, {}", elapsed.as_secs(), rest(board)));

        // A line that is too long is cut off by the terminal instead of becoming two, which would be drawn over wrongly.
        write(&format!("\x1b[?7l{}{}\n\x1b[?7h", self.erase(), lines.join("\n")));
        self.drawn = lines.len();
    }

    /// What takes the table away: it goes up to its first line, and clears everything from there on.
    fn erase(&mut self) -> String {
        match mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }

    fn tell(&mut self, board: &Board, elapsed: Duration) {
        if self.said.is_empty() {
            say("");
        }
        let width = board.runs.iter().map(|run| run.name.len()).max().unwrap_or_default();
        let runs =
            board.runs.iter().map(|run| (run.name.clone(), format!("{:9}  {}", run.word(), where_it_stands(run))));
        for (who, what) in runs.chain([(String::new(), rest(board))]) {
            if self.said.get(&who) != Some(&what) {
                let who_and_what = if who.is_empty() { what.clone() } else { format!("{who:width$}  {what}") };
                say(format!("  {:>3} s  {who_and_what}", elapsed.as_secs()).trim_end());
                self.said.insert(who, what);
            }
        }
    }
}

fn write(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

fn colour(run: &Run) -> Colour {
    match (&run.ended, run.phase) {
        (Some(_), _) if run.is_as_expected() => Colour::Green,
        (Some(_), _) => Colour::Red,
        (None, Some(Phase::Running)) => Colour::Blue,
        (None, _) => Colour::Plain,
    }
}

/// The step; while there is none, what is waited for.
fn where_it_stands(run: &Run) -> String {
    match (&run.step, run.phase) {
        (Some(step), _) => step.clone(),
        (None, Some(Phase::Pending)) if run.ended.is_none() => run.reason.clone(),
        (None, _) => String::new(),
    }
}

/// What there is apart from runs.
fn rest(board: &Board) -> String {
    let ready = |declared: &[crate::board::Declared]| {
        format!("{} of {}", declared.iter().filter(|declared| declared.ready).count(), declared.len())
    };
    format!("settings in sync: {}, organizations connected: {}", ready(&board.settings), ready(&board.organizations))
}
