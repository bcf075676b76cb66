//! What was reached, beside the bars of the design.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Percentiles of a set of times.
#[derive(Clone, Copy)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
}

/// In milliseconds; zero for an empty set.
pub(crate) fn percentiles(times: &[Duration]) -> Percentiles {
    let Ok(mut histogram) = Histogram::<u64>::new(3) else { unreachable!("three significant digits are valid") };
    for time in times {
        // Grows as needed; the saturating way would keep every time at the largest of an empty histogram.
        let _fits = histogram.record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
    Percentiles { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}

/// The middle one of some numbers; NaN when there are none.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One line of the table: a number, and on which side of its bar it must be.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) reached: f64,
    pub(crate) unit: &'static str,
    pub(crate) bar: Option<Bar>,
}

/// A bar of the design.
#[derive(Clone, Copy)]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

impl Row {
    fn ok(&self) -> Option<bool> {
        self.bar.map(|bar| match bar {
            Bar::AtMost(bar) => self.reached <= bar,
            Bar::AtLeast(bar) => self.reached >= bar,
        })
    }

    /// How far it is from the bar: 1.00 is on it, less is better.
    fn of_bar(&self) -> Option<f64> {
        self.bar.map(|bar| match bar {
            // A bar of nothing: nothing reaches it, anything is infinitely far.
            Bar::AtMost(0.0) if self.reached == 0.0 => 0.0,
            Bar::AtMost(bar) => self.reached / bar,
            Bar::AtLeast(bar) => bar / self.reached,
        })
    }

    fn json(&self) -> Value {
        let (bar, side) = match self.bar {
            Some(Bar::AtMost(bar)) => (Some(bar), Some("at_most")),
            Some(Bar::AtLeast(bar)) => (Some(bar), Some("at_least")),
            None => (None, None),
        };
        json!({"what": self.what, "reached": self.reached, "unit": self.unit, "bar": bar, "side": side, "ok": self.ok()})
    }
}

/// Prints the table, or the JSON.
#[expect(clippy::print_stdout, reason = "the report is this program's output")]
pub(crate) fn print(rows: &[Row], note: &str, as_json: bool) {
    if as_json {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        println!("{}", json!({"rows": rows, "note": note}));
        return;
    }
    println!("{:<58} {:>12} {:<6} {:>12} {:>9}", "what", "reached", "unit", "bar", "of bar");
    for row in rows {
        let bar = match row.bar {
            Some(Bar::AtMost(bar)) => format!("<= {bar}"),
            Some(Bar::AtLeast(bar)) => format!(">= {bar}"),
            None => String::new(),
        };
        let verdict = match row.ok() {
            Some(true) => "ok",
            Some(false) => "MISSED",
            None => "",
        };
        let of_bar = row.of_bar().map_or(String::new(), |share| format!("{share:.2}"));
        println!("{:<58} {:>12.2} {:<6} {bar:>12} {of_bar:>9} {verdict}", row.what, row.reached, row.unit);
    }
    println!("{note}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_milliseconds_of_what_was_recorded() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        let Percentiles { p50, p95, p99 } = percentiles(&times);
        assert!((49.0..51.0).contains(&p50) && (94.0..96.0).contains(&p95) && (98.0..100.0).contains(&p99));
    }
}
