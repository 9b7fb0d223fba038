//! Makes small checkpoints in memory, so that tests can make them lie.

#![allow(dead_code, reason = "each test file uses its own part")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kernels::Bytes;
use std::path::{Path, PathBuf};

/// The folder of committed checkpoints.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models")
}

/// A metadata value, as it stands in a GGUF.
#[derive(Clone)]
pub enum Meta {
    U32(u32),
    U64(u64),
    F32(f32),
    Bool(bool),
    Text(&'static str),
    Texts(Vec<&'static str>),
    /// A type number and raw bytes.
    Raw(u32, Vec<u8>),
}

/// A tensor description and its bytes; `dims` with the fastest first, as GGUF has it.
#[derive(Clone)]
pub struct GgufTensor {
    pub name: String,
    pub dims: Vec<u64>,
    pub kind: u32,
    /// Where it is said to lie; none: right after the one before.
    pub offset: Option<u64>,
    pub data: Vec<u8>,
}

/// A GGUF file to be written.
#[derive(Clone)]
pub struct GgufFile {
    pub magic: [u8; 4],
    pub version: u32,
    pub num_tensors: Option<u64>,
    pub num_keys: Option<u64>,
    pub keys: Vec<(String, Meta)>,
    pub tensors: Vec<GgufTensor>,
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

impl GgufFile {
    pub fn new(keys: Vec<(&str, Meta)>, tensors: Vec<GgufTensor>) -> GgufFile {
        let keys = keys
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        GgufFile {
            magic: *b"GGUF",
            version: 3,
            num_tensors: None,
            num_keys: None,
            keys,
            tensors,
        }
    }

    pub fn set(&mut self, key: &str, value: Meta) -> &mut GgufFile {
        match self.keys.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = value,
            None => self.keys.push((key.to_owned(), value)),
        }
        self
    }

    pub fn unset(&mut self, key: &str) -> &mut GgufFile {
        self.keys.retain(|(known, _)| known != key);
        self
    }

    pub fn tensor(&mut self, name: &str) -> &mut GgufTensor {
        self.tensors
            .iter_mut()
            .find(|tensor| tensor.name == name)
            .unwrap()
    }

    pub fn without(&mut self, name: &str) -> &mut GgufFile {
        self.tensors.retain(|tensor| tensor.name != name);
        self
    }

    pub fn write(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(
            self.num_tensors
                .unwrap_or(self.tensors.len() as u64)
                .to_le_bytes(),
        );
        out.extend(
            self.num_keys
                .unwrap_or(self.keys.len() as u64)
                .to_le_bytes(),
        );
        for (key, value) in &self.keys {
            text(&mut out, key);
            write_value(&mut out, value);
        }
        let mut data: Vec<u8> = Vec::new();
        for tensor in &self.tensors {
            text(&mut out, &tensor.name);
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor
                .dims
                .iter()
                .for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.data);
            data.resize(data.len().next_multiple_of(32), 0);
        }
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend(data);
        out
    }

    pub fn bytes(&self) -> Bytes {
        Bytes::from(self.write())
    }
}

fn write_value(out: &mut Vec<u8>, value: &Meta) {
    let mut put = |id: u32, bytes: &[u8]| {
        out.extend(id.to_le_bytes());
        out.extend(bytes);
    };
    match value {
        Meta::U32(v) => put(4, &v.to_le_bytes()),
        Meta::U64(v) => put(10, &v.to_le_bytes()),
        Meta::F32(v) => put(6, &v.to_le_bytes()),
        Meta::Bool(v) => put(7, &[u8::from(*v)]),
        Meta::Raw(id, bytes) => put(*id, bytes),
        Meta::Text(v) => {
            put(8, &[]);
            text(out, v);
        }
        Meta::Texts(texts) => {
            put(9, &8_u32.to_le_bytes());
            out.extend((texts.len() as u64).to_le_bytes());
            texts.iter().for_each(|v| text(out, v));
        }
    }
}

/// An F32 tensor of small values.
pub fn f32_tensor(name: &str, dims: &[u64]) -> GgufTensor {
    let values: u64 = dims.iter().product();
    let data = (0..values)
        .flat_map(|i| ((i % 7) as f32 * 0.01).to_le_bytes())
        .collect();
    GgufTensor {
        name: name.to_owned(),
        dims: dims.to_vec(),
        kind: 0,
        offset: None,
        data,
    }
}

/// A `llama` of one layer: hidden 8, 2 heads of 4 lanes, 1 KV head, width 6, 5 tokens.
pub fn llama_gguf() -> GgufFile {
    let keys = vec![
        ("general.architecture", Meta::Text("llama")),
        ("llama.block_count", Meta::U32(1)),
        ("llama.context_length", Meta::U32(128)),
        ("llama.embedding_length", Meta::U32(8)),
        ("llama.feed_forward_length", Meta::U32(6)),
        ("llama.attention.head_count", Meta::U32(2)),
        ("llama.attention.head_count_kv", Meta::U32(1)),
        ("llama.attention.layer_norm_rms_epsilon", Meta::F32(1e-5)),
        ("tokenizer.ggml.model", Meta::Text("gpt2")),
        (
            "tokenizer.ggml.tokens",
            Meta::Texts(vec!["a", "b", "c", "d", "e"]),
        ),
    ];
    let tensors = [
        ("token_embd.weight", vec![8, 5]),
        ("output_norm.weight", vec![8]),
        ("blk.0.attn_norm.weight", vec![8]),
        ("blk.0.attn_q.weight", vec![8, 8]),
        ("blk.0.attn_k.weight", vec![8, 4]),
        ("blk.0.attn_v.weight", vec![8, 4]),
        ("blk.0.attn_output.weight", vec![8, 8]),
        ("blk.0.ffn_norm.weight", vec![8]),
        ("blk.0.ffn_gate.weight", vec![8, 6]),
        ("blk.0.ffn_up.weight", vec![8, 6]),
        ("blk.0.ffn_down.weight", vec![6, 8]),
    ];
    GgufFile::new(
        keys,
        tensors
            .iter()
            .map(|(name, dims)| f32_tensor(name, dims))
            .collect(),
    )
}

/// A `mistral4` of one layer: hidden 8, 2 heads (nope 2, rope 4, value 3), latent 5, query rank 6, 3 experts of width 4,
/// 2 a token, 1 shared, 5 tokens.
pub fn mistral4_gguf() -> GgufFile {
    let keys = vec![
        ("general.architecture", Meta::Text("mistral4")),
        ("mistral4.block_count", Meta::U32(1)),
        ("mistral4.context_length", Meta::U32(4096)),
        ("mistral4.embedding_length", Meta::U32(8)),
        ("mistral4.feed_forward_length", Meta::U32(10)),
        ("mistral4.attention.head_count", Meta::U32(2)),
        ("mistral4.attention.head_count_kv", Meta::U32(1)),
        ("mistral4.attention.layer_norm_rms_epsilon", Meta::F32(1e-6)),
        ("mistral4.attention.q_lora_rank", Meta::U32(6)),
        ("mistral4.attention.kv_lora_rank", Meta::U32(5)),
        ("mistral4.attention.key_length", Meta::U32(9)),
        ("mistral4.attention.value_length", Meta::U32(5)),
        ("mistral4.attention.key_length_mla", Meta::U32(6)),
        ("mistral4.attention.value_length_mla", Meta::U32(3)),
        ("mistral4.rope.dimension_count", Meta::U32(4)),
        ("mistral4.rope.freq_base", Meta::F32(10000.0)),
        ("mistral4.rope.scaling.type", Meta::Text("yarn")),
        ("mistral4.rope.scaling.factor", Meta::F32(128.0)),
        (
            "mistral4.rope.scaling.original_context_length",
            Meta::U32(32),
        ),
        ("mistral4.rope.scaling.yarn_log_multiplier", Meta::F32(0.1)),
        ("mistral4.expert_count", Meta::U32(3)),
        ("mistral4.expert_used_count", Meta::U32(2)),
        ("mistral4.expert_shared_count", Meta::U32(1)),
        ("mistral4.expert_feed_forward_length", Meta::U32(4)),
        ("mistral4.expert_weights_norm", Meta::Bool(true)),
        ("tokenizer.ggml.model", Meta::Text("none")),
    ];
    let tensors = [
        ("token_embd.weight", vec![8, 5]),
        ("output.weight", vec![8, 5]),
        ("output_norm.weight", vec![8]),
        ("blk.0.attn_norm.weight", vec![8]),
        ("blk.0.attn_q_a.weight", vec![8, 6]),
        ("blk.0.attn_q_a_norm.weight", vec![6]),
        ("blk.0.attn_q_b.weight", vec![6, 12]),
        ("blk.0.attn_kv_a_mqa.weight", vec![8, 9]),
        ("blk.0.attn_kv_a_norm.weight", vec![5]),
        ("blk.0.attn_k_b.weight", vec![2, 5, 2]),
        ("blk.0.attn_v_b.weight", vec![5, 3, 2]),
        ("blk.0.attn_output.weight", vec![6, 8]),
        ("blk.0.ffn_norm.weight", vec![8]),
        ("blk.0.ffn_gate_inp.weight", vec![8, 3]),
        ("blk.0.ffn_gate_up_exps.weight", vec![8, 8, 3]),
        ("blk.0.ffn_down_exps.weight", vec![4, 8, 3]),
        ("blk.0.ffn_gate_shexp.weight", vec![8, 4]),
        ("blk.0.ffn_up_shexp.weight", vec![8, 4]),
        ("blk.0.ffn_down_shexp.weight", vec![4, 8]),
    ];
    GgufFile::new(
        keys,
        tensors
            .iter()
            .map(|(name, dims)| f32_tensor(name, dims))
            .collect(),
    )
}

/// The `llama` of [`llama_gguf`] with `ffn_down` in a quantised type: its number, values and bytes a block.
pub fn quantised_gguf(kind: u32, block: u64, block_bytes: usize) -> GgufFile {
    let mut file = llama_gguf();
    file.set("llama.feed_forward_length", Meta::U32(block as u32));
    for name in ["blk.0.ffn_gate.weight", "blk.0.ffn_up.weight"] {
        // F16, to keep the file small.
        let half = file.tensor(name);
        (half.dims, half.kind, half.data) = (vec![8, block], 1, vec![0; 8 * 2 * block as usize]);
    }
    let down = file.tensor("blk.0.ffn_down.weight");
    (down.dims, down.kind, down.data) = (vec![block, 8], kind, vec![0; 8 * block_bytes]);
    file
}

/// A safetensors file from a header text and data.
pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.extend(data);
    out
}

/// A safetensors file with F32 tensors of small values.
pub fn f32_safetensors(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data: Vec<u8> = Vec::new();
    for (name, shape) in tensors {
        let start = data.len();
        let values: usize = shape.iter().product();
        data.extend((0..values).flat_map(|i| ((i % 5) as f32 * 0.02).to_le_bytes()));
        header.insert(
            (*name).to_owned(),
            serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}),
        );
    }
    safetensors(&serde_json::Value::Object(header).to_string(), &data)
}
