//! Samples of times, and what is made of them.
//!
//! Commands that are compared are run in turns, so that a slow minute of the
//! machine falls on all of them alike.

use std::process::{Command, Stdio};
use std::time::Instant;

/// Rounds that are run before the clock counts.
const WARM_UP: usize = 3;

/// Times in microseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    /// One more.
    pub(super) fn push(&mut self, microseconds: f64) {
        self.0.push(microseconds);
    }

    /// The value at this share of the sorted samples; NaN without samples.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// The middle.
    pub(super) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The smallest: what the program costs when nothing disturbs it.
    pub(super) fn minimum(&self) -> f64 {
        self.quantile(0.0)
    }

    /// The middle of what each is of the one of `other` that was taken in the same turn: what
    /// slows down both of a pair, be it a busy neighbour, leaves their ratio nearly as it is.
    pub(super) fn median_over(&self, other: &Self) -> f64 {
        self.over(other).median()
    }

    /// What each is of the one of `other` that was taken in the same turn.
    pub(super) fn over(&self, other: &Self) -> Self {
        self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect()
    }

    /// The middle half: a quarter lies below the first, a quarter above the second.
    pub(super) fn middle_half(&self) -> (f64, f64) {
        (self.quantile(0.25), self.quantile(0.75))
    }

    /// Of a hundred 99 are not above this.
    pub(super) fn ninety_ninth(&self) -> f64 {
        self.quantile(0.99)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Nine of ten are not above this.
    pub(super) fn ninth_decile(&self) -> f64 {
        self.quantile(0.9)
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// The geometric mean; `None` of nothing.
pub(super) fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logarithms: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (logarithms / values.len() as f64).exp())
}

/// Runs the commands in turns (A B C A B C …) and times each whole process,
/// from before it is started until it has been waited for.
pub(super) fn interleave(commands: &mut [Command], rounds: usize) -> Result<Vec<Samples>, String> {
    for command in commands.iter_mut() {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    }
    let mut samples = vec![Samples::default(); commands.len()];
    for round in 0..WARM_UP + rounds {
        for (command, samples) in commands.iter_mut().zip(&mut samples) {
            let begin = Instant::now();
            let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
            let time = begin.elapsed();
            if !status.success() {
                return Err(format!("{command:?} ended with {status}"));
            }
            if round >= WARM_UP {
                samples.push(time.as_secs_f64() * 1e6);
            }
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let samples: Samples = [5.0, 1.0, 3.0, 2.0, 4.0].into_iter().collect();
        assert_eq!(samples.median(), 3.0);
        assert_eq!(samples.minimum(), 1.0);
        assert_eq!(samples.ninth_decile(), 5.0);
        assert_eq!(samples.middle_half(), (2.0, 4.0));
        assert!(Samples::default().median().is_nan());
    }

    #[test]
    fn pairs_are_compared_turn_by_turn() {
        let quiet_then_busy: Samples = [1.0, 1.0, 2.0].into_iter().collect();
        let slower: Samples = [1.1, 1.1, 2.2].into_iter().collect();
        assert!((slower.median_over(&quiet_then_busy) - 1.1).abs() < 1e-9);
        assert!(Samples::default().median_over(&slower).is_nan());
    }

    #[test]
    fn the_mean_is_geometric() {
        assert_eq!(geometric_mean(&[]), None);
        let mean = geometric_mean(&[2.0, 8.0]).unwrap();
        assert!((mean - 4.0).abs() < 1e-9, "{mean}");
    }
}
