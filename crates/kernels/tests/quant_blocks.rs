//! Dequantised blocks against gguf-py, bit for bit. `fixtures/quant/<format>.bin` holds raw blocks (ordinary, extreme
//! and constant ones), `.f32` the values gguf-py makes of them; `fixtures/make_models.py` wrote both.

use kernels::Format;
use std::path::Path;

#[test]
fn dequantised_blocks_are_what_gguf_py_makes_of_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/quant");
    for format in Format::ALL {
        if format == Format::F32 {
            continue; // stored as it is
        }
        let name = format.name().to_lowercase();
        let read = |ending| std::fs::read(folder.join(format!("{name}.{ending}"))).unwrap();
        let (blocks, golden) = (read("bin"), read("f32"));
        let mut values = vec![0.0; golden.len() / 4];
        assert!(values.len() >= 1024, "{name}");
        format.dequantize(&blocks, &mut values);
        for (i, (ours, golden)) in values.iter().zip(golden.as_chunks::<4>().0).enumerate() {
            let golden = f32::from_le_bytes(*golden);
            assert!(
                ours.to_bits() == golden.to_bits() || (ours.is_nan() && golden.is_nan()),
                "{name}: value {i} is {ours}, gguf-py has {golden}"
            );
        }
    }
}

/// `fixtures/make_quantized_blocks.py` wrote values and what gguf-py makes of them.
#[test]
fn q8_0_is_quantised_to_the_bytes_of_gguf_py() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/quant");
    let read = |name| std::fs::read(folder.join(name)).unwrap();
    let (values, golden) = (read("quantized.f32"), read("quantized.q8_0.bin"));
    let values: Vec<f32> = values
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    assert_eq!(values.len(), 128 * 32);
    let mut bytes = vec![0; golden.len()];
    Format::Q8_0.quantize(&values, &mut bytes);
    for (block, (ours, golden)) in bytes.chunks(34).zip(golden.chunks(34)).enumerate() {
        assert_eq!(ours, golden, "block {block}");
    }
}
