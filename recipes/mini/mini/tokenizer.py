"""The tokenizer of mini: Tekken cut off by rank, 64 special and 4032 ordinary tokens, encoding v15.

usage: python -m mini.tokenizer            writes ../../models/mini/tekken.json

Special tokens stand at the ids of the real v15 files; an ordinary token's id is its rank + 64 (there: + 1000). The
vocabulary comes from the wheel of mistral-common (Apache-2.0).
"""

import json
from pathlib import Path

NUM_SPECIAL = 64
NUM_TOKENS = 4096
PATH = Path(__file__).resolve().parents[3] / "models" / "mini" / "tekken.json"

SPECIALS = dict(enumerate(
    "<unk> <s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS] [TOOL_CALLS] "
    "[IMG] <pad> [IMG_BREAK] [IMG_END] [PREFIX] [MIDDLE] [SUFFIX] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CONTENT]".split()
)) | {32: "[ARGS]", 33: "[CALL_ID]", 34: "[THINK]", 35: "[/THINK]", 36: "[MODEL_SETTINGS]", 37: "[/MODEL_SETTINGS]"}
IMAGE = {"image_patch_size": 14, "max_image_size": 1540, "spatial_merge_size": 2}
SETTINGS = {"reasoning_effort": {"type": "enum", "values": ["none", "high"], "accepts_none": True, "default": "none"}}


def tekken() -> dict:
    """The content of tekken.json."""
    import mistral_common

    source = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
    data = json.loads(source.read_text())
    count = NUM_TOKENS - NUM_SPECIAL
    return {
        "config": {
            "pattern": data["config"]["pattern"],
            "num_vocab_tokens": count,
            "default_vocab_size": NUM_TOKENS,
            "default_num_special_tokens": NUM_SPECIAL,
            "version": "v15",
        },
        "vocab": data["vocab"][:count],
        "special_tokens": [
            {"rank": i, "token_str": SPECIALS.get(i, f"<SPECIAL_{i}>"), "is_control": True} for i in range(NUM_SPECIAL)
        ],
        "image": IMAGE,
        "model_settings_builder": SETTINGS,
    }


def main() -> None:
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(json.dumps(tekken(), ensure_ascii=False, separators=(",", ":")) + "\n")
    print(f"{PATH}: {PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
