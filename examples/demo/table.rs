//! Tables of text.

/// A cell, with the colour that it has on a terminal.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    colour: Colour,
}

/// A colour of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// None.
    Plain,
    /// For what is less important.
    Dim,
    /// For what is under way.
    Blue,
    /// For what is well.
    Green,
    /// For what is not.
    Red,
}

impl Colour {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Blue => "\x1b[34m",
            Self::Green => "\x1b[32m",
            Self::Red => "\x1b[31m",
        }
    }

    /// The text in this colour, if colours are wanted.
    #[must_use]
    pub fn paint(self, text: &str, colours: bool) -> String {
        match self {
            Self::Plain => text.to_owned(),
            _ if colours && !text.is_empty() => format!("{}{text}\x1b[0m", self.code()),
            _ => text.to_owned(),
        }
    }
}

impl Cell {
    /// A cell in a colour.
    #[must_use]
    pub fn new(text: impl Into<String>, colour: Colour) -> Self {
        Self { text: text.into(), colour }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Colour::Plain)
    }
}

/// The lines of a table, indented, with its columns as wide as they must be.
#[must_use]
pub fn lines<const N: usize>(header: [&str; N], rows: Vec<[Cell; N]>, colours: bool) -> Vec<String> {
    let header = header.map(|title| Cell::new(title, Colour::Dim));
    let rows: Vec<[Cell; N]> = std::iter::once(header).chain(rows).collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or_default());
    rows.iter().map(|row| line(row, widths, colours)).collect()
}

fn line<const N: usize>(row: &[Cell; N], widths: [usize; N], colours: bool) -> String {
    let mut line = String::new();
    let mut gap = 2;
    for (cell, column) in row.iter().zip(widths) {
        if !cell.text.is_empty() {
            line.push_str(&" ".repeat(gap));
            line.push_str(&cell.colour.paint(&cell.text, colours));
            gap = 0;
        }
        gap += column - width(cell) + 2;
    }
    line
}

fn width(cell: &Cell) -> usize {
    cell.text.chars().count()
}
