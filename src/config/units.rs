//! Durations and sizes: `250ms`, `90s`, `15m`, `12h`, `7d`; `64KiB`, `1MiB`.
//! Invariant: a value is a whole number and one unit, so it has only one meaning.

use std::time::Duration;

use crate::config::invalid::Invalid;

const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZES: [(&str, u64); 4] = [("", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Parses a duration.
pub(super) fn duration(text: &str) -> Result<Duration, Invalid> {
    let Some((number, unit)) = split(text) else {
        let invalid = Invalid::new("is not a duration")
            .hint("write a whole number and a unit: 250ms, 90s, 15m, 12h, 7d");
        let compact = text.replace(' ', "");
        let meant = split(&compact).and_then(|(number, unit)| meant(number, unit));
        return Err(match meant {
            Some(meant) => invalid.suggest(meant),
            None => invalid,
        });
    };
    let Some((_, millis)) = DURATIONS.iter().find(|(name, _)| *name == unit) else {
        if unit.is_empty() {
            return Err(Invalid::new("has no unit").hint("add a unit: ms, s, m, h or d"));
        }
        let invalid = Invalid::new("has an unknown unit").hint("the units are ms, s, m, h and d");
        return Err(match meant(number, unit) {
            Some(meant) => invalid.suggest(meant),
            None => invalid,
        });
    };
    let millis = number.checked_mul(*millis).ok_or_else(|| Invalid::new("is too long"))?;
    Ok(Duration::from_millis(millis))
}

/// Error for a number without a unit; it suggests the unit of the default.
pub(super) fn without_unit(number: u64, default: &str, least: Duration, most: Duration) -> Invalid {
    let invalid = Invalid::new("has no unit").hint("add a unit: ms, s, m, h or d");
    let unit = default.trim_start_matches(|c: char| c.is_ascii_digit());
    let meant = format!("{number}{unit}");
    match duration(&meant) {
        Ok(duration) if (least..=most).contains(&duration) => invalid.suggest(meant),
        Ok(_) | Err(_) => invalid,
    }
}

/// Parses a size in bytes.
pub(super) fn size(text: &str) -> Result<u64, Invalid> {
    let invalid = || {
        Invalid::new("is not a size").hint(
            "write a number of bytes, or a whole number with KiB, MiB or GiB: 65536, 64KiB, 1MiB",
        )
    };
    let compact = text.replace(' ', "");
    let (number, unit) = split(&compact).ok_or_else(invalid)?;
    let known = SIZES.iter().find(|(name, _)| *name == unit && compact == text);
    let Some((_, bytes)) = known else {
        let first = unit.chars().next().map(|c| c.to_ascii_uppercase());
        return Err(match first {
            Some(first @ ('K' | 'M' | 'G')) => invalid().suggest(format!("{number}{first}iB")),
            _ => invalid(),
        });
    };
    number.checked_mul(*bytes).ok_or_else(|| Invalid::new("is too large"))
}

/// Formats a duration.
pub(super) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let fits = |(_, unit): &&(&str, u64)| millis.is_multiple_of(u128::from(*unit));
    match DURATIONS.iter().rev().find(fits) {
        Some((name, unit)) if millis > 0 => format!("{}{name}", millis / u128::from(*unit)),
        _ => "0s".to_owned(),
    }
}

/// Formats a size.
pub(super) fn size_text(bytes: u64) -> String {
    match SIZES.iter().rev().find(|(_, unit)| bytes.is_multiple_of(*unit)) {
        Some((name, unit)) if bytes > 0 => format!("{}{name}", bytes / unit),
        _ => "0".to_owned(),
    }
}

/// Returns `5m` for `5min` and `12h` for `12hours`. Only whole words count: `5mo` does not mean five minutes.
fn meant(number: u64, unit: &str) -> Option<String> {
    let lower = unit.to_ascii_lowercase();
    let (name, _) = SPELLINGS.iter().find(|(_, words)| words.contains(&lower.as_str()))?;
    Some(format!("{number}{name}"))
}

const SPELLINGS: [(&str, &[&str]); 5] = [
    ("ms", &["ms", "msec", "msecs", "milli", "millis", "millisecond", "milliseconds"]),
    ("s", &["s", "sec", "secs", "second", "seconds"]),
    ("m", &["m", "min", "mins", "minute", "minutes"]),
    ("h", &["h", "hr", "hrs", "hour", "hours"]),
    ("d", &["d", "day", "days"]),
];

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    unit.chars().all(|c| c.is_ascii_alphabetic()).then_some((number.parse().ok()?, unit))
}

/// Checks that a value is within bounds; `write` formats a bound.
pub(super) fn within<T: Copy + PartialOrd>(
    value: T,
    least: T,
    most: T,
    write: impl Fn(T) -> String,
) -> Result<T, Invalid> {
    if value < least {
        return Err(format!("is less than the minimum, {}", write(least)).into());
    }
    if value > most {
        return Err(format!("is more than the maximum, {}", write(most)).into());
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, millis: u64) {
        assert_eq!(duration(text).unwrap(), Duration::from_millis(millis), "{text}");
    }

    #[test]
    fn duration_is_a_number_and_a_unit() {
        check("250ms", 250);
        check("90s", 90_000);
        check("15m", 900_000);
        check("12h", 43_200_000);
        check("7d", 604_800_000);
        for invalid in
            ["", "s", "10", "10 s", "1h30m", "1.5h", "-1s", "10S", "99999999999999999999s"]
        {
            assert!(duration(invalid).is_err(), "{invalid}");
        }
        assert!(duration("18446744073709551615d").is_err());
        assert_eq!(duration("5min").unwrap_err().suggestion(), Some("5m"));
        assert_eq!(duration("12 hours").unwrap_err().suggestion(), Some("12h"));
        assert_eq!(duration("250millis").unwrap_err().suggestion(), Some("250ms"));
        for invalid in ["2weeks", "1mo", "5months", "250micros", "1y", "3decades"] {
            assert_eq!(duration(invalid).unwrap_err().suggestion(), None, "{invalid}");
        }
    }

    #[test]
    fn size_is_bytes_or_a_power_of_1024() {
        assert_eq!(size("64KiB").unwrap(), 65_536);
        assert_eq!(size("1MiB").unwrap(), 1_048_576);
        assert_eq!(size("512").unwrap(), 512);
        for invalid in ["", "KiB", "1 MiB", "1.5MiB", "1MB", "1k", "17179869184GiB"] {
            assert!(size(invalid).is_err(), "{invalid}");
        }
        assert_eq!(size("10mb").unwrap_err().suggestion(), Some("10MiB"));
        assert_eq!(size("8 KB").unwrap_err().suggestion(), Some("8KiB"));
    }

    proptest! {
        #[test]
        fn formatted_duration_parses_to_the_same_value(millis in 0..u64::MAX) {
            let duration_of = Duration::from_millis(millis);
            prop_assert_eq!(duration(&duration_text(duration_of)).unwrap(), duration_of);
        }

        #[test]
        fn formatted_size_parses_to_the_same_value(bytes: u64) {
            prop_assert_eq!(size(&size_text(bytes)).unwrap(), bytes);
        }

        #[test]
        fn parsers_do_not_panic_on_any_text(text in ".{0,24}") {
            drop((duration(&text), size(&text)));
        }
    }
}
