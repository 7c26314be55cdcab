//! Whether a machine was quiet enough for its figures to mean something.
//!
//! Two things are looked at: what share of the processors others took (their programs, and the
//! host of a virtual machine, which the kernel calls stolen time), and how evenly a fixed loop
//! runs. The load average is shown and judges nothing: it still speaks of the build that came
//! before.

use super::super::statistics::Samples;
use std::time::{Duration, Instant};

/// The share of all processors that others may take.
const OTHERS_MAX: f64 = 0.05;
/// The ninth decile of a fixed loop's time over the least of them.
const SPREAD_MAX: f64 = 1.25;
/// How long others are watched before anything is measured.
const WATCHED: Duration = Duration::from_secs(3);
/// Times of the fixed loop.
const LOOPS: usize = 60;

/// The kernel's counts of processor time at one moment, in its ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks {
    /// Of all processors together.
    total: u64,
    idle: u64,
    /// Of this process and of its children that have ended.
    own: u64,
}

impl Ticks {
    /// What the kernel says now.
    pub(super) fn now() -> Result<Self, String> {
        let read = |path| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let (machine, own) = (read("/proc/stat")?, read("/proc/self/stat")?);
        Self::parse(&machine, &own).ok_or_else(|| "/proc/stat has another form".to_owned())
    }

    /// Reads the first line of `/proc/stat` and the only one of `/proc/self/stat` (proc(5)).
    fn parse(machine: &str, own: &str) -> Option<Self> {
        let numbers = |text: &str| -> Option<Vec<u64>> {
            text.split_whitespace().map(|word| word.parse().ok()).collect()
        };
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
        let all = numbers(machine.lines().next()?.strip_prefix("cpu ")?)?;
        let counted = all.get(..8)?;
        // Behind the name, which may hold anything: the times are fields 14 to 17.
        let (_, fields) = own.rsplit_once(')')?;
        let times: Vec<&str> = fields.split_whitespace().skip(11).take(4).collect();
        let own = numbers(&times.join(" ")).filter(|times| times.len() == 4)?;
        Some(Self {
            total: counted.iter().sum(),
            idle: counted[3] + counted[4],
            own: own.iter().sum(),
        })
    }

    /// The share of all processors that others took from here to `later`.
    fn others_until(&self, later: &Self) -> f64 {
        let total = later.total.saturating_sub(self.total);
        let used = total.saturating_sub(later.idle.saturating_sub(self.idle));
        used.saturating_sub(later.own.saturating_sub(self.own)) as f64 / total.max(1) as f64
    }
}

/// How quiet the machine was.
#[derive(Clone, Debug)]
pub(super) struct Quiet {
    /// The share of all processors that others took.
    pub(super) others: f64,
    /// How unevenly a fixed loop ran: ninth decile over least.
    pub(super) spread: f64,
    /// The kernel's load averages.
    pub(super) load: String,
}

impl Quiet {
    /// Watches for some seconds in which nothing of ours runs.
    pub(super) fn before() -> Result<Self, String> {
        let ticks = Ticks::now()?;
        std::thread::sleep(WATCHED);
        Self::since(&ticks)
    }

    /// What others took since then, and how the loop runs now.
    pub(super) fn since(ticks: &Ticks) -> Result<Self, String> {
        let others = ticks.others_until(&Ticks::now()?);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        Ok(Self { others, spread: spread(), load })
    }

    /// Why the machine is busy; `None` when it is quiet.
    pub(super) fn objection(&self) -> Option<String> {
        let mut found = Vec::new();
        if self.others > OTHERS_MAX {
            found.push(format!(
                "others took {:.0} % of its processors (at most {:.0} % are let pass)",
                self.others * 100.0,
                OTHERS_MAX * 100.0
            ));
        }
        if self.spread > SPREAD_MAX {
            found.push(format!(
                "one of ten runs of a fixed loop took {:.2} times the least, or more (at most \
                 {SPREAD_MAX} is let pass)",
                self.spread
            ));
        }
        (!found.is_empty()).then(|| found.join(", and "))
    }
}

/// The ninth decile of a fixed loop's time over the least.
fn spread() -> f64 {
    let times: Samples = (0..LOOPS)
        .map(|_| {
            let begin = Instant::now();
            let mut value = 1_u64;
            for step in 0..2_000_000_u64 {
                value = std::hint::black_box(value.wrapping_mul(6_364_136_223_846_793_005) ^ step);
            }
            begin.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.ninth_decile() / times.minimum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(machine: &str, own: &str) -> Option<Ticks> {
        Ticks::parse(machine, own)
    }

    #[test]
    fn what_is_neither_idle_nor_ours_is_taken_by_others() {
        let own = |user| format!("7 (a) b) S 1 1 1 0 -1 0 0 0 0 0 {user} 10 20 30 20 0 1");
        let before = ticks("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1", &own(40)).unwrap();
        assert_eq!((before.total, before.idle, before.own), (1000, 850, 100));
        // Of 1000 more, 700 were idle and 200 ours; 60 of the rest were stolen.
        let after = ticks("cpu  290 0 100 1450 100 0 0 60 0 0\ncpu0 1", &own(240)).unwrap();
        assert!((before.others_until(&after) - 0.1).abs() < 1e-9);
        assert_eq!(before.others_until(&before), 0.0);
    }

    #[test]
    fn what_the_kernel_does_not_say_is_not_guessed() {
        assert!(ticks("cpu  1 2 3", "7 (a) S 1 1 1 0 -1 0 0 0 0 0 1 2 3 4").is_none());
        assert!(ticks("cpu  1 2 3 4 5 6 7 8", "7 (a) S 1 1").is_none());
        assert!(ticks("", "").is_none());
        assert!(Ticks::now().is_ok(), "the kernel of this machine says it");
    }

    #[test]
    fn a_busy_machine_is_told_why() {
        let quiet = Quiet { others: 0.01, spread: 1.02, load: String::new() };
        assert_eq!(quiet.objection(), None);
        let shared = Quiet { others: 0.4, ..quiet.clone() };
        assert!(
            shared.objection().is_some_and(|why| why.contains("40 %") && !why.contains("loop"))
        );
        let uneven = Quiet { spread: 1.5, ..shared };
        assert!(uneven.objection().is_some_and(|why| why.contains("40 %") && why.contains("1.50")));
    }

    #[test]
    fn a_fixed_loop_takes_time() {
        assert!(spread() >= 1.0);
    }
}
