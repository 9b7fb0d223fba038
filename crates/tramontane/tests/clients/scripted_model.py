"""Writes a tiny hand-made checkpoint that behaves like a chat model without knowing anything.

usage: python scripted_model.py FOLDER          (standard library only)

It is a `mistral4` with a vision tower and a 4096-token Tekken. The residual stream holds one coordinate for the class of
the last token; the head turns it into the next class, so text is a chain of word classes that ends after a dozen words.
Two attention heads look back for one token each, and so the model
- thinks when the prompt says effort high, in words of its own, and closes the thought,
- calls a tool when tools were offered and no result is there yet,
- otherwise answers with words, now and then with a letter of two bytes or a face of four, each byte a token.
With it every point of the protocol can be checked, and nothing that needs knowledge.
"""

import base64
import gzip
import json
import math
import random
import struct
import sys
from array import array
from pathlib import Path

VOCABULARY = Path(__file__).resolve().parents[4] / "fixtures" / "tekken" / "vocabulary.bin.gz"
PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
NUM_SPECIAL, VOCAB_SIZE, HIDDEN = 64, 4096, 64
SPECIALS = dict(enumerate(
    "<unk> <s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS] [TOOL_CALLS] "
    "[IMG] <pad> [IMG_BREAK] [IMG_END] [PREFIX] [MIDDLE] [SUFFIX] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CONTENT]".split()
)) | {32: "[ARGS]", 33: "[CALL_ID]", 34: "[THINK]", 35: "[/THINK]", 36: "[MODEL_SETTINGS]", 37: "[/MODEL_SETTINGS]"}

# Classes of tokens; each is a coordinate of the residual stream.
WORDS = [f"word{i}" for i in range(6)]
THOUGHTS = [f"thought{i}" for i in range(6)]  # words that are only thought
BYTES = {b"\xc3": "e1", b"\xa9": "e2", b"\xf0": "face1", b"\x9f": "face2", b"\x98": "face3", b"\x80": "face4"}
MARKS = {b'"': "quote", b"{": "open", b"[": "open", b"}": "close", b"]": "close", b":": "colon", b",": "comma", b" ": "space"}
BY_ID = {2: "end", 4: "start", 6: "tools", 8: "results", 9: "call", 32: "args", 34: "think", 35: "thought"}
CLASSES = ["other", *WORDS, *THOUGHTS, *BYTES.values(), *MARKS.values(), *BY_ID.values(), "high", "digit", "sign"]
CONSTANT, OFFERED, HIGH = 48, 49, 50  # a one, and what the two heads have seen
SEEN = 0.5
SCALE = 5.3  # what the final norm multiplies by, about

NEVER = -60.0
AFTER_WORD = {"e1": -3.0, "face1": -4.0, "quote": -5.0, "comma": -4.0, "colon": -6.0, "sign": -4.0, "digit": -6.0, "space": -7.0}


def transitions():
    """log-probability (not normalised) of each class after each class."""
    table = {
        before: dict.fromkeys(CLASSES, -12.0) | {name: NEVER for name in BY_ID.values()} | {"other": -25.0, "space": -20.0, "end": -6.0}
        for before in CLASSES
    }
    for i, word in enumerate(WORDS):
        row = table[word]
        row.update(AFTER_WORD)
        row.update({other: -1.5 for other in WORDS})
        if i < len(WORDS) - 1:
            row.update({WORDS[i + 1]: 1.5, "end": -5.0, "args": -34.0 - 4.0})  # `offered` makes up for the 34
        else:
            row.update({"end": 2.5, "args": -34.0 + 1.0, "quote": -1.0})  # the quote ends a string, where JSON is asked for
    for i, thought in enumerate(THOUGHTS):
        row = table[thought]
        row.update({other: -1.5 for other in THOUGHTS} | {"end": NEVER})
        row.update({"thought": 2.5} if i == len(THOUGHTS) - 1 else {THOUGHTS[i + 1]: 1.5})
    for name in ("start", "results", "thought", "sign", "comma", "e2", "face4", "other", "space", "high"):
        table[name].update({word: 0.0 for word in WORDS})
    table["think"].update({THOUGHTS[0]: 3.0} | {"end": NEVER})
    table["start"]["call"] = table["thought"]["call"] = -34.0 + 10.0
    table["start"]["think"] = NEVER + 20.0
    table["e1"]["e2"] = table["face1"]["face2"] = table["face2"]["face3"] = table["face3"]["face4"] = 20.0
    table["call"].update({WORDS[0]: 3.0})
    table["args"].update({"open": 5.0})
    table["open"].update({"quote": 3.0, "close": -1.0, "digit": 1.0, "open": 0.0})
    table["quote"].update({WORDS[0]: 2.0, "colon": 1.0, "comma": 0.0, "close": 0.5, "quote": -3.0})
    table["colon"].update({"quote": 2.0, "digit": 2.0, "open": 0.0, WORDS[0]: 0.0})
    table["digit"].update({"digit": 0.0, "comma": 0.0, "close": 0.5, "end": 0.0, WORDS[0]: -1.0})
    table["close"].update({"end": 4.0, "close": 1.0, "comma": 0.0})
    return table


def vocabulary():
    """The bytes of each ordinary token."""
    data, tokens, at = gzip.decompress(VOCABULARY.read_bytes()), [], 0
    while len(tokens) < VOCAB_SIZE - NUM_SPECIAL:
        length = data[at]
        tokens.append(data[at + 1 : at + 1 + length])
        at += 1 + length
    if b"high" not in tokens:
        tokens[-1] = b"high"  # the effort is one token
    return tokens


def class_of(token: bytes, rank: int) -> str:
    if token == b"high":
        return "high"
    if token in MARKS:
        return MARKS[token]
    if token in BYTES:
        return BYTES[token]
    if token.isdigit():
        return "digit"
    letters = token.removeprefix(b" ")
    if letters.isalpha() and letters.isascii() and letters.islower():
        return (WORDS + THOUGHTS)[rank % 12]
    return "sign" if token in (b".", b"!", b"?", b"-") else "other"


def zeros(*shape):
    return {"shape": list(shape), "values": array("f", bytes(4 * math.prod(shape)))}


def ones(*shape):
    return {"shape": list(shape), "values": array("f", [1.0] * math.prod(shape))}


def put(tensor, row, column, value):
    tensor["values"][row * tensor["shape"][1] + column] = value


def noise(generator, *shape, size=0.05):
    return {"shape": list(shape), "values": array("f", [generator.gauss(0, size) for _ in range(math.prod(shape))])}


HEADS, NOPE, ROPE, VALUE, Q_RANK, KV_RANK, EXPERTS, EXPERT_WIDTH = 2, 8, 16, 24, 8, 8, 4, 16
VISION = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 8}


def attention(prefix):
    """Two heads; a head's key is large at the token it looks for, and its value says that it found one."""
    q_a, q_b = zeros(Q_RANK, HIDDEN), zeros(HEADS * (NOPE + ROPE), Q_RANK)
    kv_a, kv_b = zeros(KV_RANK + ROPE, HIDDEN), zeros(HEADS * (NOPE + VALUE), KV_RANK)
    out = zeros(HIDDEN, HEADS * VALUE)
    put(q_a, 0, CONSTANT, 1.0)
    put(kv_a, 0, CONSTANT, 1.0)
    # feature <- (the token that raises it, the later token that cancels it)
    looks = {OFFERED: ("tools", "results"), HIGH: ("high", None)}
    latent, strength = 1, 22.0
    for head, (feature, (raised, cancelled)) in enumerate(looks.items()):
        put(q_b, head * (NOPE + ROPE), 0, 1.0)
        put(kv_a, latent, CLASSES.index(raised), 1.0)
        put(kv_b, head * (NOPE + VALUE), latent, strength)
        put(kv_b, head * (NOPE + VALUE) + NOPE, latent, SEEN / 2.0)
        latent += 1
        if cancelled:
            put(kv_a, latent, CLASSES.index(cancelled), 1.0)
            put(kv_b, head * (NOPE + VALUE), latent, 2.0 * strength)
            latent += 1
        put(out, feature, head * VALUE, 1.0)
    names = {"q_a_proj": q_a, "q_b_proj": q_b, "kv_a_proj_with_mqa": kv_a, "kv_b_proj": kv_b, "o_proj": out,
             "q_a_layernorm": ones(Q_RANK), "kv_a_layernorm": ones(KV_RANK)}
    return {f"{prefix}.self_attn.{name}.weight": tensor for name, tensor in names.items()}


def text_tensors(tokens, generator):
    classes = [BY_ID.get(i, "other") for i in range(NUM_SPECIAL)] + [class_of(t, rank) for rank, t in enumerate(tokens)]
    embed, head, table = zeros(VOCAB_SIZE, HIDDEN), zeros(VOCAB_SIZE, HIDDEN), transitions()
    boosts = {"call": {OFFERED: 34.0}, "args": {OFFERED: 34.0}, "think": {HIGH: 60.0}}
    seen_before: dict[str, int] = {}
    for token in generator.sample(range(VOCAB_SIZE), VOCAB_SIZE):
        name = classes[token]
        put(embed, token, CLASSES.index(name), 1.0)
        put(embed, token, CONSTANT, 1.0)
        order = seen_before[name] = seen_before.get(name, -1) + 1  # the first tokens of a class are the likeliest
        for before, row in table.items():
            put(head, token, CLASSES.index(before), row[name] / SCALE)
        put(head, token, CONSTANT, -1.2 * math.log(order + 1) / SCALE)
        for feature, boost in boosts.get(name, {}).items():
            put(head, token, feature, boost / (SCALE * SEEN))
    prefix = "model.language_model"
    layer = f"{prefix}.layers.0"
    return {
        f"{prefix}.embed_tokens.weight": embed, "lm_head.weight": head, f"{prefix}.norm.weight": ones(HIDDEN),
        f"{layer}.input_layernorm.weight": ones(HIDDEN), f"{layer}.post_attention_layernorm.weight": ones(HIDDEN),
        f"{layer}.mlp.gate.weight": noise(generator, EXPERTS, HIDDEN),
        f"{layer}.mlp.experts.gate_up_proj": noise(generator, EXPERTS, 2 * EXPERT_WIDTH, HIDDEN),
        f"{layer}.mlp.experts.down_proj": zeros(EXPERTS, HIDDEN, EXPERT_WIDTH),
        f"{layer}.mlp.shared_experts.gate_proj.weight": noise(generator, EXPERT_WIDTH, HIDDEN),
        f"{layer}.mlp.shared_experts.up_proj.weight": noise(generator, EXPERT_WIDTH, HIDDEN),
        f"{layer}.mlp.shared_experts.down_proj.weight": zeros(HIDDEN, EXPERT_WIDTH),
    } | attention(layer)


def vision_tensors(generator):
    """A random tower whose rows stay out of the coordinates that the text uses."""
    d, f = VISION["hidden_size"], VISION["intermediate_size"]
    last = zeros(HIDDEN, HIDDEN)
    for i in range(56, 64):
        for j in range(HIDDEN):
            put(last, i, j, generator.gauss(0, 0.05))
    layer, projector = "model.vision_tower.transformer.layers.0", "model.multi_modal_projector"
    tensors = {f"{layer}.attention.{name}_proj.weight": noise(generator, d, d) for name in "qkvo"}
    return tensors | {
        "model.vision_tower.patch_conv.weight": noise(generator, d, 3, 14, 14), "model.vision_tower.ln_pre.weight": ones(d),
        f"{layer}.attention_norm.weight": ones(d), f"{layer}.ffn_norm.weight": ones(d),
        f"{layer}.feed_forward.gate_proj.weight": noise(generator, f, d), f"{layer}.feed_forward.up_proj.weight": noise(generator, f, d),
        f"{layer}.feed_forward.down_proj.weight": noise(generator, d, f),
        f"{projector}.norm.weight": ones(d), f"{projector}.patch_merger.merging_layer.weight": noise(generator, d, 4 * d),
        f"{projector}.linear_1.weight": noise(generator, HIDDEN, d), f"{projector}.linear_2.weight": last,
    }


def config():
    rope = {"rope_type": "yarn", "type": "yarn", "rope_theta": 10000.0, "factor": 128.0, "original_max_position_embeddings": 8192,
            "max_position_embeddings": 65536, "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
            "llama_4_scaling_beta": 0.1, "partial_rotary_factor": ROPE / (NOPE + ROPE)}
    text = {
        "model_type": "mistral4", "vocab_size": VOCAB_SIZE, "hidden_size": HIDDEN, "num_hidden_layers": 1, "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS, "head_dim": NOPE + ROPE, "qk_head_dim": NOPE + ROPE, "qk_nope_head_dim": NOPE, "qk_rope_head_dim": ROPE,
        "v_head_dim": VALUE, "q_lora_rank": Q_RANK, "kv_lora_rank": KV_RANK, "intermediate_size": 72, "moe_intermediate_size": EXPERT_WIDTH,
        "n_routed_experts": EXPERTS, "num_experts_per_tok": 2, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "norm_topk_prob": True,
        "routed_scaling_factor": 1.0, "first_k_dense_replace": 0, "hidden_act": "silu", "rms_norm_eps": 1e-6, "max_position_embeddings": 65536,
        "rope_interleave": True, "rope_parameters": rope, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 11,
    }
    vision = VISION | {"model_type": "pixtral", "hidden_act": "silu", "image_size": 1540, "patch_size": 14, "num_channels": 3,
                       "rope_parameters": {"rope_theta": 10000.0, "rope_type": "axial"}}
    return {
        "architectures": ["Mistral3ForConditionalGeneration"], "model_type": "mistral3", "dtype": "float32", "image_token_index": 10,
        "spatial_merge_size": 2, "multimodal_projector_bias": False, "projector_hidden_act": "gelu", "vision_feature_layer": -1,
        "tie_word_embeddings": False, "text_config": text, "vision_config": vision,
    }


def tekken(tokens):
    settings = {"reasoning_effort": {"type": "enum", "values": ["none", "high"], "accepts_none": True, "default": "none"}}
    return {
        "config": {"pattern": PATTERN, "num_vocab_tokens": len(tokens), "default_vocab_size": VOCAB_SIZE,
                   "default_num_special_tokens": NUM_SPECIAL, "version": "v15"},
        "vocab": [{"rank": i, "token_bytes": base64.b64encode(t).decode(), "token_str": None} for i, t in enumerate(tokens)],
        "special_tokens": [{"rank": i, "token_str": SPECIALS.get(i, f"<SPECIAL_{i}>"), "is_control": True} for i in range(NUM_SPECIAL)],
        "image": {"image_patch_size": 14, "max_image_size": 1540, "spatial_merge_size": 2},
        "model_settings_builder": settings,
    }


def write_safetensors(path, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in tensors.items():
        size = 4 * len(tensor["values"])
        header[name] = {"dtype": "F32", "shape": tensor["shape"], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor["values"].tobytes())


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    generator, tokens = random.Random(1), vocabulary()
    write_safetensors(folder / "model.safetensors", text_tensors(tokens, generator) | vision_tensors(generator))
    (folder / "config.json").write_text(json.dumps(config(), indent=1))
    (folder / "tekken.json").write_text(json.dumps(tekken(tokens)))


if __name__ == "__main__":
    main()
