//! Introduces the chat crate's grammars to the engine, which knows constraints by a trait of its own.

use chat::format::grammar::constraint::GrammarConstraint;
use engine::{Constraint, ConstraintError, TokenMask};

/// What a reply is held to.
pub struct Grammar(pub GrammarConstraint);

impl Constraint for Grammar {
    fn mask(&mut self, allowed: &mut TokenMask) -> Result<(), ConstraintError> {
        let mask = self.0.mask(allowed.words_mut());
        mask.map_err(|error| ConstraintError(error.to_string()))
    }

    fn commit(&mut self, token: u32) -> Result<(), ConstraintError> {
        let commit = self.0.commit(token);
        commit.map_err(|error| ConstraintError(error.to_string()))
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(Grammar(self.0.fork()))
    }
}
