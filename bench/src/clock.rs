use std::io;

use anyhow::{Context, Result};
use nix::{
    time::{ClockId, clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

/// Nanoseconds.
pub type Nanos = u64;

/// The one clock of all measurements. It is the machine's, so that moments in different processes can be compared.
pub fn now() -> Nanos {
    read(ClockId::CLOCK_MONOTONIC).unwrap_or_default()
}

/// The time that all threads of a process, those that have ended too, have spent on a processor.
pub fn cpu_of(process: u32) -> Result<Nanos> {
    let pid = Pid::from_raw(process.try_into()?);
    let clock = clock_getcpuclockid(pid).with_context(|| format!("no clock of process {process}"))?;
    Ok(read(clock)?)
}

fn read(clock: ClockId) -> io::Result<Nanos> {
    let time = clock_gettime(clock)?;
    let nanos = time.tv_sec() * 1_000_000_000 + time.tv_nsec();
    nanos.try_into().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_work_is_counted() {
        let (start, cpu) = (now(), cpu_of(std::process::id()).unwrap());
        while cpu_of(std::process::id()).unwrap() == cpu {
            std::hint::spin_loop();
        }
        assert!(now() > start);
    }
}
