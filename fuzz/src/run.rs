use std::{
    env, fs, io, panic,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use fastrand::Rng;
use tokio::runtime::{Builder, Runtime};

use crate::mutation;

/// Room for what an input grows by.
const LONGEST_INPUT: usize = 16 * 1024;

/// Runs a target with each file that is named on the command line, and with all files of each folder. With
/// `--seconds <number>` first, it goes on so long with inputs that are made of those, guided by nothing: what can be had
/// without libFuzzer.
pub fn replay(check: fn(&[u8])) -> ExitCode {
    watch_panics();
    match files() {
        Ok((time, files)) => {
            files.iter().for_each(|file| check(file));
            let tried = files.len() + time.map_or(0, |time| wander(check, &files, time));
            println!("{tried} inputs");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line says.
fn files() -> io::Result<(Option<Duration>, Vec<Vec<u8>>)> {
    let mut arguments = env::args_os().skip(1).peekable();
    let time = if arguments.next_if(|argument| argument == "--seconds").is_some() {
        let seconds = arguments.next().and_then(|seconds| seconds.to_str()?.parse().ok());
        Some(Duration::from_secs(seconds.ok_or(io::ErrorKind::InvalidInput)?))
    } else {
        None
    };
    let mut paths = Vec::new();
    for argument in arguments {
        collect(Path::new(&argument), &mut paths)?;
    }
    Ok((time, paths.into_iter().map(fs::read).collect::<io::Result<_>>()?))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_dir() {
        fs::read_dir(path)?.try_for_each(|entry| collect(&entry?.path(), files))
    } else {
        files.push(path.to_owned());
        Ok(())
    }
}

/// What is being tried.
static INPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Tries inputs until the time is over; answers how many. One that breaks something is left in the folder for what is
/// temporary.
fn wander(check: fn(&[u8]), known: &[Vec<u8>], time: Duration) -> usize {
    let (started, mut rng) = (Instant::now(), Rng::new());
    let mut tried = 0;
    while started.elapsed() < time {
        let mut input = rng.choice(known).cloned().unwrap_or_default();
        for _ in 0..rng.usize(1..6) {
            let size = input.len();
            input.resize(size.max(LONGEST_INPUT), 0);
            let size = mutation::mutate(&mut input, size, LONGEST_INPUT, rng.u32(..), scramble);
            input.truncate(size);
        }
        INPUT.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&input);
        check(&input);
        tried += 1;
    }
    tried
}

/// Changes, adds or removes some bytes.
fn scramble(data: &mut [u8], size: usize, max_size: usize) -> usize {
    let mut rng = Rng::new();
    let size = if rng.bool() { size } else { rng.usize(..=max_size.min(size + 8)) };
    for _ in 0..rng.usize(1..4) {
        if size > 0 {
            data[rng.usize(..size)] = rng.u8(..);
        }
    }
    size
}

/// Ends the process at a panic, also where the service would catch it: its door keeps one record's panic from the others,
/// and nobody would hear of it.
pub fn watch_panics() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        report(panic);
        let input = INPUT.lock().unwrap_or_else(PoisonError::into_inner);
        let file = env::temp_dir().join(format!("broken-by-{}", std::process::id()));
        if !input.is_empty() && fs::write(&file, &*input).is_ok() {
            // In the words of libFuzzer, which does the same.
            eprintln!("Test unit written to {}", file.display());
        }
        std::process::abort();
    }));
}

/// Runs what a check awaits.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_current_thread().enable_all().build().expect("a runtime for the services")
    });
    runtime.block_on(future)
}
