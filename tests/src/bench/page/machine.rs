//! What the page says of the machine and the day.

use bls_artifact::date::Date;
use std::time::{SystemTime, UNIX_EPOCH};

/// The day (UTC), the processor and the kernel, each with its name.
///
/// # Errors
/// When `/proc` does not say them.
pub(super) fn facts() -> Result<Vec<(&'static str, String)>, String> {
    let read = |path| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let seconds =
        SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    Ok(vec![
        ("day", day(seconds.as_secs())),
        ("processor", processor(&read("/proc/cpuinfo")?)),
        ("kernel", format!("Linux {}", read("/proc/sys/kernel/osrelease")?.trim())),
    ])
}

/// The day of a second, without its time.
fn day(seconds: u64) -> String {
    let text = Date(seconds).to_string();
    text.split_once('T').map_or_else(|| text.clone(), |(day, _)| day.to_owned())
}

/// The model and how many there are of it, from `/proc/cpuinfo`.
fn processor(text: &str) -> String {
    let value = |line: &str| Some(line.split_once(':')?.1.trim().to_owned());
    let count = text.lines().filter(|line| line.starts_with("processor")).count();
    let model = text.lines().find(|line| line.starts_with("model name")).and_then(value);
    format!("{} × {}", count.max(1), model.unwrap_or_else(|| std::env::consts::ARCH.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_no_time() {
        assert_eq!(day(1_796_000_000), "2026-11-30");
    }

    #[test]
    fn a_processor_has_its_model_where_the_kernel_says_one() {
        let two =
            "processor\t: 0\nmodel name\t: Some CPU\nprocessor\t: 1\nmodel name\t: Some CPU\n";
        assert_eq!(processor(two), "2 × Some CPU");
        assert_eq!(processor(""), format!("1 × {}", std::env::consts::ARCH));
    }
}
