//! Attention on every backend: head layouts, cache types, ragged lengths, shuffled pages, poisoned slots, odd scores.

use super::support::{Random, assert_same, candidates, random_rows};
use kernels::{
    AttentionPlan, AttentionRow, AttentionShape, BLOCK_SIZE, Backend, CacheLayout, KvType,
    PAGE_SIZE, Reference, Rows,
};

/// A cache whose sequences lie on shuffled pages, every slot not written holding NaN; and a plan of the last rows of
/// each sequence.
struct Attention {
    shape: AttentionShape,
    layout: CacheLayout,
    lengths: Vec<usize>,
    plan: AttentionPlan,
    num_pages: usize,
    slots: Vec<u32>,
    keys: Rows,
    q: Rows,
}

impl Attention {
    fn new(
        shape: AttentionShape,
        kv_type: KvType,
        lengths: &[usize],
        random: &mut Random,
    ) -> Attention {
        let row_width = (shape.num_kv_heads * shape.key_dim)
            .max(shape.value_start + shape.num_kv_heads * shape.value_dim);
        let layout = CacheLayout {
            num_layers: 2,
            row_width,
            kv_type,
        };
        let num_pages = lengths.iter().map(|n| n.div_ceil(PAGE_SIZE)).sum::<usize>() + 3;
        let mut free: Vec<u32> = (0..num_pages as u32).collect();
        for i in (1..free.len()).rev() {
            free.swap(i, random.below(i + 1));
        }
        let mut plan = AttentionPlan::default();
        let mut slots = Vec::new();
        for &length in lengths {
            let first_page = plan.pages.len();
            plan.pages.extend(free.drain(..length.div_ceil(PAGE_SIZE)));
            let slot =
                |t: usize| plan.pages[first_page + t / PAGE_SIZE] * 64 + (t % PAGE_SIZE) as u32;
            slots.extend((0..length).map(slot));
            for visible in length.saturating_sub(4).max(1)..=length {
                plan.rows.push(AttentionRow {
                    first_page,
                    visible,
                });
            }
        }
        let rows = plan.rows.len();
        Attention {
            shape,
            layout,
            lengths: lengths.to_vec(),
            num_pages,
            keys: random_rows(&Reference, slots.len(), row_width, random),
            q: random_rows(&Reference, rows, shape.num_heads * shape.key_dim, random),
            plan,
            slots,
        }
    }

    fn run(&self, backend: &dyn Backend) -> Vec<f32> {
        let mut cache = backend.new_cache(self.layout, self.num_pages);
        cache.poison();
        backend.write_cache(&self.keys, 1, &self.slots, &mut cache);
        let mut out = backend.rows(self.q.rows(), self.shape.num_heads * self.shape.value_dim);
        backend.attention(&self.q, &cache, 1, &self.plan, &self.shape, &mut out);
        backend.download(&out)
    }
}

fn shape(
    num_heads: usize,
    num_kv_heads: usize,
    key_dim: usize,
    value_dim: usize,
    value_start: usize,
) -> AttentionShape {
    let scale = 1.0 / (key_dim as f32).sqrt();
    AttentionShape {
        num_heads,
        num_kv_heads,
        key_dim,
        value_dim,
        value_start,
        scale,
    }
}

fn attention_shapes() -> [AttentionShape; 8] {
    [
        shape(9, 3, 64, 64, 192), // SmolLM2
        shape(6, 1, 320, 256, 0), // MLA, absorbed
        shape(4, 2, 24, 20, 48),  // nothing a multiple of 16
        shape(1, 1, 16, 16, 16),
        shape(10, 2, 40, 96, 80),
        shape(2, 2, 7, 3, 14),
        shape(40, 1, 23, 19, 0), // MLA of odd sizes, heads for two registers and a half
        shape(3, 1, 5, 7, 5),    // one KV head whose value is beside the key
    ]
}

#[test]
fn attention() {
    let mut random = Random(12);
    let candidates = candidates();
    for shape in attention_shapes() {
        for kv_type in [KvType::F32, KvType::Bf16, KvType::Q8] {
            let case = Attention::new(shape, kv_type, &[1, 63, 64, 65, 3, 200, 17], &mut random);
            let golden = case.run(&Reference);
            assert!(
                golden.iter().all(|y| y.is_finite()),
                "a slot that nobody sees was read"
            );
            assert_eq!(case.lengths.len(), 7);
            for candidate in &candidates {
                let what = format!("{}, {shape:?} {kv_type:?}", candidate.name);
                assert_same(&case.run(&candidate.cpu), &golden, &what);
            }
        }
    }
}

/// Sequences of more than one block: few rows, whose blocks are tasks, and many, which are a task each.
#[test]
fn attention_over_blocks() {
    let mut random = Random(14);
    let candidates = candidates();
    for lengths in [
        &[2 * BLOCK_SIZE + 70][..],
        &[BLOCK_SIZE + 2, 5, BLOCK_SIZE, 2000, BLOCK_SIZE + 64],
    ] {
        let shape = shape(20, 1, 24, 16, 0);
        let case = Attention::new(shape, KvType::Bf16, lengths, &mut random);
        let golden = case.run(&Reference);
        assert!(golden.iter().all(|y| y.is_finite()));
        for candidate in &candidates {
            assert_same(&case.run(&candidate.cpu), &golden, &candidate.name);
        }
    }
}

#[test]
fn attention_with_huge_and_nan_scores() {
    let mut random = Random(13);
    let candidates = candidates();
    for (kv_type, scale, poison) in [
        (KvType::F32, 300.0, None),
        (KvType::F32, 1e30, None),
        (KvType::F32, 1.0, Some(f32::NAN)),
        (KvType::F32, 1.0, Some(f32::INFINITY)),
        (KvType::Bf16, 300.0, None),
        (KvType::Bf16, 1e30, None),
        (KvType::Bf16, 1.0, Some(f32::NAN)),
        (KvType::Bf16, 1.0, Some(f32::INFINITY)),
    ] {
        let shape = AttentionShape {
            scale,
            ..shape(3, 1, 32, 32, 32)
        };
        let mut case = Attention::new(shape, kv_type, &[100, 130], &mut random);
        if let Some(poison) = poison {
            let (rows, cols) = (case.keys.rows(), case.keys.cols());
            let mut keys = Reference.download(&case.keys);
            keys[70 * cols] = poison;
            case.keys = Reference.upload(rows, cols, &keys);
        }
        let golden = case.run(&Reference);
        if poison.is_some_and(f32::is_nan) {
            let (seen, unseen) = golden.split_at(5 * 96);
            assert!(
                seen.iter().all(|y| y.is_nan()),
                "a NaN score must not vanish"
            );
            assert!(unseen.iter().all(|y| y.is_finite()));
        }
        for candidate in &candidates {
            assert_same(&case.run(&candidate.cpu), &golden, &candidate.name);
        }
    }
}
