//! Any uploaded file.

#![cfg_attr(any(fuzzing, feature = "libfuzzer"), no_main)]

fuzz::target!(fuzz::pictures::check);
