//! Images against transformers 5.23: features of tower and projector, and log-probabilities of texts with images.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod support;

use kernels::{Backend, Cpu, Isa, PAGE_SIZE, Reference, RowInput};
use model::{
    Batch, BatchSequence, Checkpoint, ImageInput, LanguageModel, LogitRows, SoftmaxScale, Vision,
    VisionCheckpoint, open, open_mmproj,
};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use support::{fixtures, load, log_softmax};

/// Fixture, and the bars on its features and on log-probabilities. transformers' own bf16 run of the third is 0.056 and
/// 0.10 away from its f32 run.
const MODELS: [(&str, f32, f64); 3] = [
    ("mistral4-vision-f32", 3e-4, 3e-4),
    ("pixtral-vision-f32", 3e-4, 3e-4),
    ("mistral3-vision-bf16", 5e-2, 1e-1),
];
const IMG: u32 = 10;

/// One line of a golden file.
#[derive(Deserialize)]
struct Golden {
    /// Height, width and seed of each image.
    images: Vec<[usize; 3]>,
    ids: Vec<u32>,
    logprobs: Vec<Option<f64>>,
    last_top: Vec<(u32, f64)>,
}

fn goldens(name: &str) -> Vec<Golden> {
    let path = fixtures()
        .join("goldens")
        .join(format!("{name}.images.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// All images of all lines, one after the other.
fn golden_features(name: &str) -> Vec<f32> {
    let path = fixtures()
        .join("goldens")
        .join(format!("{name}.features.f32"));
    let bytes = std::fs::read(path).unwrap();
    bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

/// An image of the formula in `fixtures/lib/vision.py`.
struct Picture {
    pixels: Vec<f32>,
    height: usize,
    width: usize,
}

impl Picture {
    fn new([height, width, seed]: [usize; 3]) -> Picture {
        let mut pixels = Vec::new();
        for c in 0..3 {
            for y in 0..height {
                for x in 0..width {
                    let steps = c * 7919
                        + y * 104_729
                        + x * 1_299_709
                        + (y / 7) * (x / 5) * 271
                        + seed * 15_485_863;
                    pixels.push(((steps % 1009) as f64 * (4.0 / 1009.0) - 2.0) as f32);
                }
            }
        }
        Picture {
            pixels,
            height,
            width,
        }
    }

    fn input(&self) -> ImageInput<'_> {
        ImageInput {
            pixels: &self.pixels,
            height: self.height,
            width: self.width,
        }
    }
}

fn path(name: &str) -> PathBuf {
    fixtures().join("models").join(name)
}

fn checkpoint(name: &str) -> Checkpoint {
    open(&path(name)).unwrap()
}

fn mmproj(name: &str) -> VisionCheckpoint {
    let text = checkpoint(name).config;
    open_mmproj(&path(&format!("{name}-mmproj.gguf")), &text).unwrap()
}

fn vision(checkpoint: &VisionCheckpoint, backend: Arc<dyn Backend>) -> Vision {
    Vision::new(
        backend,
        checkpoint.config.clone(),
        checkpoint.load().unwrap(),
    )
}

fn encode(vision: &Vision, images: &[[usize; 3]]) -> Vec<Vec<f32>> {
    let pictures: Vec<Picture> = images.iter().map(|image| Picture::new(*image)).collect();
    let inputs: Vec<ImageInput> = pictures.iter().map(Picture::input).collect();
    vision.encode(&inputs).unwrap()
}

fn worst(x: &[f32], y: &[f32]) -> f32 {
    assert_eq!(x.len(), y.len());
    x.iter()
        .zip(y)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, f32::max)
}

#[test]
fn features_agree_with_transformers() {
    for (name, bar, _) in MODELS {
        let hugging_face = checkpoint(name).vision().unwrap().unwrap();
        let forms = [("safetensors", hugging_face), ("mmproj", mmproj(name))];
        for (form, checkpoint) in forms {
            let vision = vision(&checkpoint, Arc::new(Reference));
            let lines = goldens(name);
            let features = lines.iter().flat_map(|line| encode(&vision, &line.images));
            let features = features.collect::<Vec<_>>().concat();
            let worst = worst(&features, &golden_features(name));
            println!("{name:<24} {form:<12} worst {worst:.1e}, bar {bar:.0e}");
            assert!(worst <= bar, "{name}, {form}: {worst:e} is over {bar:e}");
        }
    }
}

#[test]
fn texts_with_images_agree_with_transformers() {
    for (name, _, bar) in MODELS {
        let checkpoint = checkpoint(name).vision().unwrap().unwrap();
        let vision = vision(&checkpoint, Arc::new(Reference));
        let mut transformer = load(name, SoftmaxScale::Vendor);
        let mut worst = 0f64;
        for line in goldens(name) {
            let mut image_rows = 0;
            let mut input = |id: &u32| match *id {
                IMG => {
                    image_rows += 1;
                    RowInput::Embedding(image_rows - 1)
                }
                id => RowInput::Token(id),
            };
            let sequence = BatchSequence {
                inputs: line.ids.iter().map(&mut input).collect(),
                first_position: 0,
                pages: (0..line.ids.len().div_ceil(PAGE_SIZE) as u32).collect(),
                adapter: None,
                logits: LogitRows::All,
                hidden: false,
            };
            let batch = Batch {
                sequences: vec![sequence],
                embeddings: encode(&vision, &line.images).concat(),
            };
            let output = transformer.forward(&batch).unwrap();
            let rows = output.logits.chunks_exact(transformer.vocab_size());
            let got: Vec<Vec<f64>> = rows.map(log_softmax).collect();
            for (at, expected) in line.logprobs.iter().enumerate().skip(1) {
                let logprob = got[at - 1][line.ids[at] as usize];
                worst = worst.max((logprob - expected.unwrap()).abs());
            }
            for (id, logprob) in &line.last_top {
                worst = worst.max((got[line.ids.len() - 1][*id as usize] - logprob).abs());
            }
        }
        println!("{name:<24} log-probabilities: worst {worst:.1e}, bar {bar:.0e}");
        assert!(worst <= bar, "{name}: {worst:e} is over {bar:e}");
    }
}

/// The bits of an image's features depend on its pixels: not on other images, lanes or threads.
#[test]
fn an_image_depends_on_nothing_beside_it() {
    let images = [[56, 252, 4], [28, 28, 5], [140, 112, 3]];
    for name in ["mistral4-vision-f32", "mistral3-vision-bf16"] {
        let checkpoint = checkpoint(name).vision().unwrap().unwrap();
        let golden = encode(&vision(&checkpoint, Arc::new(Reference)), &images);
        let bits = |features: &[f32]| features.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            for threads in [1, 3] {
                let cpu = Cpu::new(Some(isa), Some(threads)).unwrap();
                let vision = vision(&checkpoint, Arc::new(cpu));
                let together = encode(&vision, &images);
                for (i, image) in images.iter().enumerate() {
                    let alone = encode(&vision, &[*image]);
                    assert_eq!(bits(&alone[0]), bits(&golden[i]), "{isa:?}, {threads}");
                    assert_eq!(bits(&together[i]), bits(&golden[i]), "{isa:?}, {threads}");
                }
            }
        }
    }
}

#[test]
fn no_images_become_no_rows() {
    let checkpoint = mmproj("pixtral-vision-f32");
    let vision = vision(&checkpoint, Arc::new(Reference));
    assert!(vision.encode(&[]).unwrap().is_empty());
    assert!(vision.describe().contains("280"), "{}", vision.describe());
    assert!(vision.weight_bytes() > 100_000);
}

#[test]
fn images_that_do_not_fit_are_refused() {
    let checkpoint = checkpoint("mistral4-vision-f32").vision().unwrap().unwrap();
    let vision = vision(&checkpoint, Arc::new(Reference));
    let refused = |height: usize, width: usize, values: usize| {
        let pixels = vec![0.5; values];
        let good = Picture::new([28, 28, 1]);
        let image = ImageInput {
            pixels: &pixels,
            height,
            width,
        };
        vision
            .encode(&[good.input(), image])
            .unwrap_err()
            .to_string()
    };
    for (height, width, part) in [
        (308, 28, "28 x 308 pixels, expected 1 to 280 a side"),
        (0, 28, "expected 1 to 280"),
        (28, 42, "42 x 28 pixels, expected multiples of 28"),
    ] {
        let message = refused(height, width, 3 * height * width);
        assert!(
            message.starts_with("image 1: ") && message.contains(part),
            "{message}"
        );
    }
    let message = refused(28, 28, 5);
    assert!(message.contains("5 values for 28 x 28 pixels, expected 2352"));
    let mut pixels = vec![0.5; 3 * 28 * 28];
    pixels[100] = f32::NAN;
    let image = ImageInput {
        pixels: &pixels,
        height: 28,
        width: 28,
    };
    let message = vision.encode(&[image]).unwrap_err().to_string();
    assert!(
        message.contains("not finite") && message.contains("a pixel"),
        "{message}"
    );
}

#[test]
fn a_vision_file_is_for_one_width_and_no_text_model() {
    let text = checkpoint("mistral4-vision-f32").config;
    let error = |file: &str| open_mmproj(&path(file), &text).unwrap_err().to_string();
    let message = error("mistral3-vision-bf16-mmproj.gguf");
    assert!(
        message.contains("projection_dim is 64") && message.contains("hidden_size is 48"),
        "{message}"
    );
    let message = error("mistral4-tiny-f32.gguf");
    assert!(message.contains("expected \"clip\""), "{message}");
    assert!(error("nothing.gguf").contains("no such file"));
    let message = open(&path("mistral4-vision-f32-mmproj.gguf"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("clip"), "{message}");
    assert!(
        checkpoint("mistral4-tiny-f32.gguf")
            .vision()
            .unwrap()
            .is_none()
    );
    assert!(checkpoint("llama-tiny").vision().unwrap().is_none());
}
