//! Aligned columns for people.

use std::fmt::Write;

/// Rows whose columns line up; colours in cells do not count as width.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column titles.
    #[must_use]
    pub fn new(titles: &[&str]) -> Self {
        Self { rows: vec![titles.iter().map(ToString::to_string).collect()] }
    }

    /// A table without titles.
    #[must_use]
    pub fn plain() -> Self {
        Self::default()
    }

    /// Adds a row.
    pub fn row<I: IntoIterator<Item = S>, S: Into<String>>(&mut self, cells: I) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

/// Two blanks between columns, none at the end of a line.
impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|c| {
                // A row of one cell is a title: it widens no column.
                let rows = self.rows.iter().filter(|r| columns == 1 || r.len() > 1);
                rows.filter_map(|r| r.get(c)).map(|cell| width(cell)).max().unwrap_or(0)
            })
            .collect();
        for (n, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (cell, &column) in row.iter().zip(&widths) {
                write!(line, "{cell}{:1$}", "", (column + 2).saturating_sub(width(cell)))?;
            }
            if n > 0 {
                f.write_char('\n')?;
            }
            f.write_str(line.trim_end())?;
        }
        Ok(())
    }
}

/// Characters a terminal shows: everything but `ESC [ … m`.
fn width(cell: &str) -> usize {
    let (mut shown, mut escape) = (0, false);
    for c in cell.chars() {
        match c {
            '\x1b' => escape = true,
            'm' if escape => escape = false,
            _ if !escape => shown += 1,
            _ => {}
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_colours() {
        let mut table = Table::new(&["JAIL", "BANS"]);
        table.row(["james", "4"]);
        table.row(["\x1b[31msshd-with-a-long-name\x1b[0m", "12"]);
        assert_eq!(
            table.to_string(),
            "JAIL                   BANS\njames                  4\n\x1b[31msshd-with-a-long-name\x1b[0m  12"
        );
    }
}
