//! Limits of this machine against what a step costs, and what several runs say together. Arithmetic alone.

use kernels::{Arithmetic, Cpu, Probe};
use model::Products;
use serde::Serialize;

/// What this machine can do at most, probed in this run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roof {
    /// Bytes a second, all threads reading.
    pub bandwidth: Probe,
    /// Multiply-accumulates a second, in the order of [`Arithmetic::ALL`].
    pub rates: [Probe; Arithmetic::ALL.len()],
}

/// Which roof is the lower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// What has to be read.
    Bandwidth,
    /// What has to be multiplied.
    Arithmetic,
}

impl Roof {
    /// Probes the processor: half a second.
    pub fn probe(cpu: &Cpu) -> Roof {
        Roof {
            bandwidth: kernels::probe_bandwidth(cpu),
            rates: Arithmetic::ALL.map(|arithmetic| kernels::probe_dot_rate(cpu, arithmetic)),
        }
    }

    /// What the machine did at best in either of two probes: it may be busy with something else in one.
    pub fn or_better(&self, other: &Roof) -> Roof {
        let better = |a: &Probe, b: &Probe| if b.best > a.best { *b } else { *a };
        let mut rates = self.rates;
        for (rate, other) in rates.iter_mut().zip(&other.rates) {
            *rate = better(rate, other);
        }
        Roof {
            bandwidth: better(&self.bandwidth, &other.bandwidth),
            rates,
        }
    }

    /// Seconds that reading so many bytes takes at least.
    pub fn reading_seconds(&self, bytes: f64) -> f64 {
        bytes / self.bandwidth.best
    }

    /// Seconds that so many multiply-accumulates take at least.
    pub fn multiplying_seconds(&self, products: &Products) -> f64 {
        let kinds = Arithmetic::ALL.into_iter().zip(&self.rates);
        kinds
            .map(|(arithmetic, rate)| products.by(arithmetic) as f64 / rate.best)
            .sum()
    }

    /// The least time for both at once, and which of them it is.
    pub fn least_seconds(&self, bytes: f64, products: &Products) -> (f64, Bound) {
        let reading = self.reading_seconds(bytes);
        let multiplying = self.multiplying_seconds(products);
        match multiplying > reading {
            true => (multiplying, Bound::Arithmetic),
            false => (reading, Bound::Bandwidth),
        }
    }
}

impl Bound {
    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Bandwidth => "bandwidth",
            Bound::Arithmetic => "arithmetic",
        }
    }
}

/// What several runs of one thing gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The one in the middle, or the mean of the two there.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// The standard deviation; 0 of a single run.
    pub stdev: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        assert!(!values.is_empty(), "a spread of no values");
        values.sort_by(f64::total_cmp);
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Spread {
            median: (values[(n - 1) / 2] + values[n / 2]) / 2.0,
            min: values[0],
            max: values[n - 1],
            stdev: (squares / (n.max(2) - 1) as f64).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(best: f64) -> Probe {
        Probe {
            best,
            median: best / 2.0,
            least: best / 4.0,
        }
    }

    #[test]
    fn the_lower_roof_counts() {
        let roof = Roof {
            bandwidth: probe(40e9),
            rates: [probe(400e9), probe(200e9), probe(100e9)],
        };
        let token = Products {
            integer: 4_000_000_000,
            bf16: 0,
            f32: 100_000_000,
        };
        // Reading 4 GB takes 0.1 s; multiplying takes 0.01 + 0.001 s a token.
        let (seconds, bound) = roof.least_seconds(4e9, &token);
        assert_eq!((seconds, bound), (0.1, Bound::Bandwidth));
        let prompt = Products {
            integer: 16 * token.integer,
            bf16: 200_000_000,
            f32: 16 * token.f32,
        };
        let (seconds, bound) = roof.least_seconds(4e9, &prompt);
        assert_eq!(bound, Bound::Arithmetic);
        assert!(
            (seconds - (0.16 + 0.001 + 0.016)).abs() < 1e-12,
            "{seconds}"
        );
        assert_eq!(roof.least_seconds(0.0, &Products::default()).0, 0.0);
    }

    #[test]
    fn a_probe_that_was_disturbed_does_not_count() {
        let roof = |bandwidth, rates: [f64; 3]| Roof {
            bandwidth: probe(bandwidth),
            rates: rates.map(probe),
        };
        let (first, second) = (roof(20.0, [8.0, 4.0, 2.0]), roof(40.0, [4.0, 8.0, 2.0]));
        let both = roof(40.0, [8.0, 8.0, 2.0]);
        assert_eq!(first.or_better(&second), both);
        assert_eq!(second.or_better(&first), both);
    }

    #[test]
    fn the_middle_of_several_runs() {
        let odd = Spread::of([5.0, 1.0, 3.0]);
        assert_eq!(
            (odd.median, odd.min, odd.max, odd.stdev),
            (3.0, 1.0, 5.0, 2.0)
        );
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 100.0]).median, 3.0);
        let one = Spread::of([7.0]);
        assert_eq!(
            (one.median, one.min, one.max, one.stdev),
            (7.0, 7.0, 7.0, 0.0)
        );
    }
}
