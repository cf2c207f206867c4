use std::fmt::Write;

use crate::{
    measure::{Results, Row},
    store::Transport,
};

const WIDTH: f64 = 860.0;
/// Where names end and the scale begins.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 84.0;
const LINE: f64 = 28.0;
const BAR: f64 = 16.0;
const BOTTOM: f64 = 44.0;

/// Colours that differ for everybody, on white in a light page as in a dark one.
const PARTS: [(&str, &str); 3] =
    [("init before warm-up", "#4477aa"), ("warm-up", "#88ccee"), ("first call", "#ddaa33")];
const BOX: &str = "#4477aa";
const REFERENCE_BOX: &str = "#888888";

/// Cold starts: for each function a bar of what comes before its first answer.
pub(super) fn cold_starts(results: &Results) -> String {
    let rows: Vec<(&Row, [f64; 3])> = shown(results)
        .filter_map(|row| {
            let cold = row.cold.as_ref()?;
            let before = cold.before_warm_up.p50 / 1000.0;
            Some((row, [before, cold.init.p50 / 1000.0 - before, cold.first_call.p50 / 1000.0]))
        })
        .collect();
    let longest = rows.iter().map(|(_, parts)| parts.iter().sum()).fold(1.0, f64::max);
    let mut plot = Plot::new("Cold start over https, p50 in ms", rows.len());
    let step = nice_step(longest / 8.0);
    let x = |value: f64| LEFT + value / longest * (WIDTH - LEFT - RIGHT);
    let mut mark = 0.0;
    while mark <= longest {
        plot.mark(x(mark), &format!("{mark}"));
        mark += step;
    }
    for ((name, colour), place) in PARTS.iter().zip([0.0, 170.0, 270.0]) {
        plot.rectangle(LEFT + place, 46.0, 12.0, 12.0, colour);
        plot.text(LEFT + place + 18.0, 56.0, "start", name);
    }
    for (index, (row, parts)) in rows.iter().enumerate() {
        let y = plot.name(index, row);
        let mut from = 0.0;
        for (part, (_, colour)) in parts.iter().zip(PARTS) {
            plot.rectangle(x(from), y - BAR / 2.0, x(from + part) - x(from), BAR, colour);
            from += part;
        }
        plot.text(x(from) + 6.0, y + 4.0, "start", &format!("{from:.1}"));
    }
    plot.finish()
}

/// Warm calls: for each target where the middle half of its calls lies, and all but the extremes.
pub(super) fn warm_latency(results: &Results) -> String {
    let rows: Vec<&Row> = shown(results).collect();
    let of =
        |row: &Row, percent: usize| row.warm.percentiles.get(percent - 1).copied().unwrap_or(1.0).max(1.0);
    let least = rows.iter().map(|row| of(row, 1)).fold(f64::MAX, f64::min).min(1e6).log10().floor();
    let most = rows.iter().map(|row| of(row, 99)).fold(10.0, f64::max).log10().ceil();
    let x = |value: f64| LEFT + (value.log10() - least) / (most - least).max(1.0) * (WIDTH - LEFT - RIGHT);
    let mut plot = Plot::new("Warm calls over https", rows.len());
    plot.text(LEFT, 56.0, "start", "line: p1 to p99 · box: p25 to p75 · bar and figure: p50");
    for exponent in least as i32..=most as i32 {
        for factor in [1.0, 3.0] {
            let value = factor * 10_f64.powi(exponent);
            if value.log10() <= most {
                plot.mark(x(value), &duration(value));
            }
        }
    }
    for (index, row) in rows.iter().enumerate() {
        let y = plot.name(index, row);
        let colour = if row.program.is_service() { BOX } else { REFERENCE_BOX };
        let [p1, p25, p50, p75, p99] = [1, 25, 50, 75, 99].map(|percent| x(of(row, percent)));
        plot.rectangle(p1, y - 1.0, p99 - p1, 2.0, colour);
        plot.rectangle(p25, y - BAR / 2.0, (p75 - p25).max(1.0), BAR, colour);
        plot.rectangle(p50 - 1.5, y - BAR / 2.0 - 3.0, 3.0, BAR + 6.0, "#222222");
        plot.text(p99 + 8.0, y + 4.0, "start", &duration(of(row, 50)));
    }
    plot.finish()
}

/// Over https, as it is with AWS; over http, if there is nothing else.
fn shown(results: &Results) -> impl Iterator<Item = &Row> {
    let secured = results.rows.iter().any(|row| row.transport == Transport::Https);
    results.rows.iter().filter(move |row| (row.transport == Transport::Https) == secured)
}

/// Microseconds as they are read most easily.
fn duration(us: f64) -> String {
    match us {
        10_000.0.. => format!("{:.0} ms", us / 1000.0),
        1000.0.. if us % 1000.0 > 0.0 => format!("{:.1} ms", us / 1000.0),
        1000.0.. => format!("{} ms", us / 1000.0),
        _ => format!("{us:.0} µs"),
    }
}

/// The next of 1, 2, 5, 10, 20 …
fn nice_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= least)
        .unwrap_or(power)
}

/// An SVG in the making: lines of a table, with a scale.
struct Plot {
    svg: String,
    bottom: f64,
}

impl Plot {
    fn new(title: &str, lines: usize) -> Self {
        let bottom = TOP + LINE * lines as f64;
        let height = bottom + BOTTOM;
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222222\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"28\" font-size=\"17\" font-weight=\"bold\">{title}</text>\n"
        );
        Self { svg, bottom }
    }

    /// A line of the scale, with its value below.
    fn mark(&mut self, x: f64, value: &str) {
        self.rectangle(x - 0.5, TOP - 8.0, 1.0, self.bottom - TOP + 8.0, "#dddddd");
        self.text(x, self.bottom + 20.0, "middle", value);
    }

    /// The name of a line; gives the height of its middle.
    fn name(&mut self, index: usize, row: &Row) -> f64 {
        let y = TOP + LINE * (index as f64 + 0.5);
        let name = match &row.build {
            Some(build) if build != crate::measure::THIS_BUILD => format!("{} ({build})", row.target),
            _ => row.target.clone(),
        };
        self.text(LEFT - 12.0, y + 4.0, "end", &name);
        y
    }

    fn rectangle(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(
            self.svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
        );
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(self.svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
    }

    fn finish(self) -> String {
        self.svg + "</svg>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_round_steps() {
        assert_eq!([0.7, 1.0, 1.2, 3.0, 7.0, 45.0].map(nice_step), [1.0, 1.0, 2.0, 5.0, 10.0, 50.0]);
    }

    #[test]
    fn durations_are_short() {
        let texts = [22.4, 500.0, 1000.0, 2099.0, 17_091.0].map(duration);
        assert_eq!(texts, ["22 µs", "500 µs", "1 ms", "2.1 ms", "17 ms"]);
    }

    #[test]
    fn text_can_hold_anything() {
        let mut plot = Plot::new("t", 1);
        plot.text(0.0, 0.0, "end", "a<b & c");
        assert!(plot.finish().contains("a&lt;b &amp; c"));
    }
}
