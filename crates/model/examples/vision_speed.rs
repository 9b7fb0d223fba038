//! How long the largest image takes in a tower of the real shape: random BF16 weights, pixels of noise.
//!
//! usage: cargo run --release -p model --example vision_speed [LAYERS [SIDE [THREADS]]]   (24, 1540, one a core)
//!
//! `fixtures/time_vision.py` times transformers in the same way.
#![expect(
    clippy::print_stdout,
    reason = "a program whose result is what it prints"
)]

use kernels::{Backend, Bytes, Cpu, FeedForward, Format, Matrix, Pairing};
use model::{
    ImageInput, LoadReport, MergerConfig, ProjectorWeights, Vision, VisionConfig,
    VisionLayerWeights, VisionWeights,
};
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

const HIDDEN: usize = 1024;
const INNER: usize = 4096;
const TEXT: usize = 4096;

/// A xorshift generator.
struct Noise(u64);

impl Noise {
    /// Between -1 and 1.
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / 8_388_608.0 - 1.0
    }

    /// Weights that keep the size of what they meet.
    fn matrix(&mut self, rows: usize, cols: usize) -> Result<Matrix, kernels::KernelError> {
        let scale = (3.0 / cols as f32).sqrt();
        let upper_half = |x: f32| ((x * scale).to_bits() >> 16) as u16;
        let values = (0..rows * cols).map(|_| upper_half(self.next()));
        let bytes: Vec<u8> = values.flat_map(u16::to_le_bytes).collect();
        Matrix::new(Format::Bf16, rows, cols, Bytes::from(bytes))
    }

    fn layer(&mut self) -> Result<VisionLayerWeights, kernels::KernelError> {
        Ok(VisionLayerWeights {
            attention_norm: vec![1.0; HIDDEN],
            q: self.matrix(HIDDEN, HIDDEN)?,
            k: self.matrix(HIDDEN, HIDDEN)?,
            v: self.matrix(HIDDEN, HIDDEN)?,
            output: self.matrix(HIDDEN, HIDDEN)?,
            feed_forward_norm: vec![1.0; HIDDEN],
            feed_forward: FeedForward {
                gate: self.matrix(INNER, HIDDEN)?,
                up: self.matrix(INNER, HIDDEN)?,
                down: self.matrix(HIDDEN, INNER)?,
            },
        })
    }
}

fn config(num_layers: usize) -> VisionConfig {
    VisionConfig {
        num_layers,
        hidden_size: HIDDEN,
        num_heads: 16,
        intermediate_size: INNER,
        patch_size: 14,
        max_image_size: 1540,
        norm_eps: 1e-5,
        rope_theta: 10000.0,
        pairing: Pairing::HalfSplit,
        merger: Some(MergerConfig {
            spatial_merge_size: 2,
            norm_eps: 1e-6,
        }),
        projector_bias: false,
        text_hidden_size: TEXT,
        sources: Vec::new(),
        notes: Vec::new(),
    }
}

fn weights(num_layers: usize) -> Result<VisionWeights, kernels::KernelError> {
    let mut noise = Noise(0x5eed);
    Ok(VisionWeights {
        patch_conv: noise.matrix(HIDDEN, 3 * 14 * 14)?,
        patch_norm: vec![1.0; HIDDEN],
        layers: (0..num_layers)
            .map(|_| noise.layer())
            .collect::<Result<_, _>>()?,
        projector: ProjectorWeights {
            merger: Some((vec![1.0; HIDDEN], noise.matrix(HIDDEN, 4 * HIDDEN)?)),
            linear_1: noise.matrix(TEXT, HIDDEN)?,
            bias_1: None,
            linear_2: noise.matrix(TEXT, TEXT)?,
            bias_2: None,
        },
        report: LoadReport::default(),
        matrices: Vec::new(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse());
    let layers: usize = arguments.next().unwrap_or(Ok(24))?;
    let side: usize = arguments.next().unwrap_or(Ok(1540))?;
    let cpu = Cpu::new(None, arguments.next().transpose()?)?;
    println!("{}", cpu.describe());
    let mut noise = Noise(7);
    let pixels: Vec<f32> = (0..3 * side * side).map(|_| noise.next()).collect();
    let vision = Vision::new(Arc::new(cpu), config(layers), weights(layers)?);
    for _ in 0..2 {
        let image = ImageInput {
            pixels: &pixels,
            height: side,
            width: side,
        };
        let begin = Instant::now();
        let features = vision.encode(&[image])?;
        let seconds = begin.elapsed().as_secs_f64();
        let rows = features[0].len() / TEXT;
        println!("{side} x {side}, {layers} layers: {rows} rows in {seconds:.2} s");
    }
    Ok(())
}
