//! Plain tables: a line that says what is measured, then aligned columns.
//!
//! The first column is aligned left, the others right. Prints; keeps nothing.

/// A table that is being filled.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one with these headings.
    pub(super) fn new<S: ToString>(headings: &[S]) -> Self {
        Self { rows: vec![headings.iter().map(S::to_string).collect()] }
    }

    /// Adds a row; cells that are missing stay empty.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The cells, the headings first.
    pub(super) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// The same as a table of Markdown.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            text += &format!("| {} |\n", row.join(" | "));
            if number == 0 {
                text += &format!("| --- |{}\n", " ---: |".repeat(row.len() - 1));
            }
        }
        text
    }

    /// Prints it under what it measures.
    pub(super) fn print(&self, what: &str) {
        println!("{what}\n");
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column| {
            let cells = self.rows.iter().filter_map(|row: &Vec<String>| row.get(column));
            cells.map(|cell: &String| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            println!("  {}", line(row, &widths));
            if number == 0 {
                let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                println!("  {}", dashes.join("  "));
            }
        }
        println!();
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
        let padding = " ".repeat(width - cell.chars().count());
        line +=
            &if column == 0 { format!("{cell}{padding}") } else { format!("  {padding}{cell}") };
    }
    line.trim_end().to_owned()
}

/// A ratio, or a dash.
pub(super) fn ratio(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or_else(dash, |value| format!("{value:.2}"))
}

/// Microseconds as they are.
pub(super) fn microseconds(value: f64) -> String {
    format!("{value:.0}")
}

/// Microseconds, as milliseconds with as many digits as mean something.
pub(super) fn milliseconds(value: f64) -> String {
    let value = value / 1000.0;
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") }
}

/// Bytes as KB of a thousand.
pub(super) fn kilobytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1000.0)
}

/// Bytes as MB of a million.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1e6)
}

/// What stands where nothing was measured.
pub(super) fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_has_a_rule_below_its_headings_and_numbers_at_the_right() {
        let mut table = Table::new(&["program", "ms", "ratio"]);
        table.row(vec!["sort".to_owned(), "1.20".to_owned(), "1.05".to_owned()]);
        assert_eq!(
            table.markdown(),
            "| program | ms | ratio |\n| --- | ---: | ---: |\n| sort | 1.20 | 1.05 |\n"
        );
    }
}
