//! Any event at the door of product-service.

#![cfg_attr(any(fuzzing, feature = "libfuzzer"), no_main)]

fuzz::target!(fuzz::services::product_service, json);
