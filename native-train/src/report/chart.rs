//! Charts as inline SVG, coloured by the page's style sheet, so that they follow its light and dark colours and print.

use std::fmt::Write;

/// What is drawn in a chart, in its own units.
pub enum Mark {
    /// A line through points; `series` is the number of its colour.
    Line { series: usize, points: Vec<(f64, f64)> },
    /// Single points.
    Dots { series: usize, points: Vec<(f64, f64)> },
    /// A line across the chart at `x`.
    Upright { x: f64, faint: bool },
    /// The range from `low` to `high` on the horizontal axis.
    Band { low: f64, high: f64 },
    /// A range on the horizontal axis with a point within it, in the row `y`.
    Whisker { low: f64, value: f64, high: f64, y: f64 },
    /// The line on which both axes are equal.
    Diagonal,
}

/// An axis from `low` to `high`, with a name and some numbers beside it.
pub struct Axis {
    pub name: &'static str,
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<(f64, String)>,
}

/// A chart of `width` by `height` pixels.
pub struct Chart {
    /// What it shows, for who cannot see it.
    pub description: String,
    pub width: f64,
    pub height: f64,
    pub x: Axis,
    pub y: Axis,
    pub marks: Vec<Mark>,
}

/// The colours of the style sheet.
pub const SERIES: usize = 6;

/// The room for names and numbers; to the left as much as the longest needs.
const LEFT: f64 = 44.0;
const CHARACTER: f64 = 5.4;
const BOTTOM: f64 = 34.0;
const TOP: f64 = 8.0;
const RIGHT: f64 = 12.0;

impl Axis {
    /// From 0 to 1, with numbers at the quarters.
    pub fn share(name: &'static str) -> Self {
        let ticks = [0.0, 0.25, 0.5, 0.75, 1.0].map(|at| (at, format!("{at}"))).to_vec();
        Self { name, low: 0.0, high: 1.0, ticks }
    }

    /// From `low` to `high` with a number at every `step`.
    pub fn between(name: &'static str, low: f64, high: f64, step: f64) -> Self {
        let ticks = ((low / step).ceil() as i64..=(high / step).floor() as i64)
            .map(|tick| tick as f64 * step)
            .map(|at| (at, format!("{at:.2}")))
            .collect();
        Self { name, low, high, ticks }
    }

    /// From 0 or the least of `values` to the greatest, with round numbers.
    pub fn of(name: &'static str, values: impl Iterator<Item = f64> + Clone) -> Self {
        let high = values.clone().fold(f64::MIN, f64::max);
        let low = values.fold(0.0, f64::min);
        let high = if high > low { high } else { low + 1.0 };
        // The power of ten, or twice or five times it, that makes three to seven steps.
        let power = 10f64.powf(((high - low) / 3.0).log10().floor());
        let step = [5.0, 2.0, 1.0].map(|times| times * power);
        let step = step.into_iter().find(|step| (high - low) / step >= 3.0).unwrap_or(power);
        let first = (low / step).ceil() as i64;
        let last = (high / step).floor() as i64;
        let digits = (-step.log10().floor()).max(0.0) as usize;
        let text = |at: f64| match digits {
            0..=3 => format!("{at:.digits$}"),
            _ if at == 0.0 => "0".to_owned(),
            _ => format!("{at:.1e}").replace(".0e", "e"),
        };
        let ticks = (first..=last).map(|tick| tick as f64 * step);
        Self { name, low, high, ticks: ticks.map(|at| (at, text(at))).collect() }
    }

    fn part(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

impl Chart {
    /// The chart as an `svg` element.
    pub fn svg(&self) -> String {
        let mut svg = format!(
            "<svg role=\"img\" viewBox=\"0 0 {} {}\" width=\"{0}\" height=\"{1}\" aria-label=\"{}\">",
            self.width,
            self.height,
            escaped(&self.description)
        );
        let (left, right) = (self.margin(), self.width - RIGHT);
        let bottom = self.height - BOTTOM;
        for (at, text) in &self.x.ticks {
            let x = short(self.left(*at));
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{x} {TOP}V{bottom}\"/><text x=\"{x}\" y=\"{}\" \
                 text-anchor=\"middle\">{}</text>",
                bottom + 13.0,
                escaped(text)
            );
        }
        for (at, text) in &self.y.ticks {
            let y = self.top(*at);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{left} {}H{right}\"/><text x=\"{}\" y=\"{}\" \
                 text-anchor=\"end\">{}</text>",
                short(y),
                short(left - 5.0),
                short(y + 3.5),
                escaped(text)
            );
        }
        let middle = f64::midpoint(left, right);
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            short(middle),
            self.height - 5.0,
            self.x.name
        );
        let middle = f64::midpoint(TOP, bottom);
        let _ = write!(
            svg,
            "<text x=\"11\" y=\"{0}\" text-anchor=\"middle\" transform=\"rotate(-90 11 {0})\">{1}</text>",
            short(middle),
            self.y.name
        );
        self.marks.iter().for_each(|mark| self.draw(mark, &mut svg));
        svg + "</svg>"
    }

    fn draw(&self, mark: &Mark, svg: &mut String) {
        let bottom = self.height - BOTTOM;
        let _ = match mark {
            Mark::Line { series, points } => {
                let mut path = String::new();
                for (place, &(x, y)) in points.iter().enumerate() {
                    let command = if place == 0 { 'M' } else { 'L' };
                    let _ = write!(path, "{command}{} {}", short(self.left(x)), short(self.top(y)));
                }
                write!(svg, "<path class=\"line s{}\" d=\"{path}\"/>", series % SERIES)
            }
            Mark::Dots { series, points } => points.iter().try_for_each(|&(x, y)| {
                let (x, y) = (short(self.left(x)), short(self.top(y)));
                write!(
                    svg,
                    "<circle class=\"s{}\" cx=\"{x}\" cy=\"{y}\" r=\"3.5\"/>",
                    series % SERIES
                )
            }),
            Mark::Upright { x, faint } => {
                let class = if *faint { "faint" } else { "chosen" };
                write!(
                    svg,
                    "<path class=\"{class}\" d=\"M{} {TOP}V{bottom}\"/>",
                    short(self.left(*x))
                )
            }
            Mark::Band { low, high } => {
                let (low, high) = (self.left(*low), self.left(*high));
                write!(
                    svg,
                    "<rect class=\"band\" x=\"{}\" y=\"{TOP}\" width=\"{}\" height=\"{}\"/>",
                    short(low),
                    short((high - low).max(1.0)),
                    bottom - TOP
                )
            }
            Mark::Whisker { low, value, high, y } => {
                let y = short(self.top(*y));
                let [low, value, high] = [low, value, high].map(|x| short(self.left(*x)));
                write!(
                    svg,
                    "<path class=\"line s0\" d=\"M{low} {y}H{high}\"/><circle class=\"s0\" cx=\"{value}\" cy=\"{y}\" \
                     r=\"4\"/>"
                )
            }
            Mark::Diagonal => {
                let (left, right) = (short(self.margin()), short(self.left(self.x.high)));
                let top = short(self.top(self.y.high));
                write!(svg, "<path class=\"faint\" d=\"M{left} {bottom}L{right} {top}\"/>")
            }
        };
    }

    /// Where the drawing begins.
    fn margin(&self) -> f64 {
        let longest = self.y.ticks.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0);
        let name = if self.y.name.is_empty() { 0.0 } else { 16.0 };
        LEFT.max(name + 6.0 + CHARACTER * longest as f64)
    }

    fn left(&self, x: f64) -> f64 {
        let margin = self.margin();
        margin + self.x.part(x) * (self.width - margin - RIGHT)
    }

    fn top(&self, y: f64) -> f64 {
        self.height - BOTTOM - self.y.part(y) * (self.height - BOTTOM - TOP)
    }
}

/// The most labels that a table of squares is small for.
pub const FEW_LABELS: usize = 12;

/// A table of shares as squares, the more intense the higher: a row and a column for each name. `None` is left blank.
/// Intensity is the root of the share, so that small shares can be told apart.
pub fn heat_map(description: &str, names: &[String], values: &[Vec<Option<f64>>]) -> String {
    let cell = if names.len() > FEW_LABELS { 20.0 } else { 34.0 };
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64;
    let room = 10.0 + 6.2 * longest;
    let size = room + cell * names.len() as f64;
    let mut svg = format!(
        "<svg role=\"img\" viewBox=\"0 0 {0} {0}\" width=\"{0}\" height=\"{0}\" aria-label=\"{1}\">",
        short(size),
        escaped(description)
    );
    for (row, name) in names.iter().enumerate() {
        let middle = short(room + cell * (row as f64 + 0.5) + 3.5);
        let (right, name) = (short(room - 5.0), escaped(name));
        let _ = write!(
            svg,
            "<text x=\"{right}\" y=\"{middle}\" text-anchor=\"end\">{name}</text><text x=\"0\" y=\"0\" \
             transform=\"translate({middle} {right}) rotate(-90)\">{name}</text>"
        );
    }
    for (row, values) in values.iter().enumerate() {
        for (column, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            let at = |place: usize| short(room + cell * place as f64);
            let _ = write!(
                svg,
                "<rect class=\"heat\" x=\"{}\" y=\"{}\" width=\"{cell}\" height=\"{cell}\" opacity=\"{:.2}\"/>",
                at(column),
                at(row),
                value.clamp(0.0, 1.0).sqrt(),
            );
        }
    }
    svg + "</svg>"
}

/// A coordinate with one digit after the point, or none.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A text within an element or an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_numbers() {
        let ticks = |values: &[f64]| -> Vec<String> {
            let axis = Axis::of("x", values.iter().copied());
            axis.ticks.into_iter().map(|(_, text)| text).collect()
        };
        assert_eq!(ticks(&[0.1, 0.69]), ["0.0", "0.2", "0.4", "0.6"]);
        assert_eq!(ticks(&[3.0, 1840.0]), ["0", "500", "1000", "1500"]);
        assert_eq!(ticks(&[0.0, 2e-4]), ["0", "5e-5", "1e-4", "1.5e-4", "2e-4"]);
        assert_eq!(ticks(&[0.0, 0.0]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
    }

    #[test]
    fn points_lie_where_their_values_are_and_names_are_escaped() {
        let chart = Chart {
            description: "F1 & \"more\" <x>".into(),
            width: 156.0,
            height: 142.0,
            x: Axis::share("x"),
            y: Axis::share("y"),
            marks: vec![Mark::Line { series: 7, points: vec![(0.0, 0.0), (0.5, 1.0), (2.0, 0.5)] }],
        };
        let svg = chart.svg();
        assert!(svg.contains("aria-label=\"F1 &amp; &quot;more&quot; &lt;x&gt;\""), "{svg}");
        // The drawing is 100 pixels wide and high; what lies outside is drawn at the edge.
        assert!(svg.contains("<path class=\"line s1\" d=\"M44 108L94 8L144 58\"/>"), "{svg}");
    }
}
