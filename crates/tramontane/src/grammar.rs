//! Introduces the chat crate's grammars to the engine, which knows constraints by a trait of its own, and computes their
//! masks ahead: while the model computes a token's logits, another thread computes which tokens may be chosen.
//!
//! Must not know: what the grammars are for.

use chat::format::grammar::constraint::GrammarConstraint;
use engine::{Constraint, ConstraintError, TokenMask};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

/// The thread that computes masks. It ends when this and every [`Grammar`] made with it are gone.
#[derive(Clone, Debug)]
pub struct MaskThread(Sender<Job>);

/// A constraint whose next mask is wanted, and where to send both.
struct Job {
    constraint: GrammarConstraint,
    num_words: usize,
    reply: Sender<Ahead>,
}

/// A constraint with its next mask.
struct Ahead {
    constraint: GrammarConstraint,
    mask: Result<Vec<u32>, ConstraintError>,
}

impl MaskThread {
    /// Starts it.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start() -> std::io::Result<Self> {
        let (sender, jobs) = channel::<Job>();
        let work = move || {
            for job in jobs {
                // Fails when the reply was given up in the meantime.
                let _ = job.reply.send(compute(job.constraint, job.num_words));
            }
        };
        std::thread::Builder::new()
            .name("masks".to_owned())
            .spawn(work)?;
        Ok(Self(sender))
    }
}

fn compute(mut constraint: GrammarConstraint, num_words: usize) -> Ahead {
    let mut mask = vec![0; num_words];
    let computed = constraint.mask(&mut mask);
    Ahead {
        constraint,
        mask: computed.map(|()| mask).map_err(failed),
    }
}

fn failed(error: chat::ChatError) -> ConstraintError {
    ConstraintError(error.to_string())
}

/// What a reply is held to.
pub struct Grammar {
    state: Mutex<State>,
    num_words: usize,
    thread: MaskThread,
}

/// Where the constraint is.
enum State {
    Here(Box<GrammarConstraint>),
    /// With the mask thread.
    Away(Receiver<Ahead>),
    /// Nowhere: it has failed.
    Lost,
}

impl Grammar {
    /// Holds replies to `constraint`, over a vocabulary of `vocab_size` tokens.
    pub fn new(constraint: GrammarConstraint, vocab_size: usize, thread: MaskThread) -> Self {
        Self {
            state: Mutex::new(State::Here(Box::new(constraint))),
            num_words: vocab_size.div_ceil(32),
            thread,
        }
    }

    /// The same from the start, its first mask under way.
    pub fn begin(&self) -> Box<dyn Constraint> {
        self.fork()
    }

    /// The constraint, with its next mask if that was computed ahead.
    fn take(&self) -> Result<(GrammarConstraint, Option<Vec<u32>>), ConstraintError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Lost) {
            State::Here(constraint) => Ok((*constraint, None)),
            State::Away(reply) => {
                let ended =
                    |_| ConstraintError("the thread that computes masks has ended".to_owned());
                let Ahead { constraint, mask } = reply.recv().map_err(ended)?;
                Ok((constraint, Some(mask?)))
            }
            State::Lost => Err(ConstraintError("it has failed before".to_owned())),
        }
    }

    fn keep(&self, constraint: GrammarConstraint) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State::Here(Box::new(constraint));
    }

    /// Has the next mask computed by the other thread.
    fn send_away(&self, constraint: GrammarConstraint) {
        let (reply, receiver) = channel();
        let job = Job {
            constraint,
            num_words: self.num_words,
            reply,
        };
        let away = match self.thread.0.send(job) {
            Ok(()) => State::Away(receiver),
            // There is no such thread any more: masks are computed when they are asked for.
            Err(unsent) => State::Here(Box::new(unsent.0.constraint)),
        };
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = away;
    }
}

impl Constraint for Grammar {
    fn mask(&mut self, allowed: &mut TokenMask) -> Result<(), ConstraintError> {
        let (constraint, ahead) = self.take()?;
        let Ahead { constraint, mask } = match ahead {
            Some(mask) => Ahead {
                constraint,
                mask: Ok(mask),
            },
            None => compute(constraint, self.num_words),
        };
        let mask = mask?;
        let words = allowed.words_mut();
        let shared = words.len().min(mask.len());
        words[..shared].copy_from_slice(&mask[..shared]);
        self.keep(constraint);
        Ok(())
    }

    fn commit(&mut self, token: u32) -> Result<(), ConstraintError> {
        let (mut constraint, _) = self.take()?;
        constraint.commit(token).map_err(failed)?;
        self.send_away(constraint);
        Ok(())
    }

    fn fork(&self) -> Box<dyn Constraint> {
        let fork = Grammar {
            state: Mutex::new(State::Lost),
            num_words: self.num_words,
            thread: self.thread.clone(),
        };
        // What has failed stays so in its fork.
        if let Ok((constraint, _)) = self.take() {
            fork.send_away(constraint.fork());
            self.keep(constraint);
        }
        Box::new(fork)
    }
}
