//! Bars in SVG: groups of horizontal bars with their values beside them.
//!
//! Written by hand: a rectangle and a text for each bar is all there is. A bar that is longer
//! than the scale is cut there and its value still shown. Colours are readable on white, which
//! is drawn, and differ in lightness too.

use std::fmt::Write as _;

/// A plot to be drawn.
#[derive(Debug)]
pub(super) struct Bars<'a> {
    /// Above everything: what is shown, and its unit.
    pub(super) title: &'a str,
    /// The names of the bars in each group; without a legend where there is one.
    pub(super) series: &'a [&'a str],
    /// Groups from top to bottom: a name, and a value for each of the series, where there is one.
    pub(super) groups: &'a [(String, Vec<Option<f64>>)],
    /// The value at the right end.
    pub(super) most: f64,
    /// Where a line is drawn: what all is compared with.
    pub(super) line: f64,
}

const COLOURS: [&str; 6] = ["#1b4f72", "#e67e22", "#85c1e9", "#7d3c98", "#52be80", "#aab7b8"];
const WIDTH: f64 = 860.0;
const LEFT: f64 = 230.0;
const RIGHT: f64 = 70.0;
const TOP: f64 = 34.0;
const BAR: f64 = 12.0;
const GAP: f64 = 8.0;

impl Bars<'_> {
    /// The whole file.
    pub(super) fn svg(&self) -> String {
        let legend = if self.series.len() > 1 { 22.0 } else { 0.0 };
        let bars: usize =
            self.groups.iter().map(|(_, values)| values.iter().flatten().count()).sum();
        let bottom = TOP + legend + BAR * bars as f64 + GAP * self.groups.len() as f64;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n",
            height = bottom + 10.0
        );
        text(&mut out, (10.0, 20.0), "start", self.title);
        if legend > 0.0 {
            self.legend(&mut out);
        }
        let mut y = TOP + legend;
        for (name, values) in self.groups {
            let count = values.iter().flatten().count() as f64;
            text(&mut out, (LEFT - 8.0, y + BAR * count / 2.0 + 4.0), "end", name);
            for (number, value) in values.iter().enumerate() {
                let Some(value) = value else { continue };
                self.bar(&mut out, y, number, *value);
                y += BAR;
            }
            y += GAP;
        }
        let x = LEFT + self.length(self.line);
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"black\" \
             stroke-dasharray=\"3 3\"/>\n</svg>",
            TOP + legend - 4.0
        );
        out
    }

    fn length(&self, value: f64) -> f64 {
        (WIDTH - LEFT - RIGHT) * (value / self.most).clamp(0.0, 1.0)
    }

    fn bar(&self, out: &mut String, y: f64, number: usize, value: f64) {
        let length = self.length(value);
        rectangle(out, (LEFT, y), length, number);
        let cut = if value > self.most { "… " } else { "" };
        text(out, (LEFT + length + 4.0, y + BAR - 2.5), "start", &format!("{cut}{value:.2}"));
    }

    fn legend(&self, out: &mut String) {
        let step = (WIDTH - 20.0) / self.series.len() as f64;
        for (number, name) in self.series.iter().enumerate() {
            let x = 10.0 + step * number as f64;
            rectangle(out, (x, TOP - 4.0), 12.0, number);
            text(out, (x + 17.0, TOP + 5.5), "start", name);
        }
    }
}

fn rectangle(out: &mut String, (x, y): (f64, f64), width: f64, number: usize) {
    let (height, colour) = (BAR - 2.0, COLOURS[number % COLOURS.len()]);
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
    );
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ =
        writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(series: &[&str], groups: &[(String, Vec<Option<f64>>)]) -> String {
        Bars { title: "a < b & c", series, groups, most: 2.0, line: 1.0 }.svg()
    }

    fn widths(svg: &str) -> Vec<f64> {
        let bars = svg.lines().filter(|line| line.contains("height=\"10\""));
        bars.map(|line| line.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
            .collect::<Option<_>>()
            .expect("widths are numbers")
    }

    #[test]
    fn a_bar_is_as_long_as_its_value_and_no_longer_than_the_scale() {
        let groups = [("one".to_owned(), vec![Some(1.0)]), ("far".to_owned(), vec![Some(7.0)])];
        let svg = drawn(&["ratio"], &groups);
        assert_eq!(widths(&svg), [280.0, 560.0]);
        assert!(svg.contains(">1.00</text>") && svg.contains(">… 7.00</text>"), "{svg}");
    }

    #[test]
    fn what_was_not_measured_has_no_bar() {
        let groups = [("one".to_owned(), vec![Some(1.0), None, Some(2.0)])];
        let svg = drawn(&["a", "b", "c"], &groups);
        // Three of the legend, two of values.
        assert_eq!(widths(&svg), [12.0, 12.0, 12.0, 280.0, 560.0]);
    }

    #[test]
    fn words_stay_words() {
        let svg = drawn(&["ratio"], &[]);
        assert!(svg.contains("a &lt; b &amp; c"), "{svg}");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    }
}
