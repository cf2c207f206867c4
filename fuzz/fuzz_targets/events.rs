//! Any message of a queue.

#![cfg_attr(any(fuzzing, feature = "libfuzzer"), no_main)]

fuzz::target!(fuzz::events::check, json);
