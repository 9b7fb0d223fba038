//! The engine as others see it, over a toy model.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod invariance;
mod requests;
mod soak;
mod toy;
