//! A histogram with fixed bounds.
//!
//! Must not know: what is measured.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many observations fell where.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    /// One for each bound, of the observations up to it and above the one before; the last has no bound.
    buckets: Vec<u64>,
    sum: f64,
}

impl Histogram {
    /// Nothing observed; `bounds` ascend.
    pub fn new(bounds: &'static [f64]) -> Self {
        let counts = Counts {
            buckets: vec![0; bounds.len() + 1],
            sum: 0.0,
        };
        Self {
            bounds,
            counts: Mutex::new(counts),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an observation.
    pub fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        let mut counts = self.counts();
        counts.buckets[bucket] += 1;
        counts.sum += value;
    }

    /// The sum of all observations.
    pub fn sum(&self) -> f64 {
        self.counts().sum
    }

    /// Their mean, if there are any.
    pub fn mean(&self) -> Option<f64> {
        let counts = self.counts();
        let number: u64 = counts.buckets.iter().sum();
        (number > 0).then(|| counts.sum / number as f64)
    }

    /// Appends its lines, in Prometheus' text format.
    pub fn write(&self, name: &str, label: &str, out: &mut String) {
        let counts = self.counts();
        let mut so_far = 0;
        for (index, count) in counts.buckets.iter().enumerate() {
            so_far += count;
            let bound = self
                .bounds
                .get(index)
                .map_or("+Inf".to_owned(), f64::to_string);
            let _ = writeln!(out, "{name}_bucket{{{label},le=\"{bound}\"}} {so_far}");
        }
        let _ = writeln!(out, "{name}_sum{{{label}}} {}", counts.sum);
        let _ = writeln!(out, "{name}_count{{{label}}} {so_far}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let histogram = Histogram::new(&[1.0, 2.0]);
        assert_eq!(histogram.mean(), None);
        for value in [0.5, 1.0, 1.5, 9.0] {
            histogram.observe(value);
        }
        let mut out = String::new();
        histogram.write("a", "m=\"x\"", &mut out);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(
            lines,
            [
                "a_bucket{m=\"x\",le=\"1\"} 2",
                "a_bucket{m=\"x\",le=\"2\"} 3",
                "a_bucket{m=\"x\",le=\"+Inf\"} 4",
                "a_sum{m=\"x\"} 12",
                "a_count{m=\"x\"} 4",
            ]
        );
        assert_eq!(histogram.mean(), Some(3.0));
    }
}
