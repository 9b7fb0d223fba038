//! Several products in one parallel region: cut into tasks of some weight rows by some activation rows.

use super::Cpu;
use super::elementwise::SwiGlu;
use super::matmul::{self, GROUP, Tiles};
use super::operand::Operand;
use super::threads::Parts;
use crate::matrix::Matrix;
use std::ops::Range;

/// Most activation rows of a task: their blocks, the tile and the results fit a 32 KiB first-level cache.
const TASK_ROWS: usize = 64;
/// Tasks a thread should get, so that the last ones end together.
const TASKS_PER_THREAD: usize = 16;
/// Bytes of weights, times rows, that a task should at least have if each thread still gets two: some microseconds of
/// work in one run of memory.
const TASK_BYTES: usize = 32 << 10;

/// `operand.rows[rows] · weightᵀ`; with `up`, `silu(that) ⊙ (operand.rows[rows] · upᵀ)`.
pub(super) struct Product<'a> {
    pub weight: &'a Matrix,
    /// Of the shape of `weight`.
    pub up: Option<&'a Matrix>,
    pub operand: &'a Operand<'a>,
    pub rows: &'a [u32],
}

/// One task: groups of sixteen weight rows by positions in `Product::rows`.
struct Task {
    product: usize,
    groups: Range<usize>,
    rows: Range<usize>,
}

/// What a thread needs for its tasks.
struct Workspace {
    tiles: Tiles,
    out: [[f32; GROUP]; TASK_ROWS],
    up: [[f32; GROUP]; TASK_ROWS],
}

impl Workspace {
    fn new() -> Workspace {
        Workspace {
            tiles: Tiles::new(),
            out: [[0.0; GROUP]; TASK_ROWS],
            up: [[0.0; GROUP]; TASK_ROWS],
        }
    }
}

impl Cpu {
    /// Computes all products. `place(product, i, col, values)` receives what belongs at `col..` of the result of
    /// `rows[i]`; each place exactly once, from any thread.
    pub(super) fn products(
        &self,
        products: &[Product],
        place: impl Fn(usize, usize, usize, &[f32]) + Sync,
    ) {
        for product in products {
            self.interleave(product.weight);
            product.up.into_iter().for_each(|up| self.interleave(up));
        }
        let (tasks, parts) = self.tasks(products);
        self.threads
            .run_parts(parts, Workspace::new, |workspace, task| {
                let Task {
                    product: index,
                    groups,
                    rows,
                } = &tasks[task];
                let product = &products[*index];
                for group in groups.clone() {
                    let first = group * GROUP;
                    let width = GROUP.min(product.weight.rows() - first);
                    let out =
                        self.group_product(product, first, &product.rows[rows.clone()], workspace);
                    for (i, out) in rows.clone().zip(out) {
                        place(*index, i, first, &out[..width]);
                    }
                }
            });
    }

    fn group_product<'w>(
        &self,
        product: &Product,
        first: usize,
        rows: &[u32],
        workspace: &'w mut Workspace,
    ) -> &'w [[f32; GROUP]] {
        let Workspace { tiles, out, up } = workspace;
        let (out, operand) = (&mut out[..rows.len()], product.operand);
        matmul::product(self.unit, product.weight, first, operand, rows, tiles, out);
        if let Some(weight) = product.up {
            let up = &mut up[..rows.len()];
            matmul::product(self.unit, weight, first, operand, rows, tiles, up);
            self.unit.run(SwiGlu { gate: out, up });
        }
        out
    }

    /// The tasks, by memory node: of every matrix, each node works on the rows whose order it wrote
    /// (`Cpu::interleave`, by the same rule).
    fn tasks(&self, products: &[Product]) -> (Vec<Task>, Parts) {
        let num_groups = |p: &Product| p.weight.rows().div_ceil(GROUP);
        let parts = |p: &Product| num_groups(p) * p.rows.len().div_ceil(TASK_ROWS);
        let total: usize = products.iter().map(parts).sum();
        let spread = (total / (TASKS_PER_THREAD * self.threads.count())).clamp(1, 16);
        let most = total / (2 * self.threads.count());
        let mut tasks = Vec::new();
        for (index, product) in products.iter().enumerate() {
            let (groups, rows) = (num_groups(product), product.rows.len());
            let group_work = GROUP * product.weight.row_bytes() * rows.min(TASK_ROWS);
            let enough = TASK_BYTES / group_work.max(1);
            let groups_per_task = spread.max(enough.min(most));
            for group in (0..groups).step_by(groups_per_task) {
                for row in (0..rows).step_by(TASK_ROWS) {
                    tasks.push(Task {
                        product: index,
                        groups: group..(group + groups_per_task).min(groups),
                        rows: row..(row + TASK_ROWS).min(rows),
                    });
                }
            }
        }
        let nodes = self.threads.nodes();
        let node = |task: &Task| task.groups.start * nodes / num_groups(&products[task.product]);
        if nodes > 1 {
            tasks.sort_by_key(node);
        }
        let parts = std::array::from_fn(|last| tasks.partition_point(|task| node(task) <= last));
        (tasks, parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;
    use crate::cpu::threads::Threads;
    use crate::quant::Format;

    /// Rows of weights that are told apart by their values.
    fn matrix(rows: usize) -> Matrix {
        let values = (0..rows * 32).flat_map(|i| (i as f32 * 0.37).sin().to_le_bytes());
        Matrix::new(Format::F32, rows, 32, values.collect::<Vec<u8>>().into()).unwrap()
    }

    #[test]
    fn each_node_has_its_rows_of_every_matrix_and_the_values_are_the_same() {
        let one = Cpu::new(None, Some(2)).unwrap();
        let mut two = Cpu::new(None, Some(2)).unwrap();
        two.threads = Threads::on_two_nodes(2);
        let weights = [matrix(7), matrix(160), matrix(1601)];
        for rows in [1, 130] {
            let values: Vec<f32> = (0..rows * 32).map(|i| (i as f32 * 0.11).cos()).collect();
            let x = one.upload(rows, 32, &values);
            let project = |cpu: &Cpu| {
                let mut outs: Vec<_> = weights.iter().map(|w| cpu.rows(rows, w.rows())).collect();
                let mut places: Vec<_> = outs.iter_mut().collect();
                cpu.project(&x, &weights.each_ref(), &mut places);
                outs.iter()
                    .map(|out| out.data().to_vec())
                    .collect::<Vec<_>>()
            };
            assert_eq!(project(&two), project(&one));

            let rows_read = (0..rows).map(|r| x.row(r)).collect();
            let operand = two.operand(rows_read, &weights);
            let all: Vec<u32> = (0..rows as u32).collect();
            let product = |weight| Product {
                weight,
                up: None,
                operand: &operand,
                rows: &all,
            };
            let (tasks, parts) = two.tasks(&weights.each_ref().map(product));
            for (product, weight) in weights.iter().enumerate() {
                let groups = weight.rows().div_ceil(GROUP);
                let of = |tasks: &[Task]| -> Vec<usize> {
                    let tasks = tasks.iter().filter(|task| task.product == product);
                    tasks.map(|task| task.groups.start).collect()
                };
                let (first, second) = tasks.split_at(parts[0]);
                assert!(
                    of(first).iter().all(|group| group * 2 < groups),
                    "{product}"
                );
                assert!(
                    of(second).iter().all(|group| group * 2 >= groups),
                    "{product}"
                );
            }
        }
    }
}
