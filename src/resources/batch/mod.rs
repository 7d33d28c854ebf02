//! Kinds of the group `batch`: work that ends.

pub mod cron_job;
mod due;
pub mod job;
mod job_spec;
mod job_status;
pub mod retired_cron_job;
pub mod schedule;
