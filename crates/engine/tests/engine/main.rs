//! The engine as others see it, over a toy model.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod endings;
mod invariance;
mod mini;
mod refusals;
mod requests;
mod soak;
mod steps;
mod toy;
mod transformer;
