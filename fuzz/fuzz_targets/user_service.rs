//! Any event at the door of user-service.

#![cfg_attr(any(fuzzing, feature = "libfuzzer"), no_main)]

fuzz::target!(fuzz::services::user_service, json);
