//! What holds whatever is sent to the shop: nothing panics, nothing hangs, no answer is a 5xx or none at all, one bad
//! record spoils no other, and nothing that was made up is taken for ours.
//!
//! Each target in `fuzz_targets/` is one of the functions named here, which takes any bytes and panics where the
//! property does not hold. libFuzzer looks for such bytes, guided by which branches of the services they reach:
//! `cargo xtask fuzz`, which needs nothing but a C++ compiler. Who has [cargo-fuzz] may use that, on stable Rust as
//!
//! ```sh
//! cargo fuzz run --dev --sanitizer none order_service fuzz/corpus/order_service events/order-service
//! ```
//!
//! It builds all crates anew, so that the fuzzer is guided by what libraries do, too. Built without a fuzzer, a target
//! runs the files that it is given. A bug that was found gets a test at the door where it belongs.
//!
//! [cargo-fuzz]: https://rust-fuzz.github.io/book/cargo-fuzz.html
//!
//! | target | its input |
//! |---|---|
//! | `user_service`, `product_service`, `order_service` | an event, as Lambda hands it to the function; see [`services`] |
//! | `order_bodies` | the body of a request that places an order |
//! | `events` | a message of a queue |
//! | `pictures` | a file that is uploaded |
//! | `cursors` | where a page of a list is to begin |
//! | `tokens` | an access token |
//!
//! `corpus/<target>/` keeps inputs that reach what others don't, as few and as small as do. Where inputs are events, the
//! samples in `events/` are further ones.

/// AWS in this process.
mod cloud;
/// Cursors of lists.
pub mod cursors;
/// Messages and what is in them.
pub mod events;
/// New inputs out of known ones that are JSON.
pub mod mutation;
/// Bodies of requests.
pub mod order_bodies;
/// Uploaded files.
pub mod pictures;
/// What the targets share.
mod run;
/// The doors of the services.
pub mod services;
/// Access tokens.
pub mod tokens;

pub use run::{replay, watch_panics};

/// Makes the program of a target: `target!(check)`, or `target!(check, json)` if its inputs are JSON.
#[macro_export]
macro_rules! target {
    ($check:path) => {
        #[cfg(any(fuzzing, feature = "libfuzzer"))]
        libfuzzer_sys::fuzz_target!(init: $crate::watch_panics(), |input: &[u8]| { $check(input) });

        #[cfg(not(any(fuzzing, feature = "libfuzzer")))]
        fn main() -> std::process::ExitCode {
            $crate::replay($check)
        }
    };
    ($check:path, json) => {
        $crate::target!($check);

        #[cfg(any(fuzzing, feature = "libfuzzer"))]
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            $crate::mutation::mutate(data, size, max_size, seed, libfuzzer_sys::fuzzer_mutate)
        });

        #[cfg(any(fuzzing, feature = "libfuzzer"))]
        libfuzzer_sys::fuzz_crossover!(|one: &[u8], other: &[u8], out: &mut [u8], seed: u32| {
            $crate::mutation::cross(one, other, out, seed)
        });
    };
}
