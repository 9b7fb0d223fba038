//! Ctrl-C: the first ends the reply, the second within it ends the program.

use crate::screen;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether Ctrl-C was pressed since the last [`Interrupt::reset`].
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    presses: Arc<AtomicU32>,
}

impl Interrupt {
    /// Takes over Ctrl-C for the whole program.
    pub fn install() -> anyhow::Result<Interrupt> {
        let interrupt = Interrupt::default();
        let presses = Arc::clone(&interrupt.presses);
        ctrlc::set_handler(move || {
            if presses.fetch_add(1, Ordering::SeqCst) > 0 {
                screen::abandon();
                // 128 + SIGINT, as shells expect of a program that was interrupted.
                std::process::exit(130);
            }
        })?;
        Ok(interrupt)
    }

    /// Whether the reply should end.
    pub fn requested(&self) -> bool {
        self.presses.load(Ordering::SeqCst) > 0
    }

    /// Forgets earlier presses.
    pub fn reset(&self) {
        self.presses.store(0, Ordering::SeqCst);
    }
}
