//! Writes the first inputs of each target: `seeds FIXTURES CORPUS`.
//!
//! Small files reach deeper than large ones; the committed checkpoints are too large to change byte by byte.

#[path = "../../crates/model/tests/loader_support/mod.rs"]
mod loader_support;

mod chat_seeds;

use loader_support::{
    GgufFile, Meta, f32_safetensors, llama_gguf, mistral4_gguf, quantised_gguf, safetensors,
};
use std::io;
use std::path::Path;

const MLA: &[(&str, &[usize])] = &[
    ("model.embed_tokens.weight", &[5, 8]),
    ("model.norm.weight", &[8]),
    ("model.layers.0.input_layernorm.weight", &[8]),
    ("model.layers.0.post_attention_layernorm.weight", &[8]),
    ("model.layers.0.self_attn.q_a_proj.weight", &[6, 8]),
    ("model.layers.0.self_attn.q_a_layernorm.weight", &[6]),
    ("model.layers.0.self_attn.q_b_proj.weight", &[12, 6]),
    (
        "model.layers.0.self_attn.kv_a_proj_with_mqa.weight",
        &[9, 8],
    ),
    ("model.layers.0.self_attn.kv_a_layernorm.weight", &[5]),
    ("model.layers.0.self_attn.kv_b_proj.weight", &[10, 5]),
    ("model.layers.0.self_attn.o_proj.weight", &[8, 6]),
    ("model.layers.0.mlp.gate.weight", &[2, 8]),
    ("model.layers.0.mlp.experts.gate_up_proj", &[2, 8, 8]),
    ("model.layers.0.mlp.experts.down_proj", &[2, 8, 4]),
];

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(fixtures), Some(corpus)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::other("usage: seeds FIXTURES CORPUS"));
    };
    let corpus = Path::new(&corpus);
    gguf(&corpus.join("gguf"))?;
    write(&corpus.join("safetensors"), "mla", &f32_safetensors(MLA))?;
    write(
        &corpus.join("safetensors"),
        "empty",
        &safetensors("{}", &[]),
    )?;
    let fixtures = Path::new(&fixtures);
    config_json(&fixtures.join("models"), &corpus.join("config_json"))?;
    chat_seeds::write_all(fixtures, corpus)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(name), bytes)
}

fn gguf(folder: &Path) -> io::Result<()> {
    let mut with_vocabulary = llama_gguf();
    with_vocabulary
        .set("tokenizer.ggml.pre", Meta::Text("tekken"))
        .set("tokenizer.ggml.merges", Meta::Texts(vec!["a b", "c d"]))
        .set("tokenizer.ggml.bos_token_id", Meta::U32(1))
        .set("tokenizer.ggml.add_bos_token", Meta::Bool(true))
        .set("tokenizer.chat_template", Meta::Text("{{ messages }}"));
    let mut deepseek = mistral4_gguf();
    for (key, _) in &mut deepseek.keys {
        *key = key.replace("mistral4.", "deepseek2.");
    }
    deepseek
        .set("general.architecture", Meta::Text("deepseek2"))
        .set("deepseek2.attention.temperature_scale", Meta::F32(0.1))
        .set("deepseek2.attention.temperature_length", Meta::U32(32));
    let empty = GgufFile::new(Vec::new(), Vec::new());
    for (name, file) in [
        ("llama", with_vocabulary),
        ("mistral4", mistral4_gguf()),
        ("deepseek2", deepseek),
        ("empty", empty),
        ("q4_0", quantised_gguf(2, 32, 18)),
        ("q5_1", quantised_gguf(7, 32, 24)),
        ("q8_0", quantised_gguf(8, 32, 34)),
        ("q4_k", quantised_gguf(12, 256, 144)),
        ("q6_k", quantised_gguf(14, 256, 210)),
    ] {
        write(folder, name, &file.write())?;
    }
    Ok(())
}

/// Every `config.json` of the committed checkpoints.
fn config_json(models: &Path, folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(models)? {
        let entry = entry?;
        let path = entry.path().join("config.json");
        if path.is_file() {
            write(
                folder,
                &entry.file_name().to_string_lossy(),
                &std::fs::read(path)?,
            )?;
        }
    }
    Ok(())
}
