//! A drawing of cost against number of rules, both on logarithmic scales.

use std::fmt::Write as _;

/// A line: its name, and for each number of rules the nanoseconds a ticket takes.
pub(crate) type Line = (String, Vec<(usize, f64)>);

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 50.0;
/// Powers of ten: rules from 10 to 100,000, and from 100 ns to 1 s.
const RULES: (i32, i32) = (1, 5);
const TIME: (i32, i32) = (2, 9);
/// Told apart by whoever sees no red or no green, too.
const COLOURS: [&str; 6] = ["#0072b2", "#56b4e9", "#999999", "#d55e00", "#cc79a7", "#009e73"];

/// The drawing, as SVG.
pub(crate) fn svg(lines: &[Line]) -> String {
    let mut made = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<title>What matching one ticket costs, by the number of rules</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    for power in RULES.0..=RULES.1 {
        let x = x(10_f64.powi(power));
        let label = 10_u64.pow(power.unsigned_abs());
        let _ = writeln!(
            made,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 18.0
        );
    }
    for power in TIME.0..=TIME.1 {
        let y = y(10_f64.powi(power));
        let label = ["100 ns", "1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"]
            [(power - TIME.0).unsigned_abs() as usize];
        let _ = writeln!(
            made,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0
        );
    }
    let _ = writeln!(
        made,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">rules, of which 10 match</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 10.0
    );
    for ((name, points), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let path: Vec<String> =
            points.iter().map(|(rules, time)| format!("{:.1},{:.1}", x(count(*rules)), y(*time))).collect();
        let _ = writeln!(
            made,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>",
            path.join(" ")
        );
        if let Some((rules, time)) = points.last() {
            let _ = writeln!(
                made,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
                x(count(*rules)) + 8.0,
                y(*time) + 4.0
            );
        }
    }
    made + "</svg>\n"
}

#[allow(clippy::cast_precision_loss)]
fn count(rules: usize) -> f64 {
    rules as f64
}

fn x(rules: f64) -> f64 {
    LEFT + (rules.log10() - f64::from(RULES.0)) / f64::from(RULES.1 - RULES.0) * (WIDTH - LEFT - RIGHT)
}

fn y(nanoseconds: f64) -> f64 {
    let share = (nanoseconds.log10() - f64::from(TIME.0)) / f64::from(TIME.1 - TIME.0);
    HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
}
