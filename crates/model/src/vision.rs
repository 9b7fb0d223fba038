//! Images become rows of the text model: Pixtral's tower and the projector, for several images of any sizes at once.
//!
//! An image's result depends on its pixels alone: its patches see each other and nothing else. This file knows no file
//! and no text; pixels arrive resized and normalised.

use crate::config::{CHANNELS, VisionConfig};
use crate::error::ModelError;
use crate::vision_weights::{VisionLayerWeights, VisionWeights};
use kernels::{Backend, Columns, Format, FullAttention, Matrix, RotaryTable, Rows, math};
use std::ops::Range;
use std::sync::Arc;

/// An image as the tower takes it.
#[derive(Clone, Copy, Debug)]
pub struct ImageInput<'a> {
    /// `[3, height, width]`, row-major, normalised.
    pub pixels: &'a [f32],
    /// Rows of pixels, a multiple of [`VisionConfig::unit`].
    pub height: usize,
    /// Columns of pixels, a multiple of [`VisionConfig::unit`].
    pub width: usize,
}

/// A vision tower and its projector on a device.
pub struct Vision {
    backend: Arc<dyn Backend>,
    config: VisionConfig,
    weights: VisionWeights,
    /// Radians a position: of each pair that turns with the row, then of each that turns with the column.
    frequencies: Vec<f32>,
}

/// The patches of one image: a grid in the rows of the call.
struct Grid {
    rows: usize,
    cols: usize,
    range: Range<usize>,
}

impl Vision {
    /// Puts a tower together. A BF16 tower computes as a run in bf16 does: what is multiplied is rounded to bf16 once;
    /// sums, norms and the residual stream stay f32.
    pub fn new(backend: Arc<dyn Backend>, config: VisionConfig, weights: VisionWeights) -> Vision {
        let frequencies = frequencies(config.rope_theta, config.head_dim());
        Vision {
            backend,
            config,
            weights: weights.rounding_activations(),
            frequencies,
        }
    }

    /// The configuration it runs.
    pub fn config(&self) -> &VisionConfig {
        &self.config
    }

    /// One line: the tower's shape, its largest image, and the bytes of its weights' format.
    pub fn describe(&self) -> String {
        let c = &self.config;
        format!(
            "vision tower: {} layers of {}, patches of {}, merged {m} x {m}, images up to {} x {}, {} weights",
            c.num_layers,
            c.hidden_size,
            c.patch_size,
            c.max_image_size,
            c.max_image_size,
            self.weights
                .layers
                .first()
                .map_or("no", |l| l.q.format().name()),
            m = c.unit() / c.patch_size,
        )
    }

    /// Bytes of its weights.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.bytes()
    }

    /// The rows of the text model that each image becomes: `[merged patches, text_hidden_size]` an image, row-major, the
    /// patches row by row.
    ///
    /// Cost: attention grows with the square of an image's patches; memory with the patches of the call, about 100 KiB
    /// each for the known towers.
    ///
    /// Errors: sides that are no multiples of the patch, an image above `max_image_size`, another number of pixels than
    /// the sides say, a result that is not finite.
    pub fn encode(&self, images: &[ImageInput]) -> Result<Vec<Vec<f32>>, ModelError> {
        let mut grids = Vec::new();
        for (index, image) in images.iter().enumerate() {
            self.check(image)
                .map_err(|what| ModelError::Step(format!("image {index}: {what}")))?;
            let patch = self.config.patch_size;
            let (rows, cols) = (image.height / patch, image.width / patch);
            let first = grids.last().map_or(0, |grid: &Grid| grid.range.end);
            let range = first..first + rows * cols;
            grids.push(Grid { rows, cols, range });
        }
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let hidden = self.tower(images, &grids);
        let features = self.backend.download(&self.project(hidden, &grids));
        if !features.iter().all(|x| x.is_finite()) {
            return Err(self.not_finite());
        }
        let merged = self.config.unit() / self.config.patch_size;
        let mut rest = features.as_slice();
        let mut take = |grid: &Grid| {
            let values = grid.range.len() / (merged * merged) * self.config.text_hidden_size;
            let (image, after) = rest.split_at(values);
            rest = after;
            image.to_vec()
        };
        Ok(grids.iter().map(&mut take).collect())
    }

    fn check(&self, image: &ImageInput) -> Result<(), String> {
        let ImageInput {
            pixels,
            height,
            width,
        } = *image;
        let (unit, most) = (self.config.unit(), self.config.max_image_size);
        if height == 0 || width == 0 || height > most || width > most {
            return Err(format!(
                "{width} x {height} pixels, expected 1 to {most} a side"
            ));
        }
        if !height.is_multiple_of(unit) || !width.is_multiple_of(unit) {
            return Err(format!(
                "{width} x {height} pixels, expected multiples of {unit}"
            ));
        }
        let expected = CHANNELS * height * width;
        if pixels.len() != expected {
            return Err(format!(
                "{} values for {width} x {height} pixels, expected {expected}",
                pixels.len()
            ));
        }
        Ok(())
    }

    /// Patches, embedded, through all layers.
    fn tower(&self, images: &[ImageInput], grids: &[Grid]) -> Rows {
        let (backend, config, weights) = (&*self.backend, &self.config, &self.weights);
        let (hidden_size, eps) = (config.hidden_size, config.norm_eps);
        let whole = Columns::range(0, hidden_size);
        let ranges: Vec<Range<usize>> = grids.iter().map(|grid| grid.range.clone()).collect();
        let rows = ranges.last().map_or(0, |range| range.end);
        let mut embedded = backend.rows(rows, hidden_size);
        let patches = unfold(images, config.patch_size);
        let patches = backend.upload(rows, weights.patch_conv.cols(), &patches);
        backend.project(&patches, &[&weights.patch_conv], &mut [&mut embedded]);
        let mut hidden = backend.rows(rows, hidden_size);
        let norm = &weights.patch_norm;
        backend.rms_norm(&embedded, whole, norm, eps, &mut hidden, whole);

        let rotary = self.rotary(grids);
        let mut normed = embedded;
        let mut part = backend.rows(rows, hidden_size);
        let mut scratch = [(); 4].map(|()| backend.rows(rows, hidden_size));
        for layer in &weights.layers {
            let norm = &layer.attention_norm;
            backend.rms_norm(&hidden, whole, norm, eps, &mut normed, whole);
            self.attention(layer, &normed, &rotary, &ranges, &mut scratch, &mut part);
            backend.add(&mut hidden, &part);
            let norm = &layer.feed_forward_norm;
            backend.rms_norm(&hidden, whole, norm, eps, &mut normed, whole);
            backend.feed_forward(&normed, &layer.feed_forward, &mut part);
            backend.add(&mut hidden, &part);
        }
        hidden
    }

    /// One layer's attention of normed rows: every patch of an image sees all of them.
    fn attention(
        &self,
        layer: &VisionLayerWeights,
        x: &Rows,
        rotary: &RotaryTable,
        ranges: &[Range<usize>],
        [q, k, v, mixed]: &mut [Rows; 4],
        out: &mut Rows,
    ) {
        let (backend, config) = (&*self.backend, &self.config);
        let (heads, head_dim) = (config.num_heads, config.head_dim());
        backend.project(x, &[&layer.q, &layer.k, &layer.v], &mut [q, k, v]);
        let columns = Columns::heads(heads, head_dim, 0, head_dim);
        backend.rotate(q, columns, rotary, config.pairing);
        backend.rotate(k, columns, rotary, config.pairing);
        let shape = FullAttention {
            num_heads: heads,
            head_dim,
            scale: (head_dim as f64).powf(-0.5) as f32,
            rounded: layer.q.format() != Format::F32,
        };
        backend.full_attention(q, k, v, ranges, &shape, mixed);
        backend.project(mixed, &[&layer.output], &mut [out]);
    }

    /// From the tower into the text model.
    fn project(&self, hidden: Rows, grids: &[Grid]) -> Rows {
        let (backend, weights) = (&*self.backend, &self.weights.projector);
        let merged = match (&weights.merger, self.config.merger) {
            (Some((norm, matrix)), Some(merger)) => {
                let whole = Columns::range(0, self.config.hidden_size);
                let mut normed = backend.rows(hidden.rows(), hidden.cols());
                backend.rms_norm(&hidden, whole, norm, merger.norm_eps, &mut normed, whole);
                let cols = self.config.hidden_size;
                let gathered = gather_blocks(
                    &backend.download(&normed),
                    cols,
                    grids,
                    merger.spatial_merge_size,
                );
                let rows = gathered.len() / matrix.cols();
                let gathered = backend.upload(rows, matrix.cols(), &gathered);
                let mut merged = backend.rows(rows, cols);
                backend.project(&gathered, &[matrix], &mut [&mut merged]);
                merged
            }
            _ => hidden,
        };
        let mut inner = self.linear(&merged, &weights.linear_1, weights.bias_1.as_deref());
        backend.gelu(&mut inner);
        self.linear(&inner, &weights.linear_2, weights.bias_2.as_deref())
    }

    fn linear(&self, x: &Rows, weight: &Matrix, bias: Option<&[f32]>) -> Rows {
        let backend = &*self.backend;
        let mut out = backend.rows(x.rows(), weight.rows());
        backend.project(x, &[weight], &mut [&mut out]);
        if let Some(bias) = bias {
            let bias = backend.upload(x.rows(), bias.len(), &bias.repeat(x.rows()));
            backend.add(&mut out, &bias);
        }
        out
    }

    /// Cosines and sines of every patch: the first half of the pairs turn with its row, the others with its column.
    fn rotary(&self, grids: &[Grid]) -> RotaryTable {
        let pairs = self.frequencies.len();
        let (of_rows, of_cols) = self.frequencies.split_at(pairs / 2);
        let turn = |position: usize, frequencies: &[f32]| -> Vec<(f32, f32)> {
            let angle = |frequency: &f32| math::sin_cos(position as f32 * frequency);
            frequencies.iter().map(angle).collect()
        };
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for grid in grids {
            let cols: Vec<_> = (0..grid.cols).map(|col| turn(col, of_cols)).collect();
            for row in 0..grid.rows {
                let row = turn(row, of_rows);
                for col in &cols {
                    sin.extend(row.iter().chain(col).map(|(sin, _)| sin));
                    cos.extend(row.iter().chain(col).map(|(_, cos)| cos));
                }
            }
        }
        let rows = cos.len() / pairs;
        RotaryTable {
            cos: self.backend.upload(rows, pairs, &cos),
            sin: self.backend.upload(rows, pairs, &sin),
        }
    }

    /// Explains a result that is not finite.
    fn not_finite(&self) -> ModelError {
        let cause = match self.weights.find_non_finite() {
            Some(place) => format!("{place}; the file is damaged: fetch it again"),
            None => "every stored weight is finite, so a pixel is not, or the sums overflow".into(),
        };
        ModelError::Step(format!("an image's features are not finite: {cause}"))
    }
}

/// Radians a position, `theta^(-2i / head_dim)`, as PyTorch rounds them: those of even `i`, then those of odd.
fn frequencies(theta: f32, head_dim: usize) -> Vec<f32> {
    let frequency = |i: usize| {
        let exponent = (2 * i) as f32 / head_dim as f32;
        1.0 / math::pow(f64::from(theta), f64::from(exponent)) as f32
    };
    let pairs = head_dim / 2;
    let even = (0..pairs).step_by(2);
    even.chain((1..pairs).step_by(2)).map(frequency).collect()
}

/// The patches of all images, row by row; a patch's values by colour, row and column.
fn unfold(images: &[ImageInput], patch: usize) -> Vec<f32> {
    let total = images.iter().map(|image| image.pixels.len()).sum();
    let mut patches = Vec::with_capacity(total);
    for image in images {
        let ImageInput { height, width, .. } = *image;
        for top in (0..height).step_by(patch) {
            for left in (0..width).step_by(patch) {
                for channel in 0..CHANNELS {
                    for y in top..top + patch {
                        let at = (channel * height + y) * width + left;
                        patches.extend_from_slice(&image.pixels[at..at + patch]);
                    }
                }
            }
        }
    }
    patches
}

/// Blocks of `size` x `size` patches as one row each: value `c` of the patch at (y, x) of a block goes to column
/// `(c · size + y) · size + x`, as PyTorch unfolds.
fn gather_blocks(hidden: &[f32], cols: usize, grids: &[Grid], size: usize) -> Vec<f32> {
    let area = size * size;
    let mut gathered = vec![0.0; hidden.len()];
    let mut blocks = gathered.chunks_exact_mut(cols * area);
    for grid in grids {
        for top in (0..grid.rows).step_by(size) {
            for left in (0..grid.cols).step_by(size) {
                let Some(block) = blocks.next() else {
                    return gathered;
                };
                for (y, x) in (0..area).map(|i| (i / size, i % size)) {
                    let patch = grid.range.start + (top + y) * grid.cols + left + x;
                    let values = &hidden[patch * cols..][..cols];
                    for (to, value) in block[y * size + x..].iter_mut().step_by(area).zip(values) {
                        *to = *value;
                    }
                }
            }
        }
    }
    gathered
}
