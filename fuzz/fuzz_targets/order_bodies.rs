//! Any body of a request that places an order.

#![cfg_attr(any(fuzzing, feature = "libfuzzer"), no_main)]

fuzz::target!(fuzz::order_bodies::check, json);
