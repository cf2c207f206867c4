//! report-service: what was sold.
