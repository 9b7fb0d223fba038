//! The bytes of a GGUF, quantised by several threads as they are written.

use anyhow::Result;
use model::{GgufPlan, PlannedTensor};
use std::io::Write;
use std::ops::Range;
use std::thread;

/// Values quantised at once, all threads together: what bounds the memory.
const VALUES_AT_ONCE: usize = 1 << 22;
/// Values that are worth a thread.
const VALUES_A_THREAD: usize = 1 << 14;

/// Writes all of `plan`; `progress` is told of every so many bytes.
pub fn write_plan(
    plan: &GgufPlan,
    out: &mut impl Write,
    threads: usize,
    progress: &dyn Fn(u64),
) -> Result<()> {
    let header = plan.header();
    out.write_all(&header)?;
    progress(header.len() as u64);
    let mut buffer = Vec::new();
    for tensor in plan.tensors() {
        let at_once = (VALUES_AT_ONCE / tensor.cols().max(1)).max(1);
        for start in (0..tensor.rows()).step_by(at_once) {
            let rows = start..tensor.rows().min(start + at_once);
            buffer.resize(rows.len() * tensor.row_bytes(), 0);
            fill(tensor, rows, &mut buffer, threads)?;
            out.write_all(&buffer)?;
            progress(buffer.len() as u64);
        }
        let padding = vec![0; (tensor.padded_bytes() - tensor.bytes()) as usize];
        out.write_all(&padding)?;
        progress(padding.len() as u64);
    }
    Ok(())
}

/// Quantises rows, each thread its share.
fn fill(
    tensor: &PlannedTensor,
    rows: Range<usize>,
    out: &mut [u8],
    threads: usize,
) -> Result<(), model::ModelError> {
    let worth = rows.len() * tensor.cols() / VALUES_A_THREAD;
    let each = rows.len().div_ceil(threads.min(worth.max(1))).max(1);
    let bytes = (each * tensor.row_bytes()).max(1);
    thread::scope(|scope| {
        let mut running = Vec::new();
        for (share, out) in out.chunks_mut(bytes).enumerate() {
            let first = rows.start + share * each;
            let rows = first..rows.end.min(first + each);
            running.push(scope.spawn(move || tensor.write_rows(rows, out)));
        }
        let mut result = Ok(());
        for thread in running {
            let ended = thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result = result.and(ended);
        }
        result
    })
}
