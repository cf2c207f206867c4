//! Any event at the door of order-service.

#![cfg_attr(any(fuzzing, feature = "libfuzzer"), no_main)]

fuzz::target!(fuzz::services::order_service, json);
