//! One step's plan: everything that depends on the batch and on no layer, computed once and checked before any work.

use crate::batch::{Batch, BatchSequence, LogitRows};
use crate::config::Config;
use crate::error::ModelError;
use crate::rope::Rope;
use kernels::{AttentionPlan, AttentionRow, Backend, PAGE_SIZE, RotaryTable, RowInput, Rows};

/// What all layers of one forward pass share.
pub(crate) struct Step {
    /// What fills each row before the first layer.
    pub inputs: Vec<RowInput>,
    /// The batch's own embedding rows, if any.
    pub embeddings: Option<Rows>,
    /// Cache slot of each row.
    pub slots: Vec<u32>,
    /// Cosines and sines of each row's position.
    pub rotary: RotaryTable,
    /// Factor on each row's query, if the model has one.
    pub query_factors: Option<Vec<f32>>,
    /// What each row sees of the cache.
    pub attention: AttentionPlan,
    /// Rows that get logits.
    pub logit_rows: Vec<u32>,
    /// Which of `logit_rows` return hidden states too.
    pub hidden_rows: Vec<usize>,
}

impl Step {
    /// Plans `batch`. Errors: an input, position or page that the model or the cache does not have.
    pub fn new(
        batch: &Batch,
        config: &Config,
        num_pages: usize,
        rope: &Rope,
        backend: &dyn Backend,
    ) -> Result<Step, ModelError> {
        let num_embeddings = check_embeddings(batch, config)?;
        let mut attention = AttentionPlan::default();
        let (mut inputs, mut slots, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        let (mut logit_rows, mut hidden_rows) = (Vec::new(), Vec::new());
        for (index, sequence) in batch.sequences.iter().enumerate() {
            check_sequence(sequence, config, num_pages, num_embeddings).map_err(|what| {
                ModelError::Step(format!("sequence {index} of the batch: {what}"))
            })?;
            let (first_row, first_page) = (inputs.len(), attention.pages.len());
            inputs.extend(&sequence.inputs);
            slots.extend(sequence.slots());
            positions.extend(sequence.positions());
            attention.pages.extend(&sequence.pages);
            let seen = |position| AttentionRow {
                first_page,
                visible: position + 1,
            };
            attention.rows.extend(sequence.positions().map(seen));
            let wanted = match sequence.logits {
                LogitRows::None => inputs.len()..inputs.len(),
                LogitRows::Last => inputs.len() - 1..inputs.len(),
                LogitRows::All => first_row..inputs.len(),
            };
            if sequence.hidden {
                hidden_rows.extend(logit_rows.len()..logit_rows.len() + wanted.len());
            }
            logit_rows.extend(wanted.map(|row| row as u32));
        }
        Ok(Step {
            inputs,
            embeddings: (num_embeddings > 0)
                .then(|| backend.upload(num_embeddings, config.hidden_size, &batch.embeddings)),
            slots,
            rotary: rope.table(backend, &positions),
            query_factors: rope.query_factors(&positions),
            attention,
            logit_rows,
            hidden_rows,
        })
    }

    /// Rows of the step.
    pub fn num_rows(&self) -> usize {
        self.inputs.len()
    }
}

/// Number of embedding rows in the batch.
fn check_embeddings(batch: &Batch, config: &Config) -> Result<usize, ModelError> {
    let (values, width) = (batch.embeddings.len(), config.hidden_size);
    if !values.is_multiple_of(width) {
        return Err(ModelError::Step(format!(
            "the batch's embeddings hold {values} values, which is no whole number of rows of {width}"
        )));
    }
    Ok(values / width)
}

/// That a sequence's inputs, positions and pages exist.
fn check_sequence(
    sequence: &BatchSequence,
    config: &Config,
    num_pages: usize,
    num_embeddings: usize,
) -> Result<(), String> {
    if sequence.inputs.is_empty() {
        return Err("it has no input".into());
    }
    for input in &sequence.inputs {
        match *input {
            RowInput::Token(id) if id as usize >= config.vocab_size => {
                return Err(format!(
                    "token id {id} is outside the vocabulary of {}",
                    config.vocab_size
                ));
            }
            RowInput::Embedding(row) if row as usize >= num_embeddings => {
                return Err(format!(
                    "embedding row {row} is outside the {num_embeddings} given"
                ));
            }
            _ => {}
        }
    }
    let end = sequence.positions().end;
    if end > config.max_context {
        return Err(format!(
            "position {} is outside the context of {} tokens",
            end - 1,
            config.max_context
        ));
    }
    if sequence.pages.len() < end.div_ceil(PAGE_SIZE) {
        return Err(format!(
            "position {} needs {} pages, it has {}",
            end - 1,
            end.div_ceil(PAGE_SIZE),
            sequence.pages.len()
        ));
    }
    match sequence
        .pages
        .iter()
        .find(|&&page| page as usize >= num_pages)
    {
        Some(page) => Err(format!(
            "page {page} is outside the cache of {num_pages} pages"
        )),
        None => Ok(()),
    }
}
